"""One bulk operation at a time for each business; the others wait and start by themselves when the gate opens.

The gate lives in PostgreSQL beside the truth it guards, not in Redis where the two could disagree. Its row stays when
it is released, so that the fencing token only ever grows. It also holds the rate at which a business may start bulk
operations.
"""

from dataclasses import dataclass

import psycopg
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from server.database import CONNECT_TIMEOUT_SECONDS
from server.domain.errors import LimitReached
from server.domain.sentences import said
from server.services.leases import this_process

BROADCAST = "broadcast"
START_WINDOW_SECONDS = 60

_TAKE = text("""
    /* bulk_gate.take
       Free, run out, ours already, or held for this very broadcast by a runner that is gone: its lease says so. */
    INSERT INTO bulk_gates AS g (business_id, operation, holder, broadcast_id, fencing_token, expires_at)
    VALUES (:business_id, :operation, :holder, :broadcast_id, 1, clock_timestamp() + :seconds * interval '1 second')
    ON CONFLICT (business_id, operation) DO UPDATE
       SET holder = excluded.holder, broadcast_id = excluded.broadcast_id,
           fencing_token = g.fencing_token + 1, expires_at = excluded.expires_at
     WHERE g.holder IS NULL OR g.expires_at <= clock_timestamp() OR g.holder = excluded.holder
    RETURNING g.fencing_token
""")

_COUNT_START = text("""
    /* bulk_gate.count_start   A window a business, begun by its first start. */
    INSERT INTO bulk_gates AS g (business_id, operation, window_started_at, starts_in_window)
    VALUES (:business_id, :operation, clock_timestamp(), 1)
    ON CONFLICT (business_id, operation) DO UPDATE
       SET window_started_at = CASE WHEN g.window_started_at > clock_timestamp() - :window * interval '1 second'
                                    THEN g.window_started_at ELSE clock_timestamp() END,
           starts_in_window = CASE WHEN g.window_started_at > clock_timestamp() - :window * interval '1 second'
                                   THEN g.starts_in_window + 1 ELSE 1 END
    RETURNING g.starts_in_window
""")

_RELEASE = """
    /* bulk_gate.release   Only what this process holds. */
    UPDATE bulk_gates SET holder = NULL, broadcast_id = NULL, expires_at = NULL
     WHERE business_id = %s AND operation = %s AND holder = %s
"""


@dataclass(frozen=True, slots=True)
class BulkGate:
    """The gate of one business for one kind of operation."""

    business_id: int
    operation: str = BROADCAST

    async def take(self, connection: AsyncConnection, broadcast_id: int, seconds: float) -> int | None:
        """Pass the gate for so many seconds. Returns the fencing token; None where another operation holds it."""
        values = {
            "business_id": self.business_id,
            "operation": self.operation,
            "holder": this_process(),
            "broadcast_id": broadcast_id,
            "seconds": seconds,
        }
        token: int | None = await connection.scalar(_TAKE, values)
        return token

    async def count_start(self, connection: AsyncConnection, allowed_per_minute: int) -> None:
        """Count one start of a bulk operation. Raises `LimitReached` above so many in a minute."""
        values = {"business_id": self.business_id, "operation": self.operation, "window": START_WINDOW_SECONDS}
        starts = await connection.scalar(_COUNT_START, values)
        if starts is not None and starts > allowed_per_minute:
            raise LimitReached(
                said(
                    "This business has started %(count)s broadcasts within a minute, which is the limit. Try again in "
                    "a minute.",
                    count=allowed_per_minute,
                )
            )

    def release(self, database_url: str) -> bool:
        """Open the gate again, if this process holds it. True if it did.

        On a connection of its own, outside any event loop: it must work where the run's own connections broke.
        """
        with psycopg.connect(database_url, autocommit=True, connect_timeout=CONNECT_TIMEOUT_SECONDS) as connection:
            cursor = connection.execute(_RELEASE, (self.business_id, self.operation, this_process()))
            return cursor.rowcount > 0
