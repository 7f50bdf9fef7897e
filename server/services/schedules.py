"""When a broadcast starts, changed or withdrawn until it does."""

from datetime import UTC, datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from server.domain.errors import BadInput, NotFound, StateDoesNotAllow
from server.domain.sentences import said
from server.domain.states import Act, Actor, BroadcastStatus, Move
from server.services import broadcasts
from server.services.events import add_act

_LOCK = text("""
    /* schedules.lock   The steward that would start it at this moment comes before or after. */
    SELECT status, scheduled_at FROM whatsapp_broadcasts WHERE id = :broadcast_id FOR UPDATE
""")

_SET = text("""
    /* schedules.set */
    UPDATE whatsapp_broadcasts SET scheduled_at = :at WHERE id = :broadcast_id
""")


async def change(connection: AsyncConnection, broadcast_id: int, at: datetime | None, *, by: Actor) -> None:
    """Start a broadcast at another time; None takes it off its schedule, and it is a draft again.

    A draft only keeps the time, for when it is started. Raises `NotFound`; `BadInput` for a time that has passed;
    `StateDoesNotAllow` where it has started.
    """
    row = (await connection.execute(_LOCK, {"broadcast_id": broadcast_id})).one_or_none()
    if row is None:
        raise NotFound(said("There is no broadcast %(number)s.", number=broadcast_id))
    if row.status not in (BroadcastStatus.DRAFT, BroadcastStatus.SCHEDULED):
        raise StateDoesNotAllow(Act.SCHEDULE_ANEW, row.status)
    refuse_past(at)
    if at == row.scheduled_at:
        return
    if row.status == BroadcastStatus.SCHEDULED and at is None:
        await broadcasts.make_or_refuse(connection, broadcast_id, Move.UNSCHEDULE, by=by)
    elif row.status == BroadcastStatus.SCHEDULED:
        before, now = _in_words(row.scheduled_at), _in_words(at)
        detail = said("It was to start %(before)s, and is to start %(now)s.", before=before, now=now)
        await add_act(connection, broadcast_id, Act.SCHEDULE_ANEW, by=by, status=row.status, detail=detail)
    await connection.execute(_SET, {"broadcast_id": broadcast_id, "at": at})


def refuse_past(at: datetime | None) -> None:
    """Raises `BadInput` for a start that would have been."""
    if at is not None and at <= datetime.now(UTC):
        raise BadInput("The schedule lies in the past.", pointer="/scheduled_at")


def _in_words(at: datetime | None) -> str:
    if at is None:
        return said("as soon as it is started")
    return said("at %(time)s", time=f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC")
