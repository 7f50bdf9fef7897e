"""Channels over HTTP: the numbers a business sends from. Tokens are written, never read back."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from server.api_models.shared import Instant, storable
from server.problems import responses
from server.services import channels
from server.web_resources import BusinessId, Resources, Transaction

router = APIRouter(
    prefix="/channels",
    tags=["Channels"],
    responses=responses(HTTPStatus.UNAUTHORIZED, HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.SERVICE_UNAVAILABLE),
)


def _digits(text: str) -> str:
    if not (text.isascii() and text.isdecimal()):
        raise ValueError("It should be the digits that Meta shows.")
    return text


Digits = Annotated[str, Field(max_length=32, examples=["106540352242922"]), AfterValidator(_digits)]
Secret = Annotated[str, Field(min_length=1, max_length=4096, repr=False), AfterValidator(storable)]


class ChannelRequest(BaseModel):
    """A number to add, as Meta's pages show it."""

    model_config = ConfigDict(extra="forbid")

    phone_number_id: Digits
    waba_id: Digits
    token: Secret
    app_secret: Secret
    verify_token: Secret
    rate_per_second: Annotated[
        int | None,
        Field(ge=0, le=1_000_000, description="messages per second; 0: no limit; null: what WhatsApp allows it"),
    ] = None


class ChannelShown(BaseModel):
    """A number, without its tokens."""

    id: int
    phone_number_id: str
    waba_id: str
    rate_per_second: int
    created_at: Instant


class ChannelPage(BaseModel):
    """Every number of the business."""

    items: list[ChannelShown]
    next_cursor: str | None = None


@router.get("")
async def list_channels(connection: Transaction, business_id: BusinessId) -> ChannelPage:
    """The numbers of the business."""
    return ChannelPage.model_validate({"items": await channels.listed(connection, business_id)})


@router.post("", status_code=HTTPStatus.CREATED)
async def add_channel(
    wanted: ChannelRequest, connection: Transaction, business_id: BusinessId, resources: Resources
) -> ChannelShown:
    """Add a number; the same number again renews its tokens, and its rate where one is given."""
    new = channels.NewChannel(**wanted.model_dump())
    channel_id = await channels.add(connection, resources.vault, business_id, new)
    known = await channels.listed(connection, business_id)
    return ChannelShown.model_validate(next(channel for channel in known if channel["id"] == channel_id))
