"""When a broadcast starts, changed or withdrawn until it does."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from server.domain.errors import BadInput, NotFound, StateDoesNotAllow
from server.domain.local_time import in_words, is_over, refuse_odd, wall_of
from server.domain.sentences import said
from server.domain.states import Act, Actor, BroadcastStatus, Move
from server.services import broadcasts, local_times
from server.services.events import add_act

_LOCK = text("""
    /* schedules.lock   The steward that would start it at this moment comes before or after. */
    SELECT status, scheduled_at, by_local_time, local_time, spread_over_days
      FROM whatsapp_broadcasts WHERE id = :broadcast_id FOR UPDATE
""")

_SET = text("""
    /* schedules.set */
    UPDATE whatsapp_broadcasts
       SET scheduled_at = :scheduled_at, by_local_time = :by_local_time, local_time = :local_time,
           -- Whatever kept it from starting by the old one is tried anew; of a draft a person's words stay.
           resume_at = NULL, status_detail = CASE WHEN status = 'draft' THEN status_detail END
     WHERE id = :broadcast_id
""")


async def change(connection: AsyncConnection, broadcast_id: int, wanted: Mapping[str, Any], *, by: Actor) -> None:
    """Start a broadcast at another time, or by each person's local time, or no longer so.

    wanted: `scheduled_at`, with the offset that it was written in (None takes it off its schedule, and it is a draft
    again), and `by_local_time`; what is left out stays. A draft only keeps them, for when it is started.
    Raises `NotFound`; `BadInput` for a time that has passed, and for local time without one; `StateDoesNotAllow` where
    it has started.
    """
    row = (await connection.execute(_LOCK, {"broadcast_id": broadcast_id})).one_or_none()
    if row is None:
        raise NotFound(said("There is no broadcast %(number)s.", number=broadcast_id))
    if row.status not in (BroadcastStatus.DRAFT, BroadcastStatus.SCHEDULED):
        raise StateDoesNotAllow(Act.SCHEDULE_ANEW, row.status)
    values = _values(row, wanted)
    await connection.execute(_SET, {"broadcast_id": broadcast_id, **values})
    if _said(**values) == _said(row.scheduled_at, row.local_time, by_local_time=row.by_local_time):
        return  # at most in another offset, which counts for nothing
    if row.status == BroadcastStatus.SCHEDULED and values["scheduled_at"] is None:
        await broadcasts.make_or_refuse(connection, broadcast_id, Move.UNSCHEDULE, by=by)
    elif row.status == BroadcastStatus.SCHEDULED:
        before = _in_words(row.scheduled_at, row.local_time if row.by_local_time else None)
        now = _in_words(values["scheduled_at"], values["local_time"] if values["by_local_time"] else None)
        detail = said("It was to start %(before)s, and is to start %(now)s.", before=before, now=now)
        await add_act(connection, broadcast_id, Act.SCHEDULE_ANEW, by=by, status=row.status, detail=detail)
    if row.status == BroadcastStatus.SCHEDULED:
        await local_times.forget(connection, broadcast_id)
        if values["scheduled_at"] is not None:
            await local_times.arrange(connection, broadcast_id)


def _values(row: Row[Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    """What its row is to say. Raises `BadInput`."""
    at: datetime | None = wanted.get("scheduled_at", row.scheduled_at)
    local_time = row.local_time if "scheduled_at" not in wanted or at is None else wall_of(at)
    by_local_time = bool(wanted.get("by_local_time", row.by_local_time and at is not None))
    if "scheduled_at" in wanted or by_local_time != row.by_local_time:
        refuse_past(at, local_time if by_local_time else None)
    refuse_odd(
        by_local_time=by_local_time,
        # One that is older than local time does not know any more what was written.
        has_schedule=at is not None and local_time is not None,
        spread_over_days=row.spread_over_days,
    )
    return {"scheduled_at": at, "by_local_time": by_local_time, "local_time": None if at is None else local_time}


def _said(scheduled_at: datetime | None, local_time: datetime | None, *, by_local_time: bool) -> tuple[Any, ...]:
    """What makes two schedules the same."""
    return scheduled_at, by_local_time, local_time if by_local_time else None


def is_past(at: datetime, local_time: datetime | None) -> bool:
    """Whether a start would have been. local_time: of each person, which has passed when it has everywhere."""
    now = datetime.now(UTC)
    return at <= now if local_time is None else is_over(local_time, now)


def refuse_past(at: datetime | None, local_time: datetime | None = None) -> None:
    """Raises `BadInput` for a start that would have been."""
    if at is not None and is_past(at, local_time):
        raise BadInput("The schedule lies in the past.", pointer="/scheduled_at")


def _in_words(at: datetime | None, local_time: datetime | None) -> str:
    if at is None:
        return said("as soon as it is started")
    if local_time is not None:
        return said("at %(time)s by each person's clock", time=in_words(local_time))
    return said("at %(time)s", time=f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC")
