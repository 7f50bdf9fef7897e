"""What the row keeps of the time ahead, so that an honest `eta` costs nothing but the row (`domain/eta.py`)."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from server.domain import eta
from server.services.ledger import RunKey

# Leases go by the database's clock, and this is asked by the clock of whoever shows it.
CLOCKS_DIFFER: Final = timedelta(seconds=30)

_NOTE = text("""
    /* outlook.note   Once a run. reachable_count: when so many are dealt with, the messaging limit is reached. */
    UPDATE whatsapp_broadcasts
       SET allowed_rate = :allowed_rate,
           reachable_count = processed_count + unknown_count + CAST(:people_left AS bigint),
           is_marketing = :is_marketing
     WHERE id = :broadcast_id AND run_epoch = :epoch
""")


async def note(
    connection: AsyncConnection, run: RunKey, allowed_rate: float | None, people_left: int | None, is_marketing: bool
) -> None:
    """What a run begins with.

    allowed_rate: messages per second at most. people_left: None where nothing limits it. is_marketing: its template.
    """
    values = {"allowed_rate": allowed_rate, "people_left": people_left, "is_marketing": is_marketing}
    await connection.execute(_NOTE, {"broadcast_id": run.broadcast_id, "epoch": run.epoch, **values})


def eta_of(row: Row[Any], now: datetime) -> datetime | None:
    """When the last message of a broadcast will have left; None where nobody can know."""
    return eta.eta(
        eta.Outlook(
            status=row.status,
            pause_reason=row.pause_reason,
            cancel_requested=row.cancel_requested,
            remaining_count=row.total_recipients - row.processed_count - row.unknown_count,
            current_rate=row.current_rate,
            # Somebody may have changed their mind since the last run began.
            allowed_rate=min((rate for rate in (row.allowed_rate, row.rate_limit) if rate), default=None),
            has_runner=row.lease_expires_at is not None and row.lease_expires_at > now - CLOCKS_DIFFER,
            beyond_limit_count=0 if row.reachable_count is None else row.total_recipients - row.reachable_count,
            resume_at=row.resume_at,
            scheduled_at=row.scheduled_at,
            waits_until=row.waits_until,
            waits={datetime.fromtimestamp(int(until), UTC): int(people) for until, people in row.waits.items()},
            starts_at=row.starts_at,
        ),
        now,
    )
