"""How the counters of a broadcast grew: what a plot over time is drawn from.

The steward takes a sample where something changed. The longer a broadcast goes, the further apart they are, so that one
of two minutes and one of two days have about as many points.
"""

from datetime import datetime
from typing import Final, NamedTuple

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from server.models import BroadcastSample

# Reports of a message come for days; after that a plot changes no more.
_DAYS: Final = 7
_POINTS: Final = 400

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
    """All samples of a broadcast, the oldest first: some thousands at most."""
    sample = BroadcastSample
    columns = (sample.at, sample.sent_count, sample.delivered_count, sample.read_count, sample.failed_count)
    rows = await connection.execute(select(*columns).where(sample.broadcast_id == broadcast_id).order_by(sample.at))
    return [Sample(*row) for row in rows]
