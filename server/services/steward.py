"""What is due: broadcasts to start, to resume and to take over, unknowns to settle, old rows to delete.

Every step is set-based or a compare-and-set in a transaction of its own, so a round may run twice, at the same time,
or be killed at any instruction. Nothing is enqueued here: the round returns the ids, and the job enqueues.
"""

import asyncio
import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import psycopg
from sqlalchemy import text
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine

from server.domain.errors import ClarionError
from server.domain.sentences import said
from server.domain.states import Actor, BroadcastStatus, Move, ending_of
from server.logs import Event, get_logger
from server.services import (
    broadcasts,
    canaries,
    deliveries,
    invites,
    samples,
    second_steps,
    sessions,
    starts,
    stops,
    unknowns,
    wish_replies,
)
from server.services.preflight import Lookout, Outside

RETENTION_OF_KEYS_HOURS = 24
# Statuses and oddities are kept so long; what they changed stays in the rows.
RETENTION_OF_STATUSES_DAYS = 90
# Broadcasts of one round that are asked about at WhatsApp at the same time; each takes four seconds at most.
_ASKED_AT_ONCE: Final = 8
# What is scheduled for one and the same minute starts so many a round: while WhatsApp does not answer, all are asked
# about within a quarter of a minute, and the round goes on to what else waits for it.
MOST_STARTS: Final = 32
# A start that fails by what stands in its row is not tried again sooner.
TRY_AGAIN_SECONDS: Final = 300
_NOT_STARTED: Final = said(
    "It could not be started, because of an error of Clarion's own, which is in the log. It is tried again in a few "
    "minutes."
)
_log = get_logger(__name__)

_DUE_BY_TIME = text("""
    /* steward.due_by_time   Cost: the live broadcasts, which are few. */
    SELECT id, status FROM whatsapp_broadcasts
     WHERE ((status = 'scheduled' AND coalesce(starts_at, scheduled_at) <= clock_timestamp()
             AND coalesce(resume_at <= clock_timestamp(), true))  -- one that could not be started is tried again then
         OR (status = 'paused' AND resume_at <= clock_timestamp() AND NOT cancel_requested
             AND pause_reason IS DISTINCT FROM 'canary'))  -- that one is judged: `canaries.py`
       AND business_id = coalesce(:only_business, business_id)
     ORDER BY coalesce(starts_at, scheduled_at), id
""")

_STILL_DUE = text("""
    /* steward.still_due   Asked again under the lock: a person may have changed it since the list was made. */
    SELECT status FROM whatsapp_broadcasts
     WHERE id = :broadcast_id AND NOT cancel_requested
       AND ((status = 'scheduled' AND coalesce(starts_at, scheduled_at) <= clock_timestamp()
             AND coalesce(resume_at <= clock_timestamp(), true))
            OR (status = 'paused' AND resume_at <= clock_timestamp() AND pause_reason IS DISTINCT FROM 'canary'))
       FOR UPDATE
""")

_TRY_LATER = text("""
    /* steward.try_later   While it is tried it holds up who comes after it; a person may have changed it since. */
    UPDATE whatsapp_broadcasts
       SET resume_at = clock_timestamp() + :seconds * interval '1 second', status_detail = :detail
     WHERE id = :broadcast_id AND status = 'scheduled' AND NOT cancel_requested
""")

_TO_CANCEL = text("""
    /* steward.to_cancel   A person asked, and no runner is left to do it. */
    SELECT id FROM whatsapp_broadcasts
     WHERE cancel_requested AND status IN ('draft', 'scheduled', 'queued', 'running', 'paused')
       AND (lease_holder IS NULL OR lease_expires_at <= clock_timestamp())
""")

_TO_RUN = text("""
    /* steward.to_run
       Queued, or running without a runner; for each business the one that its gate lets through: the holder's own, or
       with an open gate the oldest. Asking for more would only fill the queue with hints that come back. */
    SELECT DISTINCT ON (b.business_id) b.id
      FROM whatsapp_broadcasts b
      LEFT JOIN bulk_gates g ON g.business_id = b.business_id AND g.operation = 'broadcast'
           AND g.holder IS NOT NULL AND g.expires_at > clock_timestamp()
     WHERE b.status IN ('queued', 'running') AND NOT b.cancel_requested
       AND (b.lease_holder IS NULL OR b.lease_expires_at <= clock_timestamp())
       AND (b.resume_at IS NULL OR b.resume_at <= clock_timestamp())
       AND g.holder IS NULL
       AND b.business_id = coalesce(:only_business, b.business_id)
     ORDER BY b.business_id, (b.status = 'running') DESC, b.started_at NULLS LAST, b.id
""")

_SETTLED = text("""
    /* steward.settled */
    SELECT id, sent_count, failed_count FROM whatsapp_broadcasts
     WHERE status = 'settling' AND unknown_count = 0 AND processed_count = total_recipients
""")

_FORGET_KEYS = text("""
    /* steward.forget_keys */
    DELETE FROM idempotency_keys WHERE created_at < clock_timestamp() - :hours * interval '1 hour'
""")


_FORGET_STATUSES = text("""
    /* steward.forget_statuses Cost: ten thousand a round at most; a BRIN index finds them. */
    DELETE FROM message_statuses WHERE ctid IN (
        SELECT ctid FROM message_statuses WHERE received_at < clock_timestamp() - :days * interval '1 day' LIMIT 10000)
""")

_FORGET_ODDITIES = text("""
    /* steward.forget_oddities */
    DELETE FROM webhook_oddities WHERE received_at < clock_timestamp() - :days * interval '1 day'
""")


@dataclass(frozen=True, slots=True)
class Policy:
    """How long unknowns wait, in seconds. only_business: whose broadcasts are started and run; None for everybody's."""

    unknown_grace_seconds: int
    unknown_max_wait_seconds: int
    max_attempts: int
    only_business: int | None = None


@dataclass(slots=True)
class Round:
    """What one round did, which broadcasts it found due, and whether the outbox holds something due."""

    broadcast_ids: list[int] = field(default_factory=list)
    has_webhooks_due: bool = False
    started_count: int = 0
    resumed_count: int = 0
    cancelled_count: int = 0
    settled_count: int = 0
    ended_count: int = 0

    def counts(self) -> dict[str, int]:
        """The counts by name, for a log line."""
        return {
            "started_count": self.started_count,
            "resumed_count": self.resumed_count,
            "cancelled_count": self.cancelled_count,
            "settled_count": self.settled_count,
            "ended_count": self.ended_count,
        }

    @property
    def changed_count(self) -> int:
        """How many rows changed in all."""
        return sum(self.counts().values())


async def go_round(engine: AsyncEngine, policy: Policy, lookout: Lookout | None = None) -> Round:
    """One round of the steward, each step a transaction of its own.

    lookout: asks WhatsApp and the media link before a broadcast starts by its schedule; without one nobody asks them.
    """
    done = Round()
    await _start_and_resume(engine, policy, lookout, done)
    with _alone():
        done.resumed_count += await canaries.judge_watched(engine)
    async with engine.connect() as connection:
        to_cancel = list(await connection.scalars(_TO_CANCEL))
    for broadcast_id in to_cancel:
        with _alone(broadcast_id):
            async with engine.begin() as connection:
                done.cancelled_count += await broadcasts.finish_cancel(connection, broadcast_id)
    await _end_dead_runs(engine)
    patience = unknowns.Patience(policy.unknown_grace_seconds, policy.unknown_max_wait_seconds, policy.max_attempts)
    with _alone():
        done.settled_count = await unknowns.settle(engine, patience)
    await _end_settled(engine, done)
    async with engine.begin() as connection:
        await samples.take(connection)
    async with engine.begin() as connection:
        await sessions.forget(connection)
        await second_steps.forget(connection)
        await invites.forget(connection)
        await connection.execute(_FORGET_KEYS, {"hours": RETENTION_OF_KEYS_HOURS})
        for statement in (_FORGET_STATUSES, _FORGET_ODDITIES):
            await connection.execute(statement, {"days": RETENTION_OF_STATUSES_DAYS})
        await deliveries.forget(connection)
        await wish_replies.forget(connection)
    async with engine.connect() as connection:
        done.has_webhooks_due = bool(await deliveries.due_endpoints(connection))
        done.broadcast_ids = list(await connection.scalars(_TO_RUN, {"only_business": policy.only_business}))
    return done


@contextlib.contextmanager
def _alone(broadcast_id: int | None = None) -> Iterator[None]:
    """What cannot be done with one broadcast, because of what stands in its row, is told and holds up no other.

    broadcast_id: None where many are looked at together; then they hold up nothing else of the round.
    A database that is away, or another transaction that was quicker, ends the round: the next one asks the same.
    """
    try:
        yield
    except (OperationalError, InterfaceError, psycopg.OperationalError, psycopg.InterfaceError):
        raise
    except Exception as error:  # noqa: BLE001 - nobody knows what an odd row leads to, and all businesses wait here
        _log.exception(Event.STEWARD_ERROR, broadcast_id=broadcast_id, error=str(error))


async def _start_and_resume(engine: AsyncEngine, policy: Policy, lookout: Lookout | None, done: Round) -> None:
    async with engine.connect() as connection:
        due = (await connection.execute(_DUE_BY_TIME, {"only_business": policy.only_business})).all()
    starting = [row.id for row in due if row.status == BroadcastStatus.SCHEDULED][:MOST_STARTS]
    # What may go on does not wait for what is asked about, and no transaction waits for the network.
    await _let_go(engine, [row.id for row in due if row.status == BroadcastStatus.PAUSED], {}, done)
    not_started = await _let_go(engine, starting, await _ask_outside(lookout, starting), done)
    for broadcast_id in not_started:
        values = {"broadcast_id": broadcast_id, "seconds": TRY_AGAIN_SECONDS, "detail": _NOT_STARTED}
        with _alone(broadcast_id):
            async with engine.begin() as connection:
                await connection.execute(_TRY_LATER, values)


async def _let_go(
    engine: AsyncEngine, broadcast_ids: Sequence[int], outside: Mapping[int, Outside], done: Round
) -> list[int]:
    """Start and resume. Returns those with which it could not be done, each told in the log."""
    left = list(broadcast_ids)
    for broadcast_id in broadcast_ids:
        with _alone(broadcast_id):
            async with engine.begin() as connection:
                status = await connection.scalar(_STILL_DUE, {"broadcast_id": broadcast_id})
                if status == BroadcastStatus.SCHEDULED:
                    known = outside.get(broadcast_id, Outside())
                    done.started_count += await starts.by_schedule(connection, broadcast_id, known)
                elif status == BroadcastStatus.PAUSED:
                    done.resumed_count += await broadcasts.make(connection, broadcast_id, Move.RESUME, by=Actor.STEWARD)
            left.remove(broadcast_id)
    return left


async def _ask_outside(lookout: Lookout | None, broadcast_ids: Sequence[int]) -> Mapping[int, Outside]:
    """What stands around each. One that cannot be asked about starts by what the database knows."""
    if lookout is None:
        return {}
    few = asyncio.Semaphore(_ASKED_AT_ONCE)

    async def ask(broadcast_id: int) -> Outside:
        async with few:
            with _alone(broadcast_id), contextlib.suppress(ClarionError):
                return await lookout.of_broadcast(broadcast_id)
        return Outside()

    return dict(zip(broadcast_ids, await asyncio.gather(*map(ask, broadcast_ids)), strict=True))


async def _end_dead_runs(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        dead = list(await connection.scalars(stops.DEAD_RUNS))
    for broadcast_id in dead:
        with _alone(broadcast_id):
            async with engine.begin() as connection:
                await stops.end_dead_run(connection, broadcast_id)


async def _end_settled(engine: AsyncEngine, done: Round) -> None:
    async with engine.connect() as connection:
        settled = (await connection.execute(_SETTLED)).all()
    for broadcast_id, sent_count, failed_count in settled:
        move = ending_of(sent_count, failed_count)
        with _alone(broadcast_id):
            async with engine.begin() as connection:
                done.ended_count += await broadcasts.make(connection, broadcast_id, move, by=Actor.STEWARD)
