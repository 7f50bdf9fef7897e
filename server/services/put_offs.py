"""People who are left alone for now: looked for by ranges of numbers, put off, and let go again.

Who is left alone until when is a `Timetable` of `domain/quiet_hours.py`; its ranges of numbers are found by the unique
index on (broadcast_id, phone), or for each row by one binary search. Nothing here decides who may be sent to: the
worker looks once more at each person right before the message would leave. What is put off here is not claimed first.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from server.domain.local_time import LOCAL, LocalTime, waiting_times
from server.domain.quiet_hours import QUIET, Hours, Timetable, parse
from server.domain.zones import DIGITS, prefix_of
from server.services.ledger import Ledger, within
from server.services.signals import look_at_row
from server.tenancy import Connects

# A pause waits for one of these at most; at 80 messages a second it is a minute's worth of people.
ROWS_AT_ONCE: Final = 5_000
# Ids that are read at once: some tens of megabytes.
IDS_AT_ONCE: Final = 1_000_000
# Whoever changes the hours waits for as many: a second or two. All others are left to the run.
TIMED_AT_ONCE: Final = 20_000
REASONS: Final = [QUIET, LOCAL]
# A digit more than any number has: digits alone are in the same order whatever the collation of the database.
_BEHIND_ALL: Final = "+" + "9" * (DIGITS + 1)


def key(phone: str) -> str:
    """A phone as the number that ranges go by, in SQL; `zones.key_of` is the same in Python. Older rows may be odd."""
    is_number = f"{phone} ~ '^[+][0-9]{{1,15}}$'"
    return f"CASE WHEN {is_number} THEN CAST(rpad(substr({phone}, 2), 15, '0') AS bigint) ELSE 0 END"


def _why(nth: str) -> str:
    """Why somebody of a range is left alone, in SQL; not from the words themselves: see `_epochs`."""
    return f"CASE WHEN (%(are_early)s::boolean[])[{nth}] THEN '{LOCAL}' ELSE '{QUIET}' END"


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
       Why:  who is left alone now is not claimed before their time. How many wait until when is kept for the eta; those
             who wait for their local time were counted before (`local_times.py`).
       Cost: one index range behind the cursor, a binary search a row; a write for whoever is put off alone.
       Lock: the broadcast, then its recipients. */
    WITH run AS (
        SELECT id, last_processed_recipient_id AS cursor FROM whatsapp_broadcasts
         WHERE id = %(broadcast_id)s AND run_epoch = %(epoch)s FOR UPDATE
    ), looked AS MATERIALIZED (
        SELECT r.id, width_bucket({key("r.phone")}, %(lows)s::bigint[]) AS nth
          FROM whatsapp_broadcast_recipients r
         WHERE r.broadcast_id = %(broadcast_id)s
           AND r.id > greatest(%(after_id)s, (SELECT cursor FROM run))
           AND r.status = 'queued' AND r.next_attempt_at IS NULL
         ORDER BY r.id LIMIT %(most)s
    ), put_off AS (
        UPDATE whatsapp_broadcast_recipients r
           SET next_attempt_at = to_timestamp((%(untils)s::float8[])[l.nth]), error_message = {_why("l.nth")}
          FROM looked l, run
         WHERE r.broadcast_id = run.id AND r.id = l.id AND (%(untils)s::float8[])[l.nth] > 0
           AND r.status = 'queued'      -- asked twice: an opt-out may commit between the look and the write
        RETURNING r.next_attempt_at, r.error_message
    ), noted AS (
        UPDATE whatsapp_broadcasts b
           SET waits_until = greatest(b.waits_until, (SELECT max(next_attempt_at) FROM put_off)),
               waits = b.waits || (
                   SELECT coalesce(jsonb_object_agg(w.until, w.people + coalesce((b.waits ->> w.until)::bigint, 0)),
                                   '{{}}')
                     FROM (SELECT ceil(extract(epoch FROM next_attempt_at))::bigint::text AS until, count(*) AS people
                             FROM put_off WHERE error_message = 'quiet hours' GROUP BY 1) AS w)
          FROM run WHERE b.id = run.id AND EXISTS (SELECT FROM put_off)
    )
    SELECT (SELECT max(id) FROM looked) AS last_id, (SELECT count(*) FROM looked) AS looked_count FROM run
"""  # noqa: S608 - our own text

_WAITING = text("""
    /* put_offs.waiting   The live broadcasts of a business, which are few. */
    SELECT b.id, b.is_marketing, b.by_local_time, b.local_time, o.quiet_hours, o.time_zone
      FROM whatsapp_broadcasts b JOIN businesses o ON o.id = b.business_id
     WHERE b.business_id = :business_id AND b.status IN ('queued', 'running', 'paused') ORDER BY b.id
""")

WAITING_IDS: Final = """
    /* put_offs.waiting_ids
       Why:  whom to look at again is looked for without a lock, for as long as it takes.
       Cost: those who wait, by the small partial index, once for every million of them. */
    SELECT id FROM whatsapp_broadcast_recipients
     WHERE broadcast_id = %(broadcast_id)s AND next_attempt_at > statement_timestamp() AND status = 'queued'
       AND error_message = ANY(%(reasons)s::text[]) AND id > %(after_id)s
     ORDER BY id LIMIT %(most)s
"""

_ANEW: Final = f"""
    SELECT r.id, (%(untils)s::float8[])[w.nth] AS until_epoch, {_why("w.nth")} AS why
      FROM whatsapp_broadcast_recipients r, width_bucket({key("r.phone")}, %(lows)s::bigint[]) AS w (nth)
     WHERE r.broadcast_id = %(broadcast_id)s AND r.id = ANY(%(ids)s::bigint[]) AND r.status = 'queued'
       AND r.error_message = ANY(%(reasons)s::text[]) AND r.next_attempt_at > statement_timestamp()
"""  # noqa: S608 - our own text

_SET_ANEW: Final = """
    UPDATE whatsapp_broadcast_recipients r
       SET next_attempt_at = CASE WHEN a.until_epoch > 0 THEN to_timestamp(a.until_epoch) ELSE clock_timestamp() END,
           error_message = CASE WHEN a.until_epoch > 0 THEN a.why ELSE r.error_message END
      FROM anew a, run
     WHERE r.broadcast_id = run.id AND r.id = a.id
       -- Asked twice: they may have been claimed between the look and the write.
       AND r.status = 'queued' AND r.error_message = ANY(%(reasons)s::text[])
       AND r.next_attempt_at > statement_timestamp()
       -- Who is to wait as long as before is left alone: each write is a new entry of an index.
       AND (a.until_epoch = 0 OR r.next_attempt_at <> to_timestamp(a.until_epoch) OR r.error_message <> a.why)
    RETURNING 1
"""

TIME_ANEW: Final = f"""
    /* put_offs.time_anew
       Why:  the hours were changed: whoever waits does so until the time that they say now, or no longer. Without it
             everybody would be claimed only to be put off again. A run does it too, with its epoch: one that did not
             know of the new hours yet may have put off people by the old ones after others had looked.
       Cost: a look-up by the key for each of a few thousand; a write for those whose time is another.
       Lock: the broadcast, then its recipients. */
    WITH run AS (SELECT id FROM whatsapp_broadcasts WHERE id = %(broadcast_id)s
                    AND (%(epoch)s::integer IS NULL OR run_epoch = %(epoch)s) FOR UPDATE),
         anew AS MATERIALIZED ({_ANEW}), changed AS ({_SET_ANEW})
    SELECT (SELECT count(*) FROM changed) FROM run
"""  # noqa: S608 - our own text

_GO_ON_SOON = text("""
    /* put_offs.go_on_soon
       Why:  in the transaction that changes the hours. A run finds by itself who waits for other hours than it knows
             (`timed_otherwise`), and so nobody waits for the old ones where everything else is lost. */
    UPDATE whatsapp_broadcasts SET resume_at = clock_timestamp()
     WHERE id = :broadcast_id AND resume_at > clock_timestamp()
""")

_WAITS: Final = """
    (SELECT min(first_at) AS first_at, max(last_at) AS last_at,
            coalesce(jsonb_object_agg(until, people) FILTER (WHERE is_ours), '{{}}') AS waits
       FROM (SELECT ceil(extract(epoch FROM r.next_attempt_at))::bigint::text AS until, count(*) AS people,
                    min(r.next_attempt_at) AS first_at, max(r.next_attempt_at) AS last_at,
                    r.error_message IN ('quiet hours', 'local time')
                        AND r.next_attempt_at > statement_timestamp() AS is_ours
               FROM whatsapp_broadcast_recipients r
              WHERE r.broadcast_id = {id} AND r.next_attempt_at IS NOT NULL AND r.status = 'queued'
              GROUP BY until, is_ours) AS groups)
"""
_SET_WAITS: Final = """
           -- By local time whoever was not put off yet was counted as well.
           waits_until = CASE WHEN b.by_local_time THEN greatest(b.waits_until, w.last_at)
                              WHEN b.waits_until IS NOT NULL THEN coalesce(w.last_at, clock_timestamp()) END,
           waits = CASE WHEN b.by_local_time THEN b.waits ELSE w.waits END
"""

_GO_ON = text(f"""
    /* put_offs.go_on
       The steward resumes it, or asks for a run; one that waits for somebody who was put off otherwise waits no longer
       than for the first. That somebody was put off is not forgotten: `canaries.py` asks. */
    UPDATE whatsapp_broadcasts b
       SET resume_at = CASE WHEN b.status = 'paused' AND b.pause_reason IN ('quiet_hours', 'local_time')
                            THEN clock_timestamp()
                            WHEN b.status = 'queued' AND b.resume_at IS NOT NULL THEN least(b.resume_at, w.first_at)
                            ELSE b.resume_at END,
{_SET_WAITS}
      FROM {_WAITS.format(id=":broadcast_id")} AS w
     WHERE b.id = :broadcast_id AND b.status IN ('queued', 'running', 'paused')
""")  # noqa: S608 - our own text

RECOUNT: Final = f"""
    /* put_offs.recount
       Why:  a run has timed anew whoever waits: the eta goes by the times that they have now.
       Cost: those who wait, by the small partial index. */
    UPDATE whatsapp_broadcasts b SET {_SET_WAITS}
      FROM {_WAITS.format(id="%(broadcast_id)s")} AS w
     WHERE b.id = %(broadcast_id)s AND b.run_epoch = %(epoch)s RETURNING b.id
"""  # noqa: S608 - our own text

TIMED_OTHERWISE: Final = f"""
    /* put_offs.timed_otherwise
       Why:  the hours may have been changed while nobody was at work on this broadcast, by a process that did not live
             to time everybody anew.
       Cost: those who wait, by the small partial index, once a run; no lock. Half a minute is no change of hours: who
             was claimed first is put off for so many seconds, by another clock than this one. */
    SELECT EXISTS (
        SELECT FROM whatsapp_broadcast_recipients r, width_bucket({key("r.phone")}, %(lows)s::bigint[]) AS w (nth)
         WHERE r.broadcast_id = %(broadcast_id)s AND r.next_attempt_at > statement_timestamp() AND r.status = 'queued'
           AND r.error_message = ANY(%(reasons)s::text[])
           AND abs(extract(epoch FROM r.next_attempt_at)::float8 - (%(untils)s::float8[])[w.nth]) > 30)
"""  # noqa: S608 - our own text

_LOOK_AGAIN = text("""
    /* put_offs.look_again   It goes on at once, and is looked at by the hours that hold now. */
    UPDATE whatsapp_broadcasts b SET resume_at = clock_timestamp()
      FROM businesses o
     WHERE b.id = :broadcast_id AND b.status = 'paused' AND b.pause_reason IN ('quiet_hours', 'local_time')
       AND o.id = b.business_id
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
    last_id, looked_count = ledger.mine(
        await ledger.ask(PUT_OFF, **_bound(table), after_id=after_id, most=ROWS_AT_ONCE)
    )
    return int(last_id) if looked_count == ROWS_AT_ONCE else None


async def go_on_soon(connection: AsyncConnection, broadcast_id: int) -> None:
    """The hours that a broadcast waits for are others: it goes on at once, and its run times anew whoever waits.

    The caller holds the broadcast.
    """
    await connection.execute(_GO_ON_SOON, {"broadcast_id": broadcast_id})


async def release(engine: Connects, business_id: int) -> None:
    """The hours of a business are others: whoever was put off waits for the new ones, or no longer.

    In transactions of its own, so that no run waits long, and for the first `TIMED_AT_ONCE` of a broadcast: whom it
    leaves, or does not live to come to, a run finds.
    """
    async with engine.connect() as connection:
        broadcasts = (await connection.execute(_WAITING, {"business_id": business_id})).all()
    for row in broadcasts:
        has_hours = row.is_marketing and row.quiet_hours
        hours = Hours(parse(row.quiet_hours), row.time_zone) if has_hours else None
        local = LocalTime(row.local_time, row.time_zone) if row.by_local_time else None
        await _time_anew(engine, row.id, waiting_times(local, hours, datetime.now(UTC)))
        async with engine.begin() as connection:
            await connection.execute(_GO_ON, {"broadcast_id": row.id})
            await look_at_row(connection, row.id)


async def _time_anew(engine: Connects, broadcast_id: int, table: Timetable) -> None:
    values = {"broadcast_id": broadcast_id, "epoch": None, "reasons": REASONS}
    async with engine.begin() as connection:
        looked = {**values, "after_id": 0, "most": TIMED_AT_ONCE}
        ids = [row[0] for row in await within(connection, WAITING_IDS, looked)]
    for some in _in_parts(ids):
        async with engine.begin() as connection:
            await within(connection, TIME_ANEW, {**values, **_bound(table), "ids": some})


async def is_timed_otherwise(ledger: Ledger, table: Timetable) -> bool:
    """Whether somebody of the run waits for another time than the one that holds now."""
    (row,) = await ledger.ask(TIMED_OTHERWISE, lows=list(table.lows), untils=_epochs(table), reasons=REASONS)
    return bool(row[0])


async def recount(ledger: Ledger) -> None:
    """Count anew how many of the run wait until when. Raises `RunLost`."""
    ledger.mine(await ledger.ask(RECOUNT))


async def waiting_ids(ledger: Ledger, after_id: int) -> list[int]:
    """People of the run who wait for their time, at most a million behind this id, in the order of the list."""
    rows = await ledger.ask(WAITING_IDS, reasons=REASONS, after_id=after_id, most=IDS_AT_ONCE)
    return [row[0] for row in rows]


async def time_own_anew(ledger: Ledger, table: Timetable, ids: Sequence[int]) -> None:
    """Let a few thousand of the run who wait do so for the times that hold now. Raises `RunLost`."""
    ledger.mine(await ledger.ask(TIME_ANEW, **_bound(table), reasons=REASONS, ids=list(ids)))


async def look_again(
    connection: AsyncConnection, broadcast_id: int, quiet_hours: Mapping[str, Any] | None, zone: str
) -> None:
    """A run has stopped because of these hours: where they are others by now, it shall not wait for their end.

    In the transaction of the stop, which holds the broadcast: hours that change later find it stopped (`go_on_soon`).
    """
    said = None if quiet_hours is None else msgspec.json.encode(quiet_hours).decode()
    await connection.execute(_LOOK_AGAIN, {"broadcast_id": broadcast_id, "quiet_hours": said, "time_zone": zone})


_COUNT = text(f"""
    /* put_offs.count   Cost: every waiting recipient of the broadcast once. */
    SELECT width_bucket({key("phone")}, CAST(:lows AS bigint[])) AS nth, count(*) AS people
      FROM whatsapp_broadcast_recipients WHERE broadcast_id = :broadcast_id AND status = 'queued' GROUP BY 1
""")  # noqa: S608 - our own text


async def counted(connection: AsyncConnection, broadcast_id: int, lows: Sequence[int]) -> dict[int, int]:
    """How many people of a list are in each range of numbers that somebody is in; the first range is 1."""
    rows = await connection.execute(_COUNT, {"broadcast_id": broadcast_id, "lows": list(lows)})
    return {row.nth: row.people for row in rows}


def _in_parts(ids: Sequence[int]) -> Iterator[Sequence[int]]:
    return (ids[start : start + ROWS_AT_ONCE] for start in range(0, len(ids), ROWS_AT_ONCE))


def _bound(table: Timetable) -> dict[str, Any]:
    are_early = [why == LOCAL for why in table.whys]
    return {"lows": list(table.lows), "untils": _epochs(table), "are_early": are_early}


def _epochs(table: Timetable) -> list[float]:
    """Instants in seconds since 1970, 0 for nobody's: the database finds the nth of fixed lengths at once."""
    return [0.0 if until is None else _epoch(until) for until in table.untils]


def _epoch(instant: datetime) -> float:
    return instant.timestamp()
