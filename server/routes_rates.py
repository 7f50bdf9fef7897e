"""The rate card over HTTP: what WhatsApp charges this business, which the pre-flight counts with."""

from http import HTTPStatus

from fastapi import APIRouter, Request

from server.api_models.prices import RateCardShown, RateCardTaken
from server.domain.errors import BadInput
from server.problems import responses
from server.services import rate_cards
from server.uploads import CSV, media_type_of
from server.web_resources import BusinessId, Resources, Transaction

router = APIRouter(
    prefix="/rates",
    tags=["Rates"],
    responses=responses(HTTPStatus.UNAUTHORIZED, HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.SERVICE_UNAVAILABLE),
)
_EXAMPLE = "country,category,price,currency,valid_from\nIL,marketing,0.0353,EUR,2026-10-01\n"


@router.get("")
async def show_rates(connection: Transaction, business_id: BusinessId) -> RateCardShown:
    """The rate card of the business; without one, no items."""
    return RateCardShown.model_validate(await rate_cards.show(connection, business_id))


@router.put(
    "",
    responses=responses(HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
    openapi_extra={
        "requestBody": {"required": True, "content": {CSV: {"schema": {"type": "string"}, "example": _EXAMPLE}}}
    },
)
async def replace_rates(request: Request, resources: Resources, business_id: BusinessId) -> RateCardTaken:
    """Take in a rate card as CSV, in place of the one there was. Where a line cannot be used, nothing changes."""
    if media_type_of(request) != CSV:
        raise BadInput(f"A rate card comes as {CSV}.", pointer="header: Content-Type")
    body = await request.body()
    async with resources.engine.begin() as connection:
        taken = await rate_cards.replace(connection, business_id, body)
    return RateCardTaken.model_validate(taken._asdict())


@router.delete("", status_code=HTTPStatus.NO_CONTENT)
async def forget_rates(connection: Transaction, business_id: BusinessId) -> None:
    """Take the rate card away."""
    await rate_cards.forget(connection, business_id)
