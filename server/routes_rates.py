"""The rate of a broadcast over HTTP, changed while it runs."""

from http import HTTPStatus

from fastapi import APIRouter

from server.api_models.broadcasts import Broadcast
from server.api_models.rates import RateChange
from server.domain.states import Actor
from server.parameters import Id
from server.problems import responses
from server.services import broadcast_json, rates
from server.web_resources import BusinessId, Transaction

router = APIRouter(
    prefix="/broadcasts/{broadcast_id}",
    tags=["Broadcasts"],
    responses=responses(
        HTTPStatus.UNAUTHORIZED,
        HTTPStatus.NOT_FOUND,
        HTTPStatus.CONFLICT,
        HTTPStatus.UNPROCESSABLE_ENTITY,
        HTTPStatus.SERVICE_UNAVAILABLE,
    ),
)


@router.patch("")
async def change_rate(
    broadcast_id: Id, wanted: RateChange, connection: Transaction, business_id: BusinessId
) -> Broadcast:
    """Change how fast a broadcast may send. One that runs follows at once; the history says what it was."""
    await broadcast_json.show(connection, business_id, broadcast_id)
    await rates.limit(connection, broadcast_id, wanted.rate_limit, by=Actor.USER)
    return Broadcast.model_validate(await broadcast_json.show(connection, business_id, broadcast_id))
