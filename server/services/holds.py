"""When a broadcast that WhatsApp, or a limit of its, holds up goes on by itself."""

from datetime import UTC, datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncEngine

from server.domain.states import PauseReason
from server.services import messaging_limits
from server.services.run_control import Stop


async def goes_on_at(engine: AsyncEngine, business_id: int, waiting_count: int, stop: Stop) -> datetime | None:
    """The `resume_at` of a run that is held; None: when a person or WhatsApp says so.

    waiting_count: people of the broadcast who are still to be reached.
    """
    now = datetime.now(UTC)
    if stop.pause_reason is PauseReason.MESSAGING_LIMIT:
        async with engine.connect() as connection:
            return await messaging_limits.frees_at(connection, business_id, waiting_count) or now
    return now + timedelta(seconds=stop.resume_seconds) if stop.resume_seconds else None
