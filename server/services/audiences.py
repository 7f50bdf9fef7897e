"""From a list to recipients: checked row by row, copied in as a stream, in the caller's transaction.

Bad rows never stop the good ones: they are counted, and the first thousand are kept with their line and the reason. The
same phone twice in one broadcast is sent once; the second is `duplicate`. Memory does not grow with the list.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final, NamedTuple

import msgspec
from psycopg import AsyncConnection as PlainConnection
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from server.domain.messages import MessagePlan
from server.domain.people_findings import DUPLICATE
from server.domain.phones import normalise
from server.services.csv_lists import Row

CHUNK_ROWS: Final = 20_000
KEPT_REJECTED: Final = 1_000
LONGEST_SHOWN: Final = 40
_encode = msgspec.json.Encoder().encode

_MAKE_ROOM: Final = """
    /* audiences.make_room */
    CREATE TEMPORARY TABLE IF NOT EXISTS staged_recipients
        (row_number BIGINT, phone TEXT, variables JSONB) ON COMMIT DROP
"""
_EMPTY: Final = "TRUNCATE staged_recipients"
_COPY: Final = "COPY staged_recipients (row_number, phone, variables) FROM STDIN"

_LAST_ID: Final = """
    /* audiences.last_id   Cost: the end of one index range. */
    SELECT coalesce(max(id), 0) FROM whatsapp_broadcast_recipients WHERE broadcast_id = %(broadcast_id)s
"""

_TAKE_IN: Final = """
    /* audiences.take_in
       Why:  the unique index on (broadcast_id, phone) says who is there already; who opted out comes in as `skipped`.
       Cost: two index entries a row. Ids follow the order of the list. */
    INSERT INTO whatsapp_broadcast_recipients
           (broadcast_id, business_id, row_number, phone, variables, status, error_message)
    SELECT %(broadcast_id)s, %(business_id)s, s.row_number, s.phone, s.variables,
           CASE WHEN u.phone IS NULL THEN 'queued' ELSE 'skipped' END,
           CASE WHEN u.phone IS NULL THEN NULL ELSE 'opted out' END
      FROM staged_recipients s
      LEFT JOIN suppressions u ON u.business_id = %(business_id)s AND u.phone = s.phone
     ORDER BY s.row_number
        ON CONFLICT (broadcast_id, phone) DO NOTHING
"""

_STAYED_OUT: Final = """
    /* audiences.stayed_out   Whoever was there before this chunk. */
    SELECT s.row_number, s.phone FROM staged_recipients s
     WHERE NOT EXISTS (SELECT FROM whatsapp_broadcast_recipients r
                        WHERE r.broadcast_id = %(broadcast_id)s AND r.phone = s.phone AND r.id > %(last_id)s)
     ORDER BY s.row_number
"""

_COUNT = text("""
    /* audiences.count   Once a list: the counters follow the rows in the same transaction. */
    WITH came AS (
        SELECT count(*) AS n, count(*) FILTER (WHERE status = 'skipped') AS skipped
          FROM whatsapp_broadcast_recipients WHERE broadcast_id = :broadcast_id AND id > :last_id
    )
    UPDATE whatsapp_broadcasts b
       SET total_recipients = b.total_recipients + came.n,
           skipped_count = b.skipped_count + came.skipped, processed_count = b.processed_count + came.skipped,
           rejected = (SELECT coalesce(jsonb_agg(e ORDER BY n), '[]') FROM (
                           SELECT e, n FROM jsonb_array_elements(b.rejected || CAST(:rejected AS jsonb))
                                  WITH ORDINALITY AS x (e, n) ORDER BY n LIMIT :kept) AS first),
           rejected_count = b.rejected_count + :rejected_count
      FROM came WHERE b.id = :broadcast_id
""")


class LoadProgress(NamedTuple):
    """How far a list has been read."""

    rows_count: int
    accepted_count: int
    rejected_count: int


@dataclass(slots=True)
class Loaded:
    """What became of a list. rejected: the first thousand, as {"row", "phone", "reason"}."""

    accepted_count: int = 0
    rejected_count: int = 0
    rows_count: int = 0
    rejected: list[dict[str, Any]] = field(default_factory=list)

    def reject(self, row_number: int, phone: str, reason: str) -> None:
        """Count one row that cannot be used, and keep it if it is among the first."""
        self.rejected_count += 1
        if len(self.rejected) < KEPT_REJECTED:
            shown = phone[:LONGEST_SHOWN].replace("\x00", "")
            self.rejected.append({"row": row_number, "phone": shown, "reason": reason})


@dataclass(slots=True)
class _Chunk:
    """Rows that were checked: those to copy, and those to reject."""

    lines: list[bytes]
    rejected: list[tuple[int, str, str]]
    rows_count: int


async def load_recipients(
    connection: AsyncConnection,
    *,
    broadcast_id: int,
    business_id: int,
    rows: Iterable[Row],
    plan: MessagePlan | None,
    default_country: str | None,
    on_progress: Callable[[LoadProgress], None] | None = None,
) -> Loaded:
    """Add people to a broadcast, in the caller's transaction, which holds the broadcast row.

    plan: whoever lacks a value for it is rejected, and what it does not name is not kept. None: the message is still
    being written, so every column is kept, and nothing is missing yet.
    Checking a chunk and copying the one before go on at the same time.
    """
    raw = await connection.get_raw_connection()
    driver = raw.driver_connection
    assert isinstance(driver, PlainConnection)
    run = {"broadcast_id": broadcast_id, "business_id": business_id}
    await driver.execute(_MAKE_ROOM)
    first_id = await _last_id(driver, run)
    loaded, stream = Loaded(), iter(rows)
    chunk = await asyncio.to_thread(_check, stream, plan, default_country)
    while chunk.rows_count:
        copying = asyncio.create_task(_copy(driver, run, chunk, loaded))
        try:
            chunk = await asyncio.to_thread(_check, stream, plan, default_country)
        finally:
            await copying
        if on_progress is not None:
            on_progress(LoadProgress(loaded.rows_count, loaded.accepted_count, loaded.rejected_count))
    await connection.execute(
        _COUNT,
        {
            "broadcast_id": broadcast_id,
            "last_id": first_id,
            "rejected": _encode(loaded.rejected).decode(),
            "kept": KEPT_REJECTED,
            "rejected_count": loaded.rejected_count,
        },
    )
    return loaded


async def _last_id(driver: PlainConnection[Any], run: dict[str, int]) -> int:
    row = await (await driver.execute(_LAST_ID, run)).fetchone()
    return int(row[0]) if row else 0


async def _copy(driver: PlainConnection[Any], run: dict[str, int], chunk: _Chunk, loaded: Loaded) -> None:
    """Bring one chunk in; whoever is on the list already is rejected as a duplicate."""
    rejected = chunk.rejected
    if chunk.lines:
        last_id = await _last_id(driver, run)
        async with driver.cursor() as cursor:
            await cursor.execute(_EMPTY)
            async with cursor.copy(_COPY) as copy:
                await copy.write(b"".join(chunk.lines))
            await cursor.execute(_TAKE_IN, run)
            accepted = cursor.rowcount
            if accepted < len(chunk.lines):
                await cursor.execute(_STAYED_OUT, {**run, "last_id": last_id})
                rejected = rejected + [(row, phone, DUPLICATE) for row, phone in await cursor.fetchall()]
        loaded.accepted_count += accepted
    loaded.rows_count += chunk.rows_count
    for row_number, phone, reason in sorted(rejected):
        loaded.reject(row_number, phone, reason)


def _check(stream: Iterator[Row], plan: MessagePlan | None, default_country: str | None) -> _Chunk:
    """Read and check the next rows. Runs in a thread: the database works on the chunk before meanwhile."""
    chunk = _Chunk([], [], 0)
    seen: set[str] = set()
    for row in islice(stream, CHUNK_ROWS):
        chunk.rows_count += 1
        problem = row.problem
        phone = row.phone
        if problem is None:
            try:
                phone = normalise(phone, default_country)
                problem = _problem_of(row, phone, seen, plan)
            except ValueError as error:
                problem = str(error)
        if problem is not None:
            chunk.rejected.append((row.number, row.phone, problem))
            continue
        seen.add(phone)
        kept = row.variables if plan is None else {column: row.variables[column] for column in plan.columns}
        chunk.lines.append(_line(row.number, phone, kept))
    return chunk


def _problem_of(row: Row, phone: str, seen: set[str], plan: MessagePlan | None) -> str | None:
    if phone in seen:
        return DUPLICATE
    return None if plan is None else plan.problem_with(row.variables)


def _line(row_number: int, phone: str, variables: dict[str, str]) -> bytes:
    """One line of COPY's text format: a backslash of JSON is doubled there."""
    return b"%d\t%s\t%s\n" % (row_number, phone.encode(), _encode(variables).replace(b"\\", b"\\\\"))
