"""How the counters of a broadcast grew: what a plot over time is drawn from.

The steward takes a sample where something changed. The longer a broadcast goes, the further apart they are, so that one
of two minutes and one of two days have about as many points.
"""

from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from server.domain.states import FINAL
from server.models import BroadcastSample, WhatsAppBroadcast

# Reports of a message come for days; after that a plot changes no more.
_DAYS: Final = 7
_POINTS: Final = 400
# For so long after what is known last a curve may go on: as long as a page asks for it anew.
_GOES_ON: Final = timedelta(minutes=10)

_TAKE = text("""
    /* samples.take   Cost: the broadcasts that were started in the last days, one index look-up each. */
    INSERT INTO broadcast_samples (broadcast_id, business_id, at, sent_count, delivered_count, read_count, failed_count)
    SELECT b.id, b.business_id, clock_timestamp(), b.sent_count, b.delivered_count, b.read_count, b.failed_count
      FROM whatsapp_broadcasts b
      LEFT JOIN LATERAL (
            SELECT * FROM broadcast_samples s WHERE s.broadcast_id = b.id ORDER BY s.at DESC LIMIT 1) last ON true
     WHERE b.started_at > clock_timestamp() - :days * interval '1 day'
       AND (last.at IS NULL
            OR ((last.sent_count, last.delivered_count, last.read_count, last.failed_count)
                   IS DISTINCT FROM (b.sent_count, b.delivered_count, b.read_count, b.failed_count)
                AND last.at < clock_timestamp() - (clock_timestamp() - b.started_at) / :points))
    ON CONFLICT DO NOTHING
""")


class Sample(NamedTuple):
    """The counters at an instant."""

    at: datetime
    sent_count: int
    delivered_count: int
    read_count: int
    failed_count: int


async def take(connection: AsyncConnection) -> None:
    """Write down the counters that changed since the last sample."""
    await connection.execute(_TAKE, {"days": _DAYS, "points": _POINTS})


async def of_broadcast(connection: AsyncConnection, broadcast_id: int) -> list[Sample]:
    """How the counters grew, the oldest first: some thousands at most. Empty before the start.

    It begins with nothing at the start and ends with what the row says now, however long ago the last sample was taken.
    """
    of_row = _counters_of(WhatsAppBroadcast)
    at = (WhatsAppBroadcast.started_at, WhatsAppBroadcast.completed_at)
    columns = (*at, WhatsAppBroadcast.status, func.clock_timestamp().label("now"), *of_row)
    taken = select(BroadcastSample.at, *_counters_of(BroadcastSample)).where(
        BroadcastSample.broadcast_id == broadcast_id
    )
    samples = [Sample(*row) for row in await connection.execute(taken.order_by(BroadcastSample.at))]
    row = (await connection.execute(select(*columns).where(WhatsAppBroadcast.id == broadcast_id))).one()
    if row.started_at is None:
        return []
    grown = [Sample(row.started_at, 0, 0, 0, 0), *samples]
    latest = Sample(row.now, row.sent_count, row.delivered_count, row.read_count, row.failed_count)
    if row.status not in FINAL:
        return [*grown, latest]
    # What has ended stands still: its line goes on only where a report came after the last sample, and not for ever.
    if latest[1:] != grown[-1][1:]:
        known_at = max(row.completed_at or row.started_at, grown[-1].at)
        grown.append(latest._replace(at=min(row.now, known_at + _GOES_ON)))
    return grown


def _counters_of(model: type[BroadcastSample | WhatsAppBroadcast]) -> tuple[Any, ...]:
    return model.sent_count, model.delivered_count, model.read_count, model.failed_count
