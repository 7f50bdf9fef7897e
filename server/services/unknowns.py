"""Unknowns past their grace period: sent again, failed, or left to wait, by the business's policy (`domain/evidence`).

Nobody is sent again while the inbox is behind: it may hold the very status that tells.
"""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple, Self

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from server.config import Settings
from server.domain.evidence import (
    Neighbours,
    Remedy,
    Silence,
    UnknownPolicy,
    judge,
    longest_wait_seconds,
    needs_a_person,
    outlook,
)
from server.domain.sentences import said
from server.domain.states import Actor, BroadcastStatus
from server.services import broadcasts, outbox

# One round judges at most so many of one broadcast; the next goes on.
MOST: int = 10_000
CAN_SEND = frozenset(
    {BroadcastStatus.QUEUED, BroadcastStatus.RUNNING, BroadcastStatus.PAUSED, BroadcastStatus.SETTLING}
)

_DUE = text("""
    /* unknowns.due   Cost: the unknown ones past grace, by their partial index. */
    SELECT DISTINCT broadcast_id FROM whatsapp_broadcast_recipients
     WHERE unknown_at <= clock_timestamp() - :grace_seconds * interval '1 second' AND status = 'unknown'
""")

_LOOK = """
    SELECT b.status, b.cancel_requested, u.unknown_policy,
           extract(epoch FROM clock_timestamp() - c.last_status_at)::float8 AS since_last_status,
           clarion_inbox_is_behind() AS is_behind  -- of all businesses: two may share one app secret
      FROM whatsapp_broadcasts b JOIN businesses u ON u.id = b.business_id
      LEFT JOIN channels c ON c.id = b.channel_id
     WHERE b.id = :broadcast_id
"""
_LOCK = text(f"{_LOOK} FOR UPDATE OF b /* unknowns.lock */")
_AROUND = text(f"{_LOOK} /* unknowns.around */")

_SILENT = text("""
    /* unknowns.silent
       Why:  whom to judge, each with the minute they were sent in and what is known of that minute: of those who stand
             near them in the list, accepted then, how many were heard of.
       Cost: the unknown ones, and some thousand rows around them for each minute. */
    WITH due AS (
        SELECT id, attempts, date_trunc('minute', claimed_at) AS minute,
               extract(epoch FROM clock_timestamp() - unknown_at)::float8 AS age
          FROM whatsapp_broadcast_recipients
         WHERE broadcast_id = :broadcast_id AND status = 'unknown' AND id > :after_id
           AND unknown_at <= clock_timestamp() - :grace_seconds * interval '1 second'
         ORDER BY id LIMIT :most
    ), minutes AS (
        SELECT minute, min(id) AS first_id, max(id) AS last_id FROM due GROUP BY minute
    ), known AS (
        SELECT m.minute, count(*) AS accepted, count(r.heard_at) AS heard
          FROM minutes m
          JOIN whatsapp_broadcast_recipients r
               ON r.broadcast_id = :broadcast_id AND r.id BETWEEN m.first_id - 3000 AND m.last_id + 3000
              AND date_trunc('minute', r.claimed_at) = m.minute
         WHERE r.message_id IS NOT NULL AND r.status IN ('sent', 'delivered', 'read', 'failed')
         GROUP BY m.minute
    )
    SELECT d.id, d.age, d.attempts, coalesce(k.accepted, 0) AS accepted, coalesce(k.heard, 0) AS heard
      FROM due d LEFT JOIN known k ON k.minute = d.minute
""")

_WAITING = text("""
    /* unknowns.waiting   Of each broadcast the one who became unknown last, by the partial index. */
    SELECT b.id, b.status, u.unknown_policy,
           extract(epoch FROM clock_timestamp() - c.last_status_at)::float8 AS since_last_status, latest.unknown_at
      FROM whatsapp_broadcasts b JOIN businesses u ON u.id = b.business_id
      LEFT JOIN channels c ON c.id = b.channel_id
     CROSS JOIN LATERAL (
            SELECT r.unknown_at FROM whatsapp_broadcast_recipients r
             WHERE r.broadcast_id = b.id AND r.status = 'unknown' AND r.unknown_at IS NOT NULL
             ORDER BY r.unknown_at DESC LIMIT 1) AS latest
     WHERE b.id = ANY(:broadcast_ids)
""")

_PEOPLE = text("""
    /* unknowns.people */
    SELECT id, phone, attempts, unknown_at, claimed_at, error_message FROM whatsapp_broadcast_recipients
     WHERE broadcast_id = :broadcast_id AND id = ANY(:ids) AND status = 'unknown' ORDER BY id
""")

_FAIL = text("""
    /* unknowns.fail */
    WITH failed AS (
        UPDATE whatsapp_broadcast_recipients
           SET status = 'failed', failed_at = clock_timestamp(), unknown_at = NULL, was_unknown = true,
               error_message = :reason
         WHERE broadcast_id = :broadcast_id AND id = ANY(:ids) AND status = 'unknown' RETURNING id
    )
    UPDATE whatsapp_broadcasts
       SET unknown_count = unknown_count - (SELECT count(*) FROM failed),
           failed_count = failed_count + (SELECT count(*) FROM failed),
           processed_count = processed_count + (SELECT count(*) FROM failed)
     WHERE id = :broadcast_id
    RETURNING array(SELECT id FROM failed)
""")

_RESEND = text("""
    /* unknowns.resend   Behind the cursor, so with a next_attempt_at: now. */
    WITH resent AS (
        UPDATE whatsapp_broadcast_recipients r
           SET unknown_at = NULL, error_message = :reason,
               status = CASE WHEN s.phone IS NULL THEN 'queued' ELSE 'skipped' END,
               next_attempt_at = CASE WHEN s.phone IS NULL THEN clock_timestamp() END
          FROM whatsapp_broadcast_recipients u LEFT JOIN suppressions s
               ON s.business_id = u.business_id AND s.phone = u.phone  -- who opted out meanwhile gets nothing more
         WHERE u.broadcast_id = :broadcast_id AND u.id = ANY(:ids)
           AND r.broadcast_id = u.broadcast_id AND r.id = u.id AND r.status = 'unknown'
        RETURNING r.status
    )
    UPDATE whatsapp_broadcasts
       SET unknown_count = unknown_count - (SELECT count(*) FROM resent),
           skipped_count = skipped_count + (SELECT count(*) FROM resent WHERE status = 'skipped'),
           processed_count = processed_count + (SELECT count(*) FROM resent WHERE status = 'skipped')
     WHERE id = :broadcast_id
    RETURNING (SELECT count(*) FROM resent WHERE status = 'queued')
""")


class Patience(NamedTuple):
    """How long unknowns wait, in seconds, at least and at most; and how often anybody is sent to."""

    grace_seconds: float
    max_wait_seconds: float
    max_attempts: int

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """As it is set."""
        return cls(settings.unknown_grace_seconds, settings.unknown_max_wait_seconds, settings.max_attempts)


class Silent(NamedTuple):
    """One unknown recipient and what is known of their minute."""

    id: int
    age_seconds: float
    attempts: int
    neighbours: Neighbours


async def settle(engine: AsyncEngine, patience: Patience) -> int:
    """Judge all who are due, a broadcast a transaction. Returns how many are no longer unknown."""
    async with engine.connect() as connection:
        due = list(await connection.scalars(_DUE, {"grace_seconds": patience.grace_seconds}))
    count = 0
    for broadcast_id in due:
        async with engine.begin() as connection:
            count += await _settle_one(connection, broadcast_id, patience)
    return count


async def _settle_one(connection: AsyncConnection, broadcast_id: int, patience: Patience) -> int:
    row = await lock(connection, broadcast_id)
    if row is None:
        return 0
    by_judgement = defaultdict(list)
    for silent in await _silent(connection, broadcast_id, grace_seconds=patience.grace_seconds):
        silence = Silence(silent.age_seconds, row.since_last_status, silent.neighbours, silent.attempts)
        judgement = judge(
            UnknownPolicy(row.unknown_policy),
            silence,
            can_send=row.status in CAN_SEND,
            grace_seconds=patience.grace_seconds,
            max_wait_seconds=patience.max_wait_seconds,
            max_attempts=patience.max_attempts,
        )
        by_judgement[judgement].append(silent.id)
    count = 0
    for judgement, ids in by_judgement.items():
        if judgement.remedy is Remedy.WAIT or (judgement.remedy is Remedy.RESEND and row.is_behind):
            continue
        if judgement.remedy is Remedy.FAIL:
            await fail(connection, broadcast_id, ids, judgement.reason)
        else:
            again = said("%(count)s unknown are sent again.", count=len(ids))
            why = f"{again} {judgement.reason}"
            await resend(connection, broadcast_id, ids, judgement.reason, by=Actor.STEWARD, why=why)
        count += len(ids)
    return count


async def lock(connection: AsyncConnection, broadcast_id: int) -> Row[Any] | None:
    """Lock a broadcast whose unknowns are about to be settled. None where it is gone.

    Gives its `status` and `cancel_requested`, and whether the inbox `is_behind`.
    """
    return (await connection.execute(_LOCK, {"broadcast_id": broadcast_id})).one_or_none()


async def fail(connection: AsyncConnection, broadcast_id: int, ids: Sequence[int], reason: str) -> None:
    """Count unknown ones as failed. The caller holds the broadcast."""
    values = {"broadcast_id": broadcast_id, "ids": list(ids), "reason": reason}
    await outbox.recipients_failed(connection, broadcast_id, await connection.scalar(_FAIL, values))


async def resend(
    connection: AsyncConnection, broadcast_id: int, ids: Sequence[int], reason: str, *, by: Actor, why: str
) -> None:
    """Put unknown ones back into the queue, but for those who opted out, and let the broadcast go on for them.

    The caller holds the broadcast. reason: of the recipients. why: of the broadcast, in its history.
    """
    values = {"broadcast_id": broadcast_id, "ids": list(ids), "reason": reason}
    if await connection.scalar(_RESEND, values):
        await broadcasts.try_again(connection, broadcast_id, by=by, why=why)


class Waiting(NamedTuple):
    """How it stands with the unknown ones of a broadcast together.

    decided_by: when the last of them is decided at the latest. needs_a_person: no evidence can come.
    """

    decided_by: datetime
    needs_a_person: bool


async def waiting(connection: AsyncConnection, broadcast_ids: Sequence[int], patience: Patience) -> dict[int, Waiting]:
    """How it stands with those of each broadcast who are unknown; nothing of one in which nobody is."""
    found: dict[int, Waiting] = {}
    for row in await connection.execute(_WAITING, {"broadcast_ids": list(broadcast_ids)}):
        policy, can_send = UnknownPolicy(row.unknown_policy), row.status in CAN_SEND
        seconds = longest_wait_seconds(
            policy,
            row.since_last_status,
            can_send=can_send,
            grace_seconds=patience.grace_seconds,
            max_wait_seconds=patience.max_wait_seconds,
        )
        needed = needs_a_person(policy, row.since_last_status, can_send=can_send)
        found[row.id] = Waiting(row.unknown_at + timedelta(seconds=seconds), needed)
    return found


async def page(
    connection: AsyncConnection, broadcast_id: int, patience: Patience, *, after_id: int, limit: int
) -> list[dict[str, Any]]:
    """Who is unknown, in the order of the list: for how long, by when it is decided, and what the evidence says now."""
    around = (await connection.execute(_AROUND, {"broadcast_id": broadcast_id})).one()
    silent = {
        one.id: one for one in await _silent(connection, broadcast_id, grace_seconds=0, after_id=after_id, most=limit)
    }
    rows = await connection.execute(_PEOPLE, {"broadcast_id": broadcast_id, "ids": list(silent)})
    return [_shown(dict(row), silent[row["id"]], around, patience) for row in rows.mappings()]


def _shown(row: dict[str, Any], silent: Silent, around: Row[Any], patience: Patience) -> dict[str, Any]:
    silence = Silence(silent.age_seconds, around.since_last_status, silent.neighbours, silent.attempts)
    found = outlook(
        UnknownPolicy(around.unknown_policy),
        silence,
        can_send=around.status in CAN_SEND,
        grace_seconds=patience.grace_seconds,
        max_wait_seconds=patience.max_wait_seconds,
        max_attempts=patience.max_attempts,
    )
    row["reason"] = row.pop("error_message")
    return row | {
        "age_seconds": round(silent.age_seconds, 1),
        "decided_by": row["unknown_at"] + timedelta(seconds=silent.age_seconds + found.seconds_left),
        "evidence": found.says,
        "accepted_around_count": silent.neighbours.accepted_count,
        "heard_around_count": silent.neighbours.heard_count,
        "would_be": found.judgement.remedy.value,
    }


async def _silent(
    connection: AsyncConnection, broadcast_id: int, *, grace_seconds: float, after_id: int = 0, most: int = MOST
) -> list[Silent]:
    values = {"broadcast_id": broadcast_id, "grace_seconds": grace_seconds, "after_id": after_id, "most": most}
    rows = await connection.execute(_SILENT, values)
    return [Silent(row.id, row.age, row.attempts, Neighbours(row.accepted, row.heard)) for row in rows]
