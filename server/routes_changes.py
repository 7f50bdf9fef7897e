"""What may still be changed of a broadcast, over HTTP: its rate while it runs; until then its start and audience."""

from http import HTTPStatus

from fastapi import APIRouter

from server.api_models.broadcasts import Broadcast
from server.api_models.changes import BroadcastChange
from server.domain.states import Actor
from server.parameters import Id
from server.problems import responses
from server.services import approvals, audience_changes, broadcast_json, rates, schedules
from server.web_resources import BusinessId, Resources, Transaction

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
async def change_broadcast(
    broadcast_id: Id,
    wanted: BroadcastChange,
    connection: Transaction,
    business_id: BusinessId,
    resources: Resources,
) -> Broadcast:
    """Change how fast a broadcast may send, which one that runs follows at once; or, until it starts, when that is,
    whether by each person's local time, and to which audience it goes.

    The history says what it was. One on its schedule that needed a second person needs one again: it is taken off its
    schedule first (409).
    """
    await broadcast_json.show(connection, business_id, broadcast_id)
    schedule = wanted.model_dump(include={"scheduled_at", "by_local_time"}, exclude_unset=True)
    is_withdrawn = "scheduled_at" in schedule and schedule["scheduled_at"] is None
    if ("rate_limit" in wanted.model_fields_set or schedule) and not is_withdrawn:
        await approvals.refuse_change(connection, broadcast_id, resources.who)
    if "rate_limit" in wanted.model_fields_set:
        await rates.limit(connection, broadcast_id, wanted.rate_limit, by=Actor.USER)
    if schedule:
        await schedules.change(connection, broadcast_id, schedule, by=Actor.USER)
    if wanted.audience is not None:
        await audience_changes.change(connection, broadcast_id, wanted.audience.audience(), by=Actor.USER)
    return Broadcast.model_validate(await broadcast_json.show(connection, business_id, broadcast_id))
