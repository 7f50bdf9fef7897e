"""Channels: the numbers a business sends from. Tokens are written, encrypted, and never read back by a person."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple

from psycopg.errors import InsufficientPrivilege
from sqlalchemy import Select, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError, ProgrammingError
from sqlalchemy.ext.asyncio import AsyncConnection

from server.domain.errors import BadInput, NotFound, NotNow
from server.domain.sentences import said
from server.domain.states import LIVE, BroadcastStatus
from server.models import Channel, WhatsAppBroadcast
from server.secrets import Vault
from server.services import rates

SECRETS: Final = ("token", "app_secret", "verify_token")
# By WhatsApp, of the number that an id names.
_TOLD_OF_A_NUMBER: Final = ("display_phone_number", "verified_name", "quality", "last_webhook_at", "last_status_at")
# While a broadcast settles, somebody unknown may still be sent to again.
_MAY_SEND: Final = sorted(LIVE - {BroadcastStatus.DRAFT} | {BroadcastStatus.SETTLING})


@dataclass(frozen=True, slots=True)
class Sender:
    """A channel with its token, ready to send. rate_per_second: messages per second, 0 for no limit of ours."""

    channel_id: int
    phone_number_id: str
    waba_id: str
    token: str
    rate_per_second: int


@dataclass(frozen=True, slots=True)
class NewChannel:
    """What a number is set up with. rate_per_second: None for what WhatsApp lets it send, which it then follows."""

    phone_number_id: str
    waba_id: str
    token: str
    app_secret: str
    verify_token: str
    rate_per_second: int | None = None


async def add(connection: AsyncConnection, vault: Vault, business_id: int, new: NewChannel) -> int:
    """Add a number; the same number again renews its tokens, and its rate where one is given. Returns its id.

    Raises `BadInput` where an id is none, something is empty, or the number belongs to another business.
    """
    _check(new)
    values: dict[str, Any] = {
        "business_id": business_id,
        "phone_number_id": new.phone_number_id,
        "waba_id": new.waba_id,
        "token_encrypted": vault.encrypt(new.token),
        "app_secret_encrypted": vault.encrypt(new.app_secret),
        "verify_token_encrypted": vault.encrypt(new.verify_token),
    }
    # What was proven by older secrets proves nothing of these.
    values |= {"removed_at": None, "webhook_verified_at": None, "last_webhook_at": None}
    if new.rate_per_second is not None:
        values |= {"rate_per_second": new.rate_per_second, "rate_is_chosen": True}
    statement = insert(Channel).values(values)
    statement = statement.on_conflict_do_update(
        index_elements=["phone_number_id"],
        set_={column: statement.excluded[column] for column in values if column != "business_id"},
        where=Channel.business_id == business_id,
    )
    try:
        async with connection.begin_nested():
            channel_id = await connection.scalar(statement.returning(Channel.id))
    except ProgrammingError as error:
        # Where row-level security hides the row that is in the way, PostgreSQL can only refuse.
        if not isinstance(error.orig, InsufficientPrivilege):
            raise
        channel_id = None
    if channel_id is None:
        raise BadInput(
            said("The number %(number)s belongs to another business.", number=new.phone_number_id),
            pointer="/phone_number_id",
        )
    await rates.tell_runs(connection, [int(channel_id)])
    return int(channel_id)


def _check(new: NewChannel) -> None:
    for name in ("phone_number_id", "waba_id"):
        _check_id(name, getattr(new, name))
    for name in ("token", "app_secret", "verify_token"):
        if not getattr(new, name).strip():
            raise BadInput(f"{name} is empty.", pointer=f"/{name}")


def _check_id(name: str, value: str) -> None:
    if not (value.isascii() and value.isdecimal()):
        raise BadInput(
            said('%(name)s is "%(value)s"; it should be the digits that Meta shows.', name=name, value=value),
            pointer=f"/{name}",
        )


async def choose(connection: AsyncConnection, business_id: int, channel_id: int | None) -> int:
    """The channel to send from: the one named, or the only one. Raises `BadInput`."""
    known = [
        int(row)
        for row in await connection.scalars(
            select(Channel.id)
            .where(Channel.business_id == business_id, Channel.removed_at.is_(None))
            .order_by(Channel.id)
        )
    ]
    if channel_id is not None:
        if channel_id not in known:
            raise BadInput(f"There is no channel {channel_id}.", pointer="/channel_id")
        return channel_id
    if not known:
        raise BadInput("This business has no number yet. `clarion channel add` adds one.", pointer="/channel_id")
    if len(known) > 1:
        listed = ", ".join(map(str, known))
        raise BadInput(f"This business has several numbers: say which one sends ({listed}).", pointer="/channel_id")
    return known[0]


class Number(NamedTuple):
    """What Meta calls a channel and its account."""

    phone_number_id: str
    waba_id: str


async def number_of(connection: AsyncConnection, channel_id: int) -> Number:
    """A channel without its token, for whoever does not send. Raises `NotFound`."""
    row = (
        await connection.execute(select(Channel.phone_number_id, Channel.waba_id).where(Channel.id == channel_id))
    ).one_or_none()
    if row is None:
        raise NotFound(said("There is no channel %(number)s.", number=channel_id))
    return Number(row.phone_number_id, row.waba_id)


async def sender(connection: AsyncConnection, vault: Vault, channel_id: int) -> Sender:
    """A channel with its token. Raises `NotFound`, or `BadInput` where the token cannot be decrypted."""
    row = (
        await connection.execute(
            select(Channel.phone_number_id, Channel.waba_id, Channel.token_encrypted, Channel.rate_per_second).where(
                Channel.id == channel_id
            )
        )
    ).one_or_none()
    if row is None:
        raise NotFound(said("There is no channel %(number)s.", number=channel_id))
    token = vault.decrypt(row.token_encrypted)
    return Sender(channel_id, row.phone_number_id, row.waba_id, token, row.rate_per_second)


async def senders(connection: AsyncConnection, vault: Vault, business_id: int) -> list[Sender]:
    """Every channel of a business with its token, one for each account. Raises `BadInput` where there is none."""
    ids = await connection.scalars(
        select(Channel.id)
        .where(Channel.business_id == business_id, Channel.removed_at.is_(None))
        .distinct(Channel.waba_id)
    )
    found = [await sender(connection, vault, channel_id) for channel_id in ids.all()]
    if not found:
        raise BadInput("This business has no number yet. `clarion channel add` adds one.")
    return found


async def page(connection: AsyncConnection, business_id: int, *, after_id: int, limit: int) -> list[dict[str, Any]]:
    """At most `limit` channels of a business with larger ids than `after_id`, without their tokens."""
    rows = await connection.execute(_shown(business_id).where(Channel.id > after_id).order_by(Channel.id).limit(limit))
    return [dict(row) for row in rows.mappings()]


async def show(connection: AsyncConnection, business_id: int, channel_id: int) -> dict[str, Any]:
    """One channel of a business, without its tokens. Raises `NotFound`."""
    row = (await connection.execute(_shown(business_id).where(Channel.id == channel_id))).mappings().one_or_none()
    if row is None:
        raise NotFound(said("There is no channel %(number)s.", number=channel_id))
    return dict(row)


async def listed(connection: AsyncConnection, business_id: int) -> list[dict[str, Any]]:
    """The channels of a business, without their tokens."""
    rows = await connection.execute(_shown(business_id).order_by(Channel.id))
    return [dict(row) for row in rows.mappings()]


async def change(connection: AsyncConnection, vault: Vault, channel_id: int, changes: Mapping[str, Any]) -> None:
    """Renew what is named of `token`, `app_secret`, `verify_token` and `rate_per_second`.

    rate_per_second: None for what WhatsApp lets it send, which it then follows; running broadcasts follow at once.
    """
    values: dict[str, Any] = {
        f"{name}_encrypted": vault.encrypt(changes[name]) for name in SECRETS if changes.get(name) is not None
    }
    if "app_secret_encrypted" in values:
        values["last_webhook_at"] = None
    if "verify_token_encrypted" in values:
        values["webhook_verified_at"] = None
    if "rate_per_second" in changes:
        rate = changes["rate_per_second"]
        values["rate_is_chosen"] = rate is not None
        if rate is not None:
            values["rate_per_second"] = rate
    if values:
        await connection.execute(update(Channel).where(Channel.id == channel_id).values(values))
        await rates.tell_runs(connection, [channel_id])


async def remove(connection: AsyncConnection, vault: Vault, channel_id: int) -> None:
    """Take a number away and forget its token. Statuses of what it sent are still heard.

    Raises `NotNow` where a broadcast that is not over would send from it.
    """
    await connection.execute(select(Channel.id).where(Channel.id == channel_id).with_for_update())
    live = await connection.scalar(
        select(WhatsAppBroadcast.id)
        .where(WhatsAppBroadcast.channel_id == channel_id, WhatsAppBroadcast.status.in_(_MAY_SEND))
        .order_by(WhatsAppBroadcast.id)
        .limit(1)
    )
    if live is not None:
        raise NotNow(
            said(
                "Broadcast %(number)s sends from this number. Cancel it, or let it end, before you remove the number.",
                number=live,
            )
        )
    values = {"removed_at": func.clock_timestamp(), "token_encrypted": vault.encrypt("")}
    await connection.execute(update(Channel).where(Channel.id == channel_id).values(values))


async def correct_ids(
    connection: AsyncConnection, business_id: int, channel_id: int, phone_number_id: str, waba_id: str
) -> None:
    """Mend the ids of a number that nothing was sent from yet.

    Raises `BadInput` where an id is none, or another number has it; `NotNow` where a broadcast names this one.
    """
    for name, value in (("phone_number_id", phone_number_id), ("waba_id", waba_id)):
        _check_id(name, value)
    used = select(WhatsAppBroadcast.id).where(WhatsAppBroadcast.channel_id == channel_id).limit(1)
    if await connection.scalar(used) is not None:
        raise NotNow("A broadcast was made with this number, so its ids stay. Add the other number beside it.")
    ids = {"phone_number_id": phone_number_id, "waba_id": waba_id}
    which = (Channel.id == channel_id, Channel.business_id == business_id)
    try:
        async with connection.begin_nested():
            # What WhatsApp said of another number is not true of this one.
            forgotten = dict.fromkeys(_TOLD_OF_A_NUMBER)
            await connection.execute(
                update(Channel).where(*which, Channel.phone_number_id != phone_number_id).values(forgotten)
            )
            await connection.execute(update(Channel).where(*which).values(ids))
    except IntegrityError as error:
        raise BadInput(
            said("The number %(number)s is there already.", number=phone_number_id), pointer="/phone_number_id"
        ) from error


async def verify_token(connection: AsyncConnection, vault: Vault, channel_id: int) -> str:
    """What Meta is told to ask with. No secret of Meta's: ours, to be copied there. Raises `BadInput`."""
    stored = await connection.scalar(select(Channel.verify_token_encrypted).where(Channel.id == channel_id))
    return vault.decrypt(str(stored))


def _shown(business_id: int) -> Select[int, str, str, int, datetime]:
    columns = (Channel.id, Channel.phone_number_id, Channel.waba_id, Channel.rate_per_second, Channel.created_at)
    return select(*columns).where(Channel.business_id == business_id, Channel.removed_at.is_(None))
