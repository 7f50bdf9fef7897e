"""Looking at the people of a broadcast and at its history, a page at a time; pages stay right while rows change."""

from typing import Any, Final

from sqlalchemy import ColumnElement, Select, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from server.domain.errors import NotFound
from server.domain.states import RecipientStatus
from server.models import BroadcastEvent, WhatsAppBroadcast, WhatsAppBroadcastRecipient

SHOWN: Final = (
    "id", "phone", "status", "attempts", "message_id", "error_code", "error_message", "variables", "sent_at",
    "delivered_at", "read_at", "failed_at",
)  # fmt: skip
# Statuses that the row of the broadcast counts, each by itself.
_COUNTED: Final = {
    RecipientStatus.FAILED: WhatsAppBroadcast.failed_count,
    RecipientStatus.CANCELLED: WhatsAppBroadcast.cancelled_count,
    RecipientStatus.SKIPPED: WhatsAppBroadcast.skipped_count,
    RecipientStatus.UNKNOWN: WhatsAppBroadcast.unknown_count,
}
_WITH_A_REASON: Final = (RecipientStatus.FAILED, RecipientStatus.UNKNOWN)
_HISTORY: Final = ("at", "actor", "move", "from_status", "to_status", "reason", "detail", "recipient_id", "hash")


async def page(
    connection: AsyncConnection,
    broadcast_id: int,
    *,
    status: str | None,
    after_id: int,
    limit: int,
    digits: str | None = None,
) -> list[dict[str, Any]]:
    """At most `limit` recipients with larger ids than `after_id`, in the order of the list.

    digits: some of their phone's, in a row; looking for them reads the broadcast's people until enough are found. So
    does looking for a status, but for one that nobody has, or that no more have than are found already.
    """
    most: Any = limit
    if status in _COUNTED:  # by the same look as the rows, which may change with their counter at any moment
        counter = select(_COUNTED[RecipientStatus(status)]).where(WhatsAppBroadcast.id == broadcast_id)
        most = func.least(limit, counter.scalar_subquery())
    recipient = WhatsAppBroadcastRecipient
    statement = select(*(getattr(recipient, name) for name in SHOWN)).where(
        recipient.broadcast_id == broadcast_id, recipient.id > after_id
    )
    if status is not None:
        statement = statement.where(recipient.status == status)
    if digits:
        statement = statement.where(recipient.phone.contains(digits, autoescape=True))
    rows = await connection.execute(statement.order_by(recipient.id).limit(most))
    return [dict(row) for row in rows.mappings()]


async def of_phone(connection: AsyncConnection, broadcast_id: int, phone: str) -> dict[str, Any]:
    """One person of a broadcast. phone: E.164. Raises `NotFound`."""
    return await _the_one(connection, broadcast_id, WhatsAppBroadcastRecipient.phone == phone)


async def one(connection: AsyncConnection, broadcast_id: int, recipient_id: int) -> dict[str, Any]:
    """One person of a broadcast, by their id. Raises `NotFound`."""
    return await _the_one(connection, broadcast_id, WhatsAppBroadcastRecipient.id == recipient_id)


async def _the_one(connection: AsyncConnection, broadcast_id: int, which: ColumnElement[bool]) -> dict[str, Any]:
    recipient = WhatsAppBroadcastRecipient
    columns = (getattr(recipient, name) for name in SHOWN)
    statement = select(*columns).where(recipient.broadcast_id == broadcast_id, which)
    row = (await connection.execute(statement)).mappings().one_or_none()
    if row is None:
        raise NotFound("This person is not in the broadcast.")
    return dict(row)


async def reasons(connection: AsyncConnection, broadcast_id: int) -> list[dict[str, Any]]:
    """Why people did not get it: `status`, `error_code`, `error_message` and their `people_count`, the most first.

    One look at every recipient of the broadcast: for a person who asks, not for what refreshes.
    """
    recipient = WhatsAppBroadcastRecipient
    why = (recipient.status, recipient.error_code, recipient.error_message)
    count = func.count().label("people_count")
    rows = await connection.execute(
        select(*why, count)
        .where(recipient.broadcast_id == broadcast_id, recipient.status.in_(_WITH_A_REASON))
        .group_by(*why)
        .order_by(recipient.status, count.desc(), recipient.error_code, recipient.error_message)
    )
    return [dict(row) for row in rows.mappings()]


async def history(connection: AsyncConnection, broadcast_id: int, *, after_id: int, limit: int) -> list[dict[str, Any]]:
    """The changes of a broadcast, the oldest first; each with its id, to go on from."""
    events = _events(broadcast_id).where(BroadcastEvent.id > after_id)
    rows = await connection.execute(events.order_by(BroadcastEvent.id).limit(limit))
    return [dict(row) for row in rows.mappings()]


async def latest_history(
    connection: AsyncConnection, broadcast_id: int, *, before_id: int | None, limit: int
) -> list[dict[str, Any]]:
    """The same, the latest first. before_id: those before this one."""
    events = _events(broadcast_id)
    if before_id is not None:
        events = events.where(BroadcastEvent.id < before_id)
    rows = await connection.execute(events.order_by(BroadcastEvent.id.desc()).limit(limit))
    return [dict(row) for row in rows.mappings()]


def _events(broadcast_id: int) -> Select[Any]:
    columns = (getattr(BroadcastEvent, name) for name in _HISTORY)
    return select(BroadcastEvent.id, *columns).where(BroadcastEvent.broadcast_id == broadcast_id)
