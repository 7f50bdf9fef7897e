"""When a broadcast that WhatsApp, or a limit of its, holds up goes on by itself."""

from datetime import UTC, datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from server.domain.states import PauseReason
from server.services import messaging_limits
from server.services.run_control import Stop

_AFTER = text("""
    /* holds.after
       By the clock that the steward goes by. By the one of a process that is behind it a run would be asked for before
       its time, and stop again, once a round until that clock has come so far. */
    SELECT clock_timestamp() + :seconds * interval '1 second'
""")


async def goes_on_at(engine: AsyncEngine, business_id: int, waiting_count: int, stop: Stop) -> datetime | None:
    """The `resume_at` of a run that is held; None: when a person or WhatsApp says so.

    waiting_count: people of the broadcast who are still to be reached.
    """
    async with engine.connect() as connection:
        if stop.pause_reason is PauseReason.MESSAGING_LIMIT:
            return await messaging_limits.frees_at(connection, business_id, waiting_count) or datetime.now(UTC)
        if not stop.resume_seconds:
            return None
        found: datetime = (await connection.execute(_AFTER, {"seconds": stop.resume_seconds})).scalar_one()
        return found
