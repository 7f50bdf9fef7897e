"""Channels over HTTP: the numbers a business sends from. Tokens are written, never read back."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from server.api_models.shared import Instant, storable
from server.cursors import page, read_cursor
from server.domain.audit import AuditAct
from server.once import Once
from server.parameters import Cursor, Id, Limit
from server.problems import responses
from server.services import audit, channels
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
NewSecret = Annotated[
    str | None,
    Field(min_length=1, max_length=4096, repr=False),
    AfterValidator(lambda text: None if text is None else storable(text)),
]
Rate = Annotated[
    int | None,
    Field(ge=0, le=1_000_000, description="messages per second; 0: no limit; null: what WhatsApp allows it"),
]
_gone = responses(HTTPStatus.NOT_FOUND)


class ChannelRequest(BaseModel):
    """A number to add, as Meta's pages show it."""

    model_config = ConfigDict(extra="forbid")

    phone_number_id: Digits
    waba_id: Digits
    token: Secret
    app_secret: Secret
    verify_token: Secret
    rate_per_second: Rate = None


class ChannelChange(BaseModel):
    """What to renew of a number; what is left out stays."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"rate_per_second": 40}})

    token: NewSecret = None
    app_secret: NewSecret = None
    verify_token: NewSecret = None
    rate_per_second: Rate = None


class ChannelShown(BaseModel):
    """A number, without its tokens."""

    id: int
    phone_number_id: str
    waba_id: str
    rate_per_second: int
    created_at: Instant


class ChannelPage(BaseModel):
    """One page of numbers, in the order in which they were added."""

    items: list[ChannelShown]
    next_cursor: str | None


@router.get("")
async def list_channels(
    connection: Transaction, business_id: BusinessId, limit: Limit = 50, cursor: Cursor = None
) -> ChannelPage:
    """The numbers of the business."""
    after_id = read_cursor(cursor) or 0
    found = await channels.page(connection, business_id, after_id=after_id, limit=limit + 1)
    return ChannelPage.model_validate(page(found, limit))


@router.post("", status_code=HTTPStatus.CREATED, responses=responses(HTTPStatus.CONFLICT))
async def add_channel(
    wanted: ChannelRequest, connection: Transaction, business_id: BusinessId, resources: Resources, once: Once
) -> ChannelShown:
    """Add a number; the same number again renews its tokens, and its rate where one is given."""
    new = channels.NewChannel(**wanted.model_dump())
    channel_id = await channels.add(connection, resources.vault, business_id, new)
    await audit.add(connection, business_id, resources.who, AuditAct.NUMBER_ADDED, subject=wanted.phone_number_id)
    return await once.keep(ChannelShown.model_validate(await channels.show(connection, business_id, channel_id)))


@router.get("/{channel_id}", responses=_gone)
async def show_channel(channel_id: Id, connection: Transaction, business_id: BusinessId) -> ChannelShown:
    """One number, without its tokens."""
    return ChannelShown.model_validate(await channels.show(connection, business_id, channel_id))


@router.patch("/{channel_id}", responses=_gone)
async def change_channel(
    channel_id: Id, wanted: ChannelChange, connection: Transaction, business_id: BusinessId, resources: Resources
) -> ChannelShown:
    """Renew tokens or the rate; a broadcast that is running follows a new rate at once."""
    shown = await channels.show(connection, business_id, channel_id)
    changes = wanted.model_dump(exclude_unset=True)
    await channels.change(connection, resources.vault, channel_id, changes)
    about = {"subject": shown["phone_number_id"], "detail": ", ".join(changes)}
    await audit.add(connection, business_id, resources.who, AuditAct.NUMBER_CHANGED, **about)
    return ChannelShown.model_validate(await channels.show(connection, business_id, channel_id))


@router.delete(
    "/{channel_id}", status_code=HTTPStatus.NO_CONTENT, responses=responses(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT)
)
async def remove_channel(
    channel_id: Id, connection: Transaction, business_id: BusinessId, resources: Resources
) -> None:
    """Remove a number and forget its token; 409 where a broadcast that is not over sends from it.

    Broadcasts that it sent stay, and what WhatsApp still reports of them is heard. The same number can be added again.
    """
    shown = await channels.show(connection, business_id, channel_id)
    await channels.remove(connection, resources.vault, channel_id)
    await audit.add(connection, business_id, resources.who, AuditAct.NUMBER_REMOVED, subject=shown["phone_number_id"])
