"""Statuses made true: what WhatsApp reports of messages, in bulk, with the counters, in the caller's transaction.

Locks are taken in the ledger's order: the broadcasts by id (the caller has them), then their recipients. What a status
means for a row is decided in `domain/statuses.py`; what a failure means for its person by the same table as an answer
to the request itself, `domain/decisions.py`.
"""

import random
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, NamedTuple

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from server.domain.breakers import REMEMBERED_PEOPLE, Reported, judge_reports
from server.domain.decisions import BreakerCandidate, MarkFailed, StopBroadcast, TryAgain, decide
from server.domain.meanings import explain
from server.domain.outcomes import Refused
from server.domain.states import COUNTED_AS_SENT, BroadcastStatus, RecipientStatus
from server.domain.statuses import Merged, Person, Report, Status, merge
from server.providers.webhooks import StatusUpdate
from server.services import ledger, outbox

# Broadcasts in which somebody may be sent to once more.
_GOES_ON: Final = frozenset(
    {
        BroadcastStatus.QUEUED,
        BroadcastStatus.RUNNING,
        BroadcastStatus.PAUSED,
        BroadcastStatus.SETTLING,
        BroadcastStatus.COMPLETED,
        BroadcastStatus.PARTIAL,
    }
)

_PLACE: Final = """
    /* statuses.place   Which recipients these messages went to, by earlier statuses of the same messages. */
    SELECT DISTINCT message_id, broadcast_id, recipient_id FROM message_statuses
     WHERE message_id = ANY(%(message_ids)s) AND channel_id = ANY(%(channel_ids)s) AND recipient_id IS NOT NULL
"""

_SEARCH: Final = """
    /* statuses.search
       Why:  a failure without our text and without any status before it names its message by the id alone.
       Cost: the recipients of the channel's broadcasts of the last 30 days (for as long WhatsApp tries), read through
             once for all such failures of a batch. No index names message ids: it would cost every send a write. */
    SELECT r.message_id, r.broadcast_id, r.id AS recipient_id
      FROM whatsapp_broadcasts b JOIN whatsapp_broadcast_recipients r ON r.broadcast_id = b.id
     WHERE b.channel_id = ANY(%(channel_ids)s) AND b.started_at > clock_timestamp() - interval '30 days'
       AND r.message_id = ANY(%(message_ids)s)
"""

_FAILED: Final = """
    /* statuses.failed   Cost: one look-up a message, by its key. */
    SELECT message_id FROM message_statuses WHERE message_id = ANY(%(message_ids)s) AND status = 'failed'
"""

_READ: Final = """
    /* statuses.read   Lock: the recipients, by id; their broadcasts are locked already. Cost: one look-up each. */
    SELECT r.broadcast_id, r.id, r.business_id, r.phone, r.attempts, r.status, r.claim_number, r.message_id,
           r.heard_at, r.sent_at, r.delivered_at, r.read_at, r.failed_at, r.price_category, r.price_type,
           EXISTS (SELECT FROM suppressions s WHERE s.business_id = r.business_id AND s.phone = r.phone)
      FROM whatsapp_broadcast_recipients r
      JOIN unnest(%(broadcast_ids)s::bigint[], %(recipient_ids)s::bigint[]) AS wanted (broadcast_id, id)
           ON r.broadcast_id = wanted.broadcast_id AND r.id = wanted.id
     ORDER BY r.broadcast_id, r.id
       FOR UPDATE OF r
"""

_RETRIED: Final = """
    /* statuses.retried
       Why:  whom a retry sends to must not be sent to by the first broadcast as well.
       Cost: those whose failure is told alone, one look-up each in every retry of their broadcast, which are few. */
    SELECT r.broadcast_id, r.id
      FROM unnest(%(broadcast_ids)s::bigint[], %(recipient_ids)s::bigint[]) AS wanted (broadcast_id, id)
      JOIN whatsapp_broadcast_recipients r ON r.broadcast_id = wanted.broadcast_id AND r.id = wanted.id
     WHERE EXISTS (SELECT FROM whatsapp_broadcasts b JOIN whatsapp_broadcast_recipients again
                       ON again.broadcast_id = b.id AND again.phone = r.phone
                    WHERE b.retry_of = r.broadcast_id AND again.status NOT IN ('cancelled', 'skipped'))
"""

_WRITE: Final = """
    /* statuses.write   Cost: one look-up a recipient, HOT but for who is put off or was. */
    UPDATE whatsapp_broadcast_recipients r
       SET status = o.status, message_id = o.message_id, heard_at = o.heard_at, sent_at = o.sent_at,
           delivered_at = o.delivered_at, read_at = o.read_at, failed_at = o.failed_at,
           price_category = o.price_category, price_type = o.price_type,
           error_code = CASE WHEN o.keeps_error THEN r.error_code ELSE o.error_code END,
           error_message = CASE WHEN o.keeps_error THEN r.error_message ELSE o.error_message END,
           attempts = r.attempts - o.unused, was_unknown = r.was_unknown AND o.status = 'failed',
           unknown_at = CASE WHEN o.status = 'unknown' THEN r.unknown_at END,
           next_attempt_at = CASE WHEN o.status <> 'queued' AND o.status <> 'sending' THEN NULL
                                  WHEN o.delay_seconds IS NULL THEN r.next_attempt_at
                                  ELSE clock_timestamp() + o.delay_seconds * interval '1 second' END
      FROM json_to_recordset(%(people)s::json)
           AS o (broadcast_id bigint, id bigint, status text, message_id text, heard_at timestamptz,
                 sent_at timestamptz, delivered_at timestamptz, read_at timestamptz, failed_at timestamptz,
                 price_category text, price_type text, keeps_error boolean, error_code int, error_message text,
                 unused smallint, delay_seconds float8)
     WHERE r.broadcast_id = o.broadcast_id AND r.id = o.id
"""

_KEEP_ATTEMPTS: Final = """
    /* statuses.keep_attempts
       Why:  whoever is put off is sent another message, and their row forgets the one that was accepted and failed.
       Cost: those who are put off alone, before _WRITE. */
    INSERT INTO send_attempts (broadcast_id, recipient_id, claim_number, business_id, claimed_at, ended_at, outcome,
                               is_counted, message_id)
    SELECT r.broadcast_id, r.id, r.claim_number, r.business_id, r.claimed_at, coalesce(r.sent_at, clock_timestamp()),
           'accepted', o.unused = 0, o.message_id
      FROM json_to_recordset(%(people)s::json)
           AS o (broadcast_id bigint, id bigint, message_id text, unused smallint)
      JOIN whatsapp_broadcast_recipients r ON r.broadcast_id = o.broadcast_id AND r.id = o.id
        ON CONFLICT (broadcast_id, recipient_id, claim_number) DO UPDATE
           SET is_counted = excluded.is_counted, message_id = excluded.message_id
"""

_COUNT: Final = text("""
    /* statuses.count
       What was reported is a memory of the last one or two thousand people: at the upper mark all three are halved. */
    UPDATE whatsapp_broadcasts b
       SET sent_count = sent_count + :sent, delivered_count = delivered_count + :delivered,
           read_count = read_count + :read, failed_count = failed_count + :failed,
           cancelled_count = cancelled_count + :cancelled, skipped_count = skipped_count + :skipped,
           unknown_count = unknown_count + :unknown,
           processed_count = processed_count + :sent + :failed + :cancelled + :skipped,
           reported_count = (reported_count + :reported) / w.by,
           reported_failed_count = (reported_failed_count + :reported_failed) / w.by,
           reported_alike_count = (reported_alike_count + :reported_alike) / w.by
      FROM (SELECT id, CASE WHEN reported_count + :reported >= :remembered THEN 2 ELSE 1 END AS by
              FROM whatsapp_broadcasts WHERE id = :broadcast_id) AS w
     WHERE b.id = w.id
    RETURNING b.reported_count, b.reported_failed_count, b.reported_alike_count
""")

_KEEP: Final = """
    /* statuses.keep   Each status of a message once, however often it comes. */
    INSERT INTO message_statuses (message_id, status, channel_id, broadcast_id, recipient_id, at, received_at, raw)
    SELECT message_id, status, channel_id, broadcast_id, recipient_id, at, received_at, raw
      FROM json_to_recordset(%(statuses)s::json)
           AS o (message_id text, status text, channel_id bigint, broadcast_id bigint, recipient_id bigint,
                 at timestamptz, received_at timestamptz, raw text)
        ON CONFLICT (message_id, status, channel_id) DO NOTHING
"""

_encode = msgspec.json.Encoder().encode


class Heard(NamedTuple):
    """A status with the number it came for."""

    channel_id: int
    business_id: int
    received_at: datetime
    update: StatusUpdate


class Place(NamedTuple):
    """One recipient of one broadcast."""

    broadcast_id: int
    recipient_id: int


class Suppress(NamedTuple):
    """WhatsApp says that a person stopped marketing messages (131050)."""

    business_id: int
    phone: str
    at: datetime
    message_id: str


@dataclass(slots=True)
class Changes:
    """What statuses changed beyond the rows: put off by broadcast, stops to obey, people to suppress.

    last_failures: of each broadcast, why the last of those who failed or were put off did not get it.
    got_it: those by broadcast who were thought to have failed, or were unknown.
    """

    put_off: set[int] = field(default_factory=set)
    stops: dict[int, StopBroadcast] = field(default_factory=dict)
    last_failures: dict[int, str] = field(default_factory=dict)
    suppressed: list[Suppress] = field(default_factory=list)
    changed: set[int] = field(default_factory=set)
    got_it: dict[int, list[int]] = field(default_factory=dict)


async def place(connection: AsyncConnection, heard: Sequence[Heard]) -> dict[int, Place]:
    """Where each status belongs, by its position: by our own text first, by the message id second, never by phone."""
    places: dict[int, Place] = {}
    unplaced: list[int] = []
    for position, status in enumerate(heard):
        callback = status.update.callback
        if callback is not None:
            places[position] = Place(callback.broadcast_id, callback.recipient_id)
        else:
            unplaced.append(position)
    for statement, wanted in ((_PLACE, unplaced), (_SEARCH, [at for at in unplaced if _is_failure(heard[at])])):
        left = [position for position in wanted if position not in places]
        if not left:
            continue
        values = {
            "message_ids": sorted({heard[position].update.message_id for position in left}),
            "channel_ids": sorted({heard[position].channel_id for position in left}),
        }
        found = {row[0]: Place(row[1], row[2]) for row in await ledger.within(connection, statement, values)}
        places.update(
            (position, found[heard[position].update.message_id])
            for position in left
            if heard[position].update.message_id in found
        )
    return places


async def search(connection: AsyncConnection, channel_id: int, message_id: str) -> Place | None:
    """Whom a message of the channel went to, of which no status is known yet. It costs a look through all rows."""
    values = {"channel_ids": [channel_id], "message_ids": [message_id]}
    row = next(iter(await ledger.within(connection, _SEARCH, values)), None)
    return None if row is None else Place(row[1], row[2])


def _is_failure(heard: Heard) -> bool:
    return heard.update.word == "failed"


async def apply(
    connection: AsyncConnection,
    heard: Sequence[Heard],
    places: Mapping[int, Place],
    broadcasts: Mapping[int, str],
    *,
    max_attempts: int,
) -> Changes:
    """Make statuses true.

    places: from `place`. broadcasts: the status of each broadcast that they name, all locked by the caller.
    """
    changes = Changes()
    by_place: dict[Place, list[Heard]] = defaultdict(list)
    for position, at in places.items():
        if at.broadcast_id in broadcasts:
            by_place[at].append(heard[position])
    failed_ids = await _failed_ids(connection, heard)
    rows = await _rows(connection, _READ, by_place)
    failing = [at for at, told in by_place.items() if any(map(_is_failure, told))]
    retried = {Place(*row) for row in await _rows(connection, _RETRIED, failing)}
    people: list[dict[str, Any]] = []
    counts: dict[int, Counter[str]] = defaultdict(Counter)
    for row in rows:
        at = Place(row[0], row[1])
        person = _person(row)
        said = [status for status in _said_by(row[2], by_place[at]) if not _is_over(person, status, failed_ids)]
        merged = merge(person, said)
        if merged.person == person:
            continue
        # Who opted out gets nothing more, and neither does whom a retry sends to.
        may_be_sent = broadcasts[at.broadcast_id] in _GOES_ON and not row[-1] and at not in retried
        written, is_alike = _written(at, merged, row, may_be_sent, max_attempts, changes)
        people.append(written)
        if _got_it_after_all(person, merged.person):
            changes.got_it.setdefault(at.broadcast_id, []).append(at.recipient_id)
        after = RecipientStatus(written["status"])
        written["has_failed"] = after is RecipientStatus.FAILED and person.status is not after
        _count(counts[at.broadcast_id], person.status, after)
        if person.status not in _LAST_WORDS and after in _LAST_WORDS:
            _count_last_word(counts[at.broadcast_id], after, is_alike=is_alike)
    await _write(connection, people)
    await _count_all(connection, counts, changes)
    owners = {Place(row[0], row[1]): row[2] for row in rows}
    real = {at: where for at, where in places.items() if owners.get(where) == heard[at].business_id}
    await _keep(connection, heard, real)
    return changes


async def _write(connection: AsyncConnection, people: Sequence[dict[str, Any]]) -> None:
    put_off = [person for person in people if "delay_seconds" in person]
    if put_off:
        await ledger.within(connection, _KEEP_ATTEMPTS, {"people": _encode(put_off).decode()})
    if people:
        await ledger.within(connection, _WRITE, {"people": _encode(people).decode()})
    failed: dict[int, list[int]] = defaultdict(list)
    for person in people:
        if person["has_failed"]:
            failed[person["broadcast_id"]].append(person["id"])
    for broadcast_id, ids in sorted(failed.items()):
        await outbox.recipients_failed(connection, broadcast_id, ids)


async def _count_all(connection: AsyncConnection, counts: Mapping[int, Counter[str]], changes: Changes) -> None:
    """Count what was written, and judge what was reported so far."""
    for broadcast_id, count in sorted(counts.items()):
        changes.changed.add(broadcast_id)
        values = {"broadcast_id": broadcast_id, **{name: count[name] for name in (*_COUNTED, *_REPORTED)}}
        values["remembered"] = REMEMBERED_PEOPLE
        reported = (await connection.execute(_COUNT, values)).one()
        if count["reported_failed"] and broadcast_id not in changes.stops:
            stop = judge_reports(Reported(*reported), changes.last_failures.get(broadcast_id, ""))
            if stop is not None:
                changes.stops[broadcast_id] = stop


def _said_by(business_id: int, heard: Sequence[Heard]) -> list[Status]:
    """What the recipient's own business heard: nobody's webhook changes the rows of somebody else."""
    return [status.update.status for status in heard if status.business_id == business_id and status.update.status]


def _got_it_after_all(before: Person, after: Person) -> bool:
    """Whether a retry may have been made for somebody who needs none."""
    if before.status not in (RecipientStatus.FAILED, RecipientStatus.UNKNOWN):
        return False
    return after.status in COUNTED_AS_SENT or (before.delivered_at is None and after.delivered_at is not None)


async def _failed_ids(connection: AsyncConnection, heard: Sequence[Heard]) -> set[str]:
    """Those of the messages that failed already."""
    message_ids = sorted({status.update.message_id for status in heard if not _is_failure(status)})
    if not message_ids:
        return set()
    return {row[0] for row in await ledger.within(connection, _FAILED, {"message_ids": message_ids})}


def _is_over(person: Person, status: Status, failed_ids: set[str]) -> bool:
    """Whether it is the late acceptance of an earlier message that failed since: it must not call the failure back."""
    is_late = status.report is not Report.FAILED and status.message_id in failed_ids
    return is_late and status.message_id != person.message_id


async def _rows(connection: AsyncConnection, statement: str, wanted: Collection[Place]) -> list[Any]:
    if not wanted:
        return []
    values = {
        "broadcast_ids": [at.broadcast_id for at in wanted],
        "recipient_ids": [at.recipient_id for at in wanted],
    }
    return await ledger.within(connection, statement, values)


def _person(row: Sequence[Any]) -> Person:
    status, claim_number, message_id, heard_at, sent_at, delivered_at, read_at, failed_at, category, kind, _ = row[5:]
    return Person(
        status=RecipientStatus(status),
        claim_number=claim_number,
        message_id=message_id,
        heard_at=heard_at,
        sent_at=sent_at,
        delivered_at=delivered_at,
        read_at=read_at,
        failed_at=failed_at,
        price_category=category,
        price_type=kind,
    )


def _written(
    at: Place, merged: Merged, row: Sequence[Any], may_be_sent: bool, max_attempts: int, changes: Changes
) -> tuple[dict[str, Any], bool]:
    """The row as _WRITE takes it, with what its failure means for the person and for the sending.

    And whether it failed for a reason that may be everybody's.
    """
    written: dict[str, Any] = {
        "broadcast_id": at.broadcast_id,
        "id": at.recipient_id,
        **msgspec.structs.asdict(merged.person),
        "keeps_error": merged.failure is None and merged.person.status not in COUNTED_AS_SENT,
        "unused": 0,
    }
    if merged.failure is None:
        return written, False
    may_be_sent = may_be_sent and merged.person.delivered_at is None  # whom it was delivered to gets no second one
    refusal = _refusal(merged.failure)
    decision = decide(refusal, attempts=row[4], max_attempts=max_attempts, jitter=random.random())  # noqa: S311 - no secret
    written |= {"error_code": refusal.code, "error_message": explain(refusal)}
    match decision.verdict:
        case TryAgain(delay_seconds=delay, message=message) if may_be_sent:
            # The attempt was made and counts, or a message could come back for ever; but for what stops everybody.
            unused = 1 if isinstance(decision.effect, StopBroadcast) else 0
            written |= {"status": RecipientStatus.QUEUED, "delay_seconds": delay, "unused": unused, **_NEVER_SENT}
            written["error_message"] = message
            changes.put_off.add(at.broadcast_id)
        case MarkFailed(message=message, suppress=suppress):
            written["error_message"] = message
            if suppress:
                failure = merged.failure
                changes.suppressed.append(Suppress(row[2], row[3], failure.at, failure.message_id))
    changes.last_failures[at.broadcast_id] = written["error_message"]
    if isinstance(decision.effect, StopBroadcast):
        changes.stops[at.broadcast_id] = decision.effect
    return written, isinstance(decision.effect, BreakerCandidate)


def _count_last_word(count: Counter[str], after: RecipientStatus, *, is_alike: bool) -> None:
    """What the breaker of reported failures goes by (`domain/breakers.py`)."""
    count["reported"] += 1
    if after is RecipientStatus.FAILED:
        count["reported_failed"] += 1
        count["reported_alike"] += is_alike


def _refusal(status: Status) -> Refused:
    return Refused(status.error_code, status.error_message or "", 400, details=status.error_details)


_NEVER_SENT: Final = {"failed_at": None, "sent_at": None, "delivered_at": None, "read_at": None}
_LAST_WORDS: Final = frozenset({RecipientStatus.DELIVERED, RecipientStatus.READ, RecipientStatus.FAILED})
_REPORTED: Final = ("reported", "reported_failed", "reported_alike")
_COUNTED: Final = ("sent", "delivered", "read", "failed", "cancelled", "skipped", "unknown")


def _count(count: Counter[str], before: RecipientStatus, after: RecipientStatus) -> None:
    for status, step in ((before, -1), (after, 1)):
        if status in COUNTED_AS_SENT:
            count["sent"] += step
            count["delivered"] += step * (status in (RecipientStatus.DELIVERED, RecipientStatus.READ))
            count["read"] += step * (status is RecipientStatus.READ)
        elif status in _COUNTED:
            count[status] += step


async def _keep(connection: AsyncConnection, heard: Sequence[Heard], places: Mapping[int, Place]) -> None:
    kept = {}
    for position, status in enumerate(heard):
        at = places.get(position)
        update = status.update
        kept[update.message_id, update.word, status.channel_id] = {
            "message_id": update.message_id,
            "status": update.word,
            "channel_id": status.channel_id,
            "broadcast_id": at and at.broadcast_id,
            "recipient_id": at and at.recipient_id,
            "at": update.at,
            "received_at": status.received_at,
            "raw": update.raw,
        }
    if kept:
        rows = [kept[key] for key in sorted(kept)]  # in one order, so that two who keep the same do not wait in a ring
        await ledger.within(connection, _KEEP, {"statuses": _encode(rows).decode()})
