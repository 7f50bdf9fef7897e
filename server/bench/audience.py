"""A broadcast to very many people, made by PostgreSQL alone, in the middle of its sending."""

import time
from dataclasses import dataclass
from typing import Final

import psycopg
from psycopg.types.json import Jsonb

from server.bench.workshop import MESSAGE, Workshop

# Written at once: enough for PostgreSQL to be quick, few enough for its log to be kept short meanwhile.
AT_ONCE: Final = 1_000_000
_BROADCAST: Final = """
    INSERT INTO whatsapp_broadcasts (business_id, name, message, status, rate_limit, total_recipients, sent_count,
                                     processed_count)
    VALUES (%(business_id)s, 'A benchmark', %(message)s, 'queued', %(rate)s, %(people)s, %(sent)s, %(sent)s)
    RETURNING id
"""
_PEOPLE: Final = """
    INSERT INTO whatsapp_broadcast_recipients (broadcast_id, business_id, row_number, phone, variables, status,
                                               message_id, sent_at)
    SELECT %(broadcast_id)s, %(business_id)s, n, '+' || 15550000000 + n,
           jsonb_build_object('first_name', 'Dana', 'order_id', 'A-' || n),
           CASE WHEN n <= %(sent)s THEN 'sent' ELSE 'queued' END,
           CASE WHEN n <= %(sent)s THEN 'wamid.' || lpad(n::text, 16, '0') END,
           CASE WHEN n <= %(sent)s THEN now() END
      FROM generate_series(%(first)s::bigint, %(last)s::bigint) AS n
"""
_CURSOR: Final = """
    UPDATE whatsapp_broadcasts b SET last_processed_recipient_id = c.id, settled_through_id = c.id
      FROM (SELECT min(id) + %(sent)s - 1 AS id FROM whatsapp_broadcast_recipients
             WHERE broadcast_id = %(broadcast_id)s) AS c
     WHERE b.id = %(broadcast_id)s RETURNING b.last_processed_recipient_id
"""
_SIZE: Final = "SELECT pg_total_relation_size('whatsapp_broadcast_recipients')"
_COUNT: Final = "SELECT count(*) FROM whatsapp_broadcast_recipients WHERE broadcast_id = %s AND status = %s"
_END_LEASE: Final = "UPDATE whatsapp_broadcasts SET lease_holder = NULL, lease_expires_at = NULL WHERE id = %s"


@dataclass(frozen=True, slots=True)
class Audience:
    """One broadcast, its first half sent to; the cursor stands at the last of them.

    megabytes: of 1,000,000 bytes, what its recipients take on disk with their indexes.
    """

    broadcast_id: int
    cursor: int
    waiting_count: int
    made_seconds: float
    megabytes: float

    def count(self, status: str, database_url: str) -> int:
        """Its recipients of one status."""
        with psycopg.connect(database_url) as connection:
            row = connection.execute(_COUNT, (self.broadcast_id, status)).fetchone()
        return int(row[0]) if row else 0

    def end_lease(self, database_url: str) -> None:
        """Nobody runs it from now on."""
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute(_END_LEASE, (self.broadcast_id,))


def make(shop: Workshop, people: int, *, rate: int) -> Audience:
    """A broadcast that waits to be gone on with, at so many messages a second."""
    began = time.perf_counter()
    values: dict[str, object] = {"business_id": shop.business_id, "people": people, "sent": people // 2, "rate": rate}
    with psycopg.connect(shop.database_url, autocommit=True) as connection:
        size_before = _number(connection, _SIZE)
        broadcast_id = _number(connection, _BROADCAST, {**values, "message": Jsonb(MESSAGE)})
        values["broadcast_id"] = broadcast_id
        for first in range(1, people + 1, AT_ONCE):
            connection.execute(_PEOPLE, {**values, "first": first, "last": min(first + AT_ONCE - 1, people)})
        cursor = _number(connection, _CURSOR, values)
        made_seconds = time.perf_counter() - began
        shop.settle()
        megabytes = (_number(connection, _SIZE) - size_before) / 1e6
    return Audience(broadcast_id, cursor, people - people // 2, made_seconds, megabytes)


def _number(connection: psycopg.Connection, statement: str, values: dict[str, object] | None = None) -> int:
    row = connection.execute(statement, values).fetchone()
    assert row is not None
    return int(row[0])
