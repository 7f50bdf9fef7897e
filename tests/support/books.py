"""The one judge of every fault test: counters equal rows, equal what the simulator accepted."""

from collections import Counter
from dataclasses import dataclass

import psycopg
from psycopg.rows import dict_row

COUNTERS = {
    "sent_count": ("sent", "delivered", "read"),
    "delivered_count": ("delivered", "read"),
    "read_count": ("read",),
    "failed_count": ("failed",),
    "cancelled_count": ("cancelled",),
    "skipped_count": ("skipped",),
    "unknown_count": ("unknown",),
    "processed_count": ("sent", "delivered", "read", "failed", "cancelled", "skipped"),
}


@dataclass(frozen=True, slots=True)
class Books:
    """A broadcast row and its recipients, read in one snapshot."""

    row: dict[str, object]
    statuses: Counter[str]


def read_books(database_url: str, broadcast_id: int) -> Books:
    """The row and the count of its recipients by status."""
    with psycopg.connect(database_url, row_factory=dict_row) as connection:
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        row = connection.execute("SELECT * FROM whatsapp_broadcasts WHERE id = %s", (broadcast_id,)).fetchone()
        assert row is not None
        rows = connection.execute(
            "SELECT status, count(*) AS n FROM whatsapp_broadcast_recipients WHERE broadcast_id = %s GROUP BY status",
            (broadcast_id,),
        ).fetchall()
    return Books(row, Counter({found["status"]: found["n"] for found in rows}))


def assert_counters_equal_rows(database_url: str, broadcast_id: int) -> Books:
    """At every commit the counters of a broadcast equal a GROUP BY over its recipients."""
    books = read_books(database_url, broadcast_id)
    expected = {name: sum(books.statuses[status] for status in which) for name, which in COUNTERS.items()}
    assert {name: books.row[name] for name in COUNTERS} == expected
    assert books.row["total_recipients"] == books.statuses.total()
    return books
