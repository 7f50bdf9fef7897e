"""People who are left alone for now: looked for by ranges of numbers, put off, and let go again.

Who is left alone until when is a `Timetable` of `domain/quiet_hours.py`; its ranges of numbers are found by the unique
index on (broadcast_id, phone), or for each row by one binary search. Nothing here decides who may be sent to: the
worker looks once more at each person right before the message would leave. What is put off here is not claimed first.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from server.domain.quiet_hours import Timetable
from server.domain.zones import DIGITS, prefix_of
from server.services.ledger import Ledger
from server.services.signals import look_at_row
from server.tenancy import Connects

# A pause waits for one of these at most; at 80 messages a second it is a minute's worth of people.
ROWS_AT_ONCE: Final = 5_000
# A digit more than any number has: digits alone are in the same order whatever the collation of the database.
_BEHIND_ALL: Final = "+" + "9" * (DIGITS + 1)


def key(phone: str) -> str:
    """A phone as the number that ranges go by, in SQL; `zones.key_of` is the same in Python. Older rows may be odd."""
    is_number = f"{phone} ~ '^[+][0-9]{{1,15}}$'"
    return f"CASE WHEN {is_number} THEN CAST(rpad(substr({phone}, 2), 15, '0') AS bigint) ELSE 0 END"


CENSUS: Final = """
    /* put_offs.census
       Why:  where nobody of a list is left alone there is nothing to put off; where everybody is, there is nothing to
             write down for each of them either: the broadcast waits as a whole.
       Cost: one index look-up a range, a thousand of them at most, however many people: some milliseconds.
       Whoever has a message already is counted in; they cost a look through the list at most. */
    SELECT coalesce(bool_or(w.until_epoch = 0), false) AS is_anybody_awake,
           min(w.until_epoch) FILTER (WHERE w.until_epoch > 0) AS first_until
      FROM unnest(%(froms)s::text[], %(tos)s::text[], %(untils)s::float8[]) AS w (first, next, until_epoch)
     WHERE EXISTS (SELECT FROM whatsapp_broadcast_recipients r
                    WHERE r.broadcast_id = %(broadcast_id)s AND r.phone >= w.first AND r.phone < w.next)
"""

PUT_OFF: Final = f"""
    /* put_offs.put_off
       Why:  who is left alone now is not claimed before their time.
       Cost: one index range behind the cursor, a binary search a row; a write for whoever is put off alone.
       Lock: the broadcast, then its recipients. */
    WITH run AS (
        SELECT id, last_processed_recipient_id AS cursor FROM whatsapp_broadcasts
         WHERE id = %(broadcast_id)s AND run_epoch = %(epoch)s FOR UPDATE
    ), looked AS MATERIALIZED (
        SELECT r.id, (%(untils)s::float8[])[width_bucket({key("r.phone")}, %(lows)s::bigint[])] AS until_epoch
          FROM whatsapp_broadcast_recipients r
         WHERE r.broadcast_id = %(broadcast_id)s
           AND r.id > greatest(%(after_id)s, (SELECT cursor FROM run))
           AND r.status = 'queued' AND r.next_attempt_at IS NULL
         ORDER BY r.id LIMIT %(most)s
    ), put_off AS (
        UPDATE whatsapp_broadcast_recipients r
           SET next_attempt_at = to_timestamp(l.until_epoch), error_message = 'quiet hours'
          FROM looked l, run
         WHERE r.broadcast_id = run.id AND r.id = l.id AND l.until_epoch > 0
           AND r.status = 'queued'      -- asked twice: an opt-out may commit between the look and the write
        RETURNING r.next_attempt_at
    ), noted AS (
        UPDATE whatsapp_broadcasts b
           SET waits_until = greatest(b.waits_until, (SELECT max(next_attempt_at) FROM put_off))
          FROM run WHERE b.id = run.id AND EXISTS (SELECT FROM put_off)
    )
    SELECT (SELECT max(id) FROM looked) AS last_id, (SELECT count(*) FROM looked) AS looked_count FROM run
"""  # noqa: S608 - our own text

_WAITING = text("""
    /* put_offs.waiting   The live broadcasts of a business, which are few. */
    SELECT id FROM whatsapp_broadcasts
     WHERE business_id = :business_id AND status IN ('queued', 'running', 'paused') ORDER BY id
""")

_LOCK = text("/* put_offs.lock */ SELECT FROM whatsapp_broadcasts WHERE id = :broadcast_id FOR UPDATE")

_RELEASE = text("""
    /* put_offs.release
       Why:  the hours were changed; who still is left alone by the new ones is put off again by the run.
       Cost: those who wait, by the small partial index, a few thousand at a time.
       Lock: the broadcast (the caller's), then its recipients. */
    UPDATE whatsapp_broadcast_recipients SET next_attempt_at = clock_timestamp()
     WHERE broadcast_id = :broadcast_id AND id IN (
               SELECT id FROM whatsapp_broadcast_recipients
                WHERE broadcast_id = :broadcast_id AND next_attempt_at > statement_timestamp()
                  AND status = 'queued' AND error_message = 'quiet hours' LIMIT :most)
       AND status = 'queued'
    RETURNING id
""")

RELEASE_OWN: Final = """
    /* put_offs.release_own
       Why:  a run that did not know of the new hours yet may have put off people by the old ones after `release` was
             through; it lets them go itself. Once more later only those up to the cursor: whom it had claimed when it
             heard of the hours, and had not recorded yet.
       Cost, lock: as put_offs.release. */
    WITH run AS (
        SELECT id FROM whatsapp_broadcasts WHERE id = %(broadcast_id)s AND run_epoch = %(epoch)s FOR UPDATE
    ), released AS (
        UPDATE whatsapp_broadcast_recipients r SET next_attempt_at = clock_timestamp()
          FROM run
         WHERE r.broadcast_id = run.id AND r.status = 'queued'
           AND r.id IN (SELECT w.id FROM whatsapp_broadcast_recipients w
                         WHERE w.broadcast_id = %(broadcast_id)s AND w.next_attempt_at > statement_timestamp()
                           AND w.status = 'queued' AND w.error_message = 'quiet hours'
                           AND (%(everybody)s OR w.id <= (SELECT last_processed_recipient_id FROM whatsapp_broadcasts
                                                           WHERE id = %(broadcast_id)s))
                         LIMIT %(most)s)
        RETURNING 1
    )
    SELECT (SELECT count(*) FROM released) FROM run
"""

_GO_ON = text("""
    /* put_offs.go_on
       The steward resumes it, or asks for a run; one that waits for somebody who was put off otherwise waits no longer
       than for the first. That somebody was put off is not forgotten: `canaries.py` asks. */
    UPDATE whatsapp_broadcasts b
       SET resume_at = CASE WHEN b.status = 'paused' AND b.pause_reason = 'quiet_hours' THEN clock_timestamp()
                            WHEN b.status = 'queued' AND b.resume_at IS NOT NULL THEN least(b.resume_at, w.first_at)
                            ELSE b.resume_at END,
           waits_until = CASE WHEN b.waits_until IS NOT NULL THEN coalesce(w.last_at, clock_timestamp()) END
      FROM (SELECT min(r.next_attempt_at) AS first_at, max(r.next_attempt_at) AS last_at
              FROM whatsapp_broadcast_recipients r
             WHERE r.broadcast_id = :broadcast_id AND r.next_attempt_at IS NOT NULL AND r.status = 'queued') AS w
     WHERE b.id = :broadcast_id AND b.status IN ('queued', 'running', 'paused')
""")

_LOOK_AGAIN = text("""
    /* put_offs.look_again   It goes on at once, and is looked at by the hours that hold now. */
    UPDATE whatsapp_broadcasts b SET resume_at = clock_timestamp()
      FROM businesses o
     WHERE b.id = :broadcast_id AND b.status = 'paused' AND b.pause_reason = 'quiet_hours' AND o.id = b.business_id
       AND (o.quiet_hours IS DISTINCT FROM CAST(:quiet_hours AS jsonb) OR o.time_zone <> :time_zone)
""")


class Census(NamedTuple):
    """Who is on a list. first_until: when the first who may not may, in seconds since 1970; None: all may."""

    is_anybody_awake: bool
    first_until: float | None


async def census(ledger: Ledger, table: Timetable) -> Census:
    """Whether anybody of the run's list may be sent to now, and when the first of the others may."""
    froms = [prefix_of(low) for low in table.lows]
    values = {"froms": froms, "tos": [*froms[1:], _BEHIND_ALL], "untils": _epochs(table)}
    (row,) = await ledger.ask(CENSUS, **values)
    return Census(*row)


async def put_off(ledger: Ledger, table: Timetable, after_id: int) -> int | None:
    """Put off whoever of the next few thousand behind this id, and behind the cursor, is left alone now.

    Returns the id up to which it has looked; None: nobody is behind. Raises `RunLost`.
    """
    values = {"lows": list(table.lows), "untils": _epochs(table), "after_id": after_id, "most": ROWS_AT_ONCE}
    last_id, looked_count = ledger.mine(await ledger.ask(PUT_OFF, **values))
    return int(last_id) if looked_count == ROWS_AT_ONCE else None


async def release(engine: Connects, business_id: int) -> None:
    """The hours of a business are others: whoever was put off by them is looked at once more, now.

    In transactions of its own, so that no run waits long. Killed in between, whoever is left waits for the old time.
    """
    async with engine.connect() as connection:
        broadcast_ids = list(await connection.scalars(_WAITING, {"business_id": business_id}))
    for broadcast_id in broadcast_ids:
        while await _release_some(engine, broadcast_id) == ROWS_AT_ONCE:
            continue
        async with engine.begin() as connection:
            await connection.execute(_GO_ON, {"broadcast_id": broadcast_id})
            await look_at_row(connection, broadcast_id)


async def release_own(ledger: Ledger, *, everybody: bool) -> None:
    """Let those go whom this run has put off, to be looked at by the hours that hold now. Raises `RunLost`.

    everybody: False for those up to the cursor alone.
    """
    while ledger.mine(await ledger.ask(RELEASE_OWN, most=ROWS_AT_ONCE, everybody=everybody))[0] == ROWS_AT_ONCE:
        continue


async def look_again(engine: Connects, broadcast_id: int, quiet_hours: Mapping[str, Any] | None, zone: str) -> None:
    """A run has stopped because of these hours: where they are others by now, it shall not wait for their end.

    After the stop is committed: hours that change later find it stopped (`release`).
    """
    said = None if quiet_hours is None else msgspec.json.encode(quiet_hours).decode()
    async with engine.begin() as connection:
        await connection.execute(_LOOK_AGAIN, {"broadcast_id": broadcast_id, "quiet_hours": said, "time_zone": zone})


async def _release_some(engine: Connects, broadcast_id: int) -> int:
    async with engine.begin() as connection:
        await connection.execute(_LOCK, {"broadcast_id": broadcast_id})
        values = {"broadcast_id": broadcast_id, "most": ROWS_AT_ONCE}
        return len((await connection.execute(_RELEASE, values)).all())


_COUNT = text(f"""
    /* put_offs.count   Cost: every waiting recipient of the broadcast once. */
    SELECT width_bucket({key("phone")}, CAST(:lows AS bigint[])) AS nth, count(*) AS people
      FROM whatsapp_broadcast_recipients WHERE broadcast_id = :broadcast_id AND status = 'queued' GROUP BY 1
""")  # noqa: S608 - our own text


async def counted(connection: AsyncConnection, broadcast_id: int, lows: Sequence[int]) -> dict[int, int]:
    """How many people of a list are in each range of numbers that somebody is in; the first range is 1."""
    rows = await connection.execute(_COUNT, {"broadcast_id": broadcast_id, "lows": list(lows)})
    return {row.nth: row.people for row in rows}


def _epochs(table: Timetable) -> list[float]:
    """Instants in seconds since 1970, 0 for nobody's: the database finds the nth of fixed lengths at once."""
    return [0.0 if until is None else _epoch(until) for until in table.untils]


def _epoch(instant: datetime) -> float:
    return instant.timestamp()
