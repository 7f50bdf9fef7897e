"""Holds the counters of a broadcast against its rows, and its history against its chain: or something is wrong."""

from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from server.services.events import breaks

_DIFFERENCES = text("""
    /* verify.differences   One scan of the recipients in one snapshot with the counters. */
    WITH rows AS (
        SELECT broadcast_id, count(*) AS total_recipients,
               count(*) FILTER (WHERE status IN ('sent', 'delivered', 'read')) AS sent_count,
               count(*) FILTER (WHERE status IN ('delivered', 'read')) AS delivered_count,
               count(*) FILTER (WHERE status = 'read') AS read_count,
               count(*) FILTER (WHERE status = 'failed') AS failed_count,
               count(*) FILTER (WHERE status = 'cancelled') AS cancelled_count,
               count(*) FILTER (WHERE status = 'skipped') AS skipped_count,
               count(*) FILTER (WHERE status = 'unknown') AS unknown_count
          FROM whatsapp_broadcast_recipients
         WHERE CAST(:broadcast_id AS bigint) IS NULL OR broadcast_id = :broadcast_id
         GROUP BY broadcast_id
    )
    SELECT b.id, counter, on_the_row, coalesce(in_the_rows, 0) AS in_the_rows
      FROM whatsapp_broadcasts b LEFT JOIN rows r ON r.broadcast_id = b.id
     CROSS JOIN LATERAL (VALUES
            ('total_recipients', b.total_recipients, r.total_recipients), ('sent_count', b.sent_count, r.sent_count),
            ('delivered_count', b.delivered_count, r.delivered_count), ('read_count', b.read_count, r.read_count),
            ('failed_count', b.failed_count, r.failed_count),
            ('cancelled_count', b.cancelled_count, r.cancelled_count),
            ('skipped_count', b.skipped_count, r.skipped_count), ('unknown_count', b.unknown_count, r.unknown_count),
            ('processed_count', b.processed_count,
             r.sent_count + r.failed_count + r.cancelled_count + r.skipped_count)
          ) AS c (counter, on_the_row, in_the_rows)
     WHERE (CAST(:broadcast_id AS bigint) IS NULL OR b.id = :broadcast_id) AND on_the_row <> coalesce(in_the_rows, 0)
     ORDER BY b.id, counter
""")

_COUNT = text("""
    /* verify.count */
    SELECT count(*), coalesce(sum(total_recipients), 0) FROM whatsapp_broadcasts
     WHERE CAST(:broadcast_id AS bigint) IS NULL OR id = :broadcast_id
""")


@dataclass(frozen=True, slots=True)
class Difference:
    """A counter that is not what its rows say."""

    broadcast_id: int
    counter: str
    on_the_row: int
    in_the_rows: int


@dataclass(frozen=True, slots=True)
class BrokenHistory:
    """A history that is not the one that was written. where: in plain words."""

    broadcast_id: int
    where: str


@dataclass(frozen=True, slots=True)
class Verified:
    """What was held against what."""

    broadcasts_count: int
    recipients_count: int
    differences: list[Difference]
    broken_histories: list[BrokenHistory]

    @property
    def holds(self) -> bool:
        """Whether everything is as it should be."""
        return not self.differences and not self.broken_histories


async def verify(connection: AsyncConnection, broadcast_id: int | None = None) -> Verified:
    """Hold the counters of one broadcast, or of all, against their rows, and their histories against their chains."""
    values = {"broadcast_id": broadcast_id}
    broadcasts_count, recipients_count = (await connection.execute(_COUNT, values)).one()
    differences = [Difference(*row) for row in await connection.execute(_DIFFERENCES, values)]
    broken = [BrokenHistory(*found) async for found in breaks(connection, broadcast_id)]
    return Verified(broadcasts_count, int(recipients_count), differences, broken)
