"""A list of any size becomes contacts: checked row by row, copied in a chunk at a time, each person once by phone.

What a list says is added to what is known: tags come to tags, a value replaces a value, an empty cell nothing. Each
chunk is a transaction of its own, so that no row and no broadcast is locked for long; the same list again changes
nothing, which is what to do where one broke off. An opt-out in a list holds at once. An opt-in in a list is kept as
proof and lifts no opt-out: a list may be older than what the person said since.
"""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from psycopg import AsyncConnection as PlainConnection
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from server.domain.errors import BadInput
from server.domain.sentences import said
from server.services import consents, suppressions
from server.services.audiences import Loaded, LoadProgress
from server.services.contact_lists import IN_A_FILE, ContactRow
from server.tenancy import Connects

CHUNK_ROWS: Final = 10_000
CHUNK_CHARACTERS: Final = 8_000_000
_encode = msgspec.json.Encoder().encode

_MAKE_ROOM: Final = "CREATE TEMPORARY TABLE staged_contacts (person JSONB) ON COMMIT DROP"
_COPY: Final = "COPY staged_contacts (person) FROM STDIN"

_TAKE_IN: Final = """
    /* contact_imports.take_in
       Why:  by the unique index on (business_id, phone); who has all of it already is not written again.
       Lock: contacts in the order of their phones, so that two lists at once never wait for each other in a ring. */
    WITH rows AS (
        SELECT person ->> 'phone' AS phone, person ->> 'name' AS name, person -> 'attributes' AS attributes,
               ARRAY(SELECT jsonb_array_elements_text(person -> 'tags')) AS tags
          FROM staged_contacts
    ), came AS (
        INSERT INTO contacts AS c (business_id, phone, name, tags, attributes)
        SELECT %(business_id)s, phone, name, tags, attributes FROM rows ORDER BY phone
            ON CONFLICT (business_id, phone) DO UPDATE
           SET name = coalesce(excluded.name, c.name), attributes = c.attributes || excluded.attributes,
               tags = ARRAY(SELECT DISTINCT tag COLLATE "C" FROM unnest(c.tags || excluded.tags) AS tag ORDER BY 1),
               updated_at = now()
         WHERE NOT (c.tags @> excluded.tags AND c.attributes @> excluded.attributes
                    AND (excluded.name IS NULL OR excluded.name IS NOT DISTINCT FROM c.name))
        RETURNING xmax = 0 AS is_new
    )
    SELECT count(*) FILTER (WHERE is_new), count(*) FILTER (WHERE NOT is_new) FROM came
"""

_STOP = text("""
    /* contact_imports.stop   Whoever has stopped already said so once. */
    INSERT INTO consent_changes (business_id, phone, wish, source, at)
    SELECT :business_id, phone, 'stop', :source, :at FROM unnest(CAST(:phones AS text[])) AS told (phone)
     WHERE NOT EXISTS (SELECT FROM suppressions s WHERE s.business_id = :business_id AND s.phone = told.phone)
        ON CONFLICT DO NOTHING RETURNING phone
""")

_START = text("""
    /* contact_imports.start   Kept as proof. It lifts nothing: who stopped is left out. */
    INSERT INTO consent_changes (business_id, phone, wish, source, note, at)
    SELECT :business_id, told.phone, 'start', told.source, told.note, told.at
      FROM jsonb_to_recordset(CAST(:told AS jsonb)) AS told (phone text, source text, note text, at timestamptz)
     WHERE NOT EXISTS (SELECT FROM suppressions s WHERE s.business_id = :business_id AND s.phone = told.phone)
        ON CONFLICT DO NOTHING
""")

_STILL_OUT = text("""
    /* contact_imports.still_out */
    SELECT count(*) FROM suppressions WHERE business_id = :business_id AND phone = ANY(:phones)
""")


@dataclass(slots=True)
class Imported(Loaded):
    """What became of a list of contacts.

    merged_count: rows that were put together with an earlier one about the same person; where one is far behind the
    other (`CHUNK_ROWS`), the later is added to somebody who is known by then. still_opted_out_count: rows that say
    `opt_in_at` of somebody who has stopped, and who stays stopped.
    """

    created_count: int = 0
    updated_count: int = 0
    merged_count: int = 0
    opted_out_count: int = 0
    still_opted_out_count: int = 0


@dataclass(slots=True)
class _Chunk:
    """Rows that were checked: the people, each once, and what cannot be used."""

    people: dict[str, ContactRow]
    rejected: list[ContactRow]
    rows_count: int


async def import_contacts(
    engine: Connects,
    business_id: int,
    rows: Iterator[ContactRow],
    on_progress: Callable[[LoadProgress], None] | None = None,
) -> Imported:
    """Take a list in, a chunk at a time. Raises `BadInput` where it cannot be read on; what came before it stays."""
    done = Imported()
    while True:
        try:
            chunk = await asyncio.to_thread(_check, rows)
        except BadInput as error:
            if not done.accepted_count:
                raise
            raise BadInput(f"{error.detail} {_before(done.accepted_count)}") from error
        if not chunk.rows_count:
            return done
        if chunk.people:
            async with engine.begin() as connection:
                await _take_in(connection, business_id, chunk, done)
        done.rows_count += chunk.rows_count
        done.accepted_count += chunk.rows_count - len(chunk.rejected)
        done.merged_count += chunk.rows_count - len(chunk.rejected) - len(chunk.people)
        for row in chunk.rejected:
            done.reject(row.number, row.phone, row.problem or "")
        if on_progress is not None:
            on_progress(LoadProgress(done.rows_count, done.accepted_count, done.rejected_count))


def _check(rows: Iterator[ContactRow]) -> _Chunk:
    """Read and check the next rows. Runs in a thread."""
    chunk, characters = _Chunk({}, [], 0), 0
    for row in rows:
        chunk.rows_count += 1
        characters += sum(map(len, row.attributes.values()))
        if row.problem is not None:
            chunk.rejected.append(row)
        elif row.phone in chunk.people:
            chunk.people[row.phone].add(row)
        else:
            chunk.people[row.phone] = row
        if chunk.rows_count >= CHUNK_ROWS or characters >= CHUNK_CHARACTERS:
            break
    return chunk


async def _take_in(connection: AsyncConnection, business_id: int, chunk: _Chunk, done: Imported) -> None:
    people = chunk.people.values()
    lines = b"".join(_line(person) for person in people)
    raw = await connection.get_raw_connection()
    driver = raw.driver_connection
    assert isinstance(driver, PlainConnection)
    async with driver.cursor() as cursor:
        await cursor.execute(_MAKE_ROOM)
        async with cursor.copy(_COPY) as copy:
            await copy.write(lines)
        await cursor.execute(_TAKE_IN, {"business_id": business_id})
        created_count, updated_count = await cursor.fetchone() or (0, 0)
    done.created_count += created_count
    done.updated_count += updated_count
    stops = [person.phone for person in people if person.opt_out]
    starts = [person for person in people if person.opt_in is not None and not person.opt_out]
    if stops or starts:
        await consents.in_turn(connection, business_id)
        await _stop(connection, business_id, stops, done)
        await _start(connection, business_id, starts, done)


async def _stop(connection: AsyncConnection, business_id: int, phones: list[str], done: Imported) -> None:
    if not phones:
        return
    values = {"business_id": business_id, "phones": phones, "source": IN_A_FILE, "at": datetime.now(UTC)}
    stopped = sorted((await connection.scalars(_STOP, values)).all())
    if stopped:
        await suppressions.suppress_all(connection, business_id, stopped, IN_A_FILE)
        done.opted_out_count += len(stopped)


async def _start(connection: AsyncConnection, business_id: int, people: list[ContactRow], done: Imported) -> None:
    if not people:
        return
    told: list[dict[str, Any]] = [
        {"phone": person.phone, **person.opt_in._asdict()} for person in people if person.opt_in is not None
    ]
    which = {"business_id": business_id, "phones": [person.phone for person in people]}
    await connection.execute(_START, {"business_id": business_id, "told": _encode(told).decode()})
    done.still_opted_out_count += int(await connection.scalar(_STILL_OUT, which) or 0)


def _line(person: ContactRow) -> bytes:
    """One line of COPY's text format: a backslash of JSON is doubled there."""
    kept = {"phone": person.phone, "name": person.name, "tags": person.tags, "attributes": person.attributes}
    return _encode(kept).replace(b"\\", b"\\\\") + b"\n"


def _before(count: int) -> str:
    return said("%(count)s rows before it were taken in.", count=f"{count:,}")
