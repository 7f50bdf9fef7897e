"""The story of one run of a broadcast.

The WhatsAppBroadcast row is the single source of truth: there is no BackgroundJob beside it, no state in the queue, and
nothing here that could disagree with the row. A queue entry is only a hint that says "look at row N". Lose the queue,
the worker or the machine, and the row still knows what happened and what is left.

Load the row, take the gate, take the lease, run the worker, record how it ended, release the gate.
"""

import asyncio
from collections.abc import Callable
from typing import assert_never

import psycopg
from sqlalchemy import select
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.ext.asyncio import AsyncSession

from server.addresses import addresses
from server.config import settings
from server.domain.errors import ClarionError, RunLost
from server.domain.limits import allowed_rate
from server.domain.sentences import said
from server.domain.states import STARTABLE, Actor, BroadcastStatus, Move, PauseReason, ending_of
from server.jobs.resources import Resources, open_resources, run
from server.jobs.run_bounds import bounded
from server.logs import Event, get_logger
from server.migrations.cursor_column import ensure_cursor_column
from server.models import WhatsAppBroadcast
from server.services import broadcasts, canaries, channels, leases, messaging_limits, outlook, stops, templates
from server.services.broadcast_worker import BroadcastWorker
from server.services.broadcasts import Why
from server.services.bulk_gate import BulkGate
from server.services.holds import goes_on_at
from server.services.leases import Lease
from server.services.ledger import RunKey
from server.services.put_offs import look_again
from server.services.run_control import Cause, HoursSaid, RunControl, Stop
from server.services.runs import LIMIT_REACHED, Assignment, Ending, EndingKind, Limits

PROGRESS_EVERY_SECONDS = 10.0
INTERNAL_ERROR = said(
    "Clarion met an error of its own, which is in the log. Nothing more was sent. Resume to try again."
)

_log = get_logger(__name__)


def process_broadcast_job(broadcast_id: int) -> None:
    """One run of one broadcast, from the row to the row. A hint, not an order: safe late, twice, or for no row."""
    run(_tell(broadcast_id))


async def _tell(broadcast_id: int) -> None:
    async with open_resources() as resources:
        broadcast = await _load(resources, broadcast_id)
        if broadcast is None:
            _log.info(Event.BROADCAST_NOT_STARTED, broadcast_id=broadcast_id, status="gone")
            return
        if resources.settings.only_business not in {0, broadcast.business_id}:
            _log.info(Event.BROADCAST_NOT_STARTED, broadcast_id=broadcast.id, status=broadcast.status)
            return  # another business's: whoever works for all takes it
        if broadcast.cancel_requested:
            await _finish_cancelled(resources, broadcast)
            return
        if broadcast.status not in STARTABLE:
            _log.info(Event.BROADCAST_NOT_STARTED, broadcast_id=broadcast.id, status=broadcast.status)
            return
        if not await _take_gate(resources, broadcast):
            _log.info(Event.BROADCAST_WAITING, business_id=broadcast.business_id, broadcast_id=broadcast.id)
            return  # it stays queued, and starts when the gate opens
        try:
            await _start_or_resume(resources, broadcast)
        except RunLost:
            _log.warning(Event.RUN_LOST, broadcast_id=broadcast.id)  # another runner has the row: write nothing more
        finally:
            _release_bulk_gate_lock(broadcast.business_id)


# --- load


async def _load(resources: Resources, broadcast_id: int) -> WhatsAppBroadcast | None:
    """The row as it stands now; older databases get their cursor column first, for the row is read with it."""
    async with resources.engine.begin() as connection:
        await connection.run_sync(ensure_cursor_column)
    async with AsyncSession(resources.engine, expire_on_commit=False) as session:
        found: WhatsAppBroadcast | None = await session.scalar(
            select(WhatsAppBroadcast).where(WhatsAppBroadcast.id == broadcast_id)
        )
        return found


async def _reload(resources: Resources, broadcast: WhatsAppBroadcast) -> WhatsAppBroadcast:
    """The same row as it stands now. Raises `RunLost` where it is gone."""
    again = await _load(resources, broadcast.id)
    if again is None:
        raise RunLost
    return again


# --- the gate


async def _take_gate(resources: Resources, broadcast: WhatsAppBroadcast) -> bool:
    """One broadcast a business at a time. The gate is held as long as the lease, and renewed with it."""
    gate = BulkGate(broadcast.business_id)
    async with resources.engine.begin() as connection:
        return await gate.take(connection, broadcast.id, resources.settings.lease_seconds) is not None


def _release_bulk_gate_lock(business_id: int) -> None:
    """Open the gate of a business again: on completion, on cancellation and on failure alike.

    Only what this process holds. Logs, and never raises: a gate that could not be released runs out with its lease.
    """
    try:
        if BulkGate(business_id).release(addresses(settings()).database_url):
            _log.info(Event.GATE_RELEASED, business_id=business_id)
    except (psycopg.Error, ClarionError, OSError) as error:
        _log.warning(Event.GATE_RELEASE_FAILED, business_id=business_id, error=str(error).strip())


# --- start or resume


async def _start_or_resume(resources: Resources, broadcast: WhatsAppBroadcast) -> None:
    """Take the lease and send from behind the cursor, `broadcast.last_processed_recipient_id`, until it ends."""
    async with resources.engine.begin() as connection:
        lease = await leases.take(connection, broadcast.id, resources.settings.lease_seconds)
    if lease is None:
        _log.info(Event.BROADCAST_NOT_STARTED, broadcast_id=broadcast.id, status=broadcast.status)
        return
    broadcast = await _reload(resources, broadcast)
    if lease.unknown_count:
        _log.warning(Event.BROADCAST_TAKEN_OVER, broadcast_id=broadcast.id, unknown_count=lease.unknown_count)
    _log.info(
        Event.BROADCAST_START,
        business_id=broadcast.business_id,
        broadcast_id=broadcast.id,
        run_epoch=broadcast.run_epoch,
        cursor=broadcast.last_processed_recipient_id,
        remaining_count=_remaining(broadcast),
    )
    try:
        ending = await _run_worker(resources, broadcast, lease)
        await _record_ending(resources, broadcast, lease, ending)
    except ClarionError as error:
        # The message cannot be built or sent at all: no template, no number, a token that cannot be read.
        await _hold(resources, broadcast, lease, Why(PauseReason.TEMPLATE, str(error)))
    except (OperationalError, InterfaceError, psycopg.OperationalError, psycopg.InterfaceError) as error:
        _log.error(Event.BROADCAST_ERROR, broadcast_id=broadcast.id, error=str(error).strip())
        raise RunLost from error  # the lease runs out, and the steward asks for another run
    except RunLost:
        raise
    except Exception:  # noqa: BLE001 - a fault of ours must not leave the row without a word
        _log.exception(Event.BROADCAST_ERROR, broadcast_id=broadcast.id)
        await _hold(resources, broadcast, lease, Why(PauseReason.FAILURES, INTERNAL_ERROR))


def _remaining(broadcast: WhatsAppBroadcast) -> int:
    """Recipients to whom nothing has been sent yet."""
    return broadcast.total_recipients - broadcast.processed_count - broadcast.unknown_count


async def _run_worker(resources: Resources, broadcast: WhatsAppBroadcast, lease: Lease) -> Ending:
    """Send, until nobody is left or something stops it: a person, the clock, the process, WhatsApp."""
    run_key = RunKey(broadcast.id, broadcast.business_id, lease.epoch, is_retry=broadcast.retry_of is not None)
    control = RunControl(run_key)
    worker = BroadcastWorker(
        await _assignment(resources, broadcast, run_key, lease),
        _limits(resources),
        client=resources.client,
        control=control,
        database_url=resources.addresses.database_url,
        on_progress=_progress_of(broadcast),
    )
    async with bounded(control, resources.settings.max_runtime_seconds):
        return await worker.run()


async def _assignment(resources: Resources, broadcast: WhatsAppBroadcast, run_key: RunKey, lease: Lease) -> Assignment:
    """What is sent, from which number, how fast. Raises `ClarionError` where the row asks for what is not there."""
    async with resources.engine.begin() as connection:
        channel_id = await channels.choose(connection, broadcast.business_id, broadcast.channel_id)
        sender = await channels.sender(connection, resources.vault, channel_id)
        plan = await templates.plan_message(connection, broadcast.business_id, sender.waba_id, broadcast.message)
        room = await messaging_limits.room(connection, broadcast.business_id)
        throttle_ms = resources.settings.throttle_ms
        allowed = allowed_rate(sender.rate_per_second, broadcast.rate_limit, throttle_ms)
        await outlook.note(connection, run_key, allowed.messages_per_second, room and room.left, plan.is_marketing)
        allowance = await canaries.allowance(connection, broadcast, room, LIMIT_REACHED)
    return Assignment(
        run=run_key,
        holder=lease.holder,
        plan=plan,
        phone_number_id=sender.phone_number_id,
        token=sender.token,
        allowed=allowed,
        throttle_ms=throttle_ms,
        seen_count=broadcast.processed_count,
        left_count=_remaining(broadcast),
        people_left=allowance.people_left,
        at_limit=allowance.at_limit,
        local_time=broadcast.local_time if broadcast.by_local_time else None,
    )


def _limits(resources: Resources) -> Limits:
    configuration = resources.settings
    return Limits(
        batch_size=configuration.batch_size,
        max_concurrency=configuration.max_concurrency,
        max_attempts=configuration.max_attempts,
        max_batch_failures=configuration.max_batch_failures,
        lease_seconds=configuration.lease_seconds,
        request_timeout_seconds=configuration.request_timeout_seconds,
    )


def _progress_of(broadcast: WhatsAppBroadcast) -> Callable[[int, float], None]:
    """Follow the row's own count with each batch that was recorded; one line in the log every ten seconds."""
    clock = asyncio.get_running_loop().time
    said_at = clock()

    def progress(processed_count: int, rate: float) -> None:
        nonlocal said_at
        broadcast.processed_count = processed_count
        broadcast.current_rate = rate
        if clock() - said_at >= PROGRESS_EVERY_SECONDS:
            said_at = clock()
            _log.info(
                Event.BROADCAST_PROGRESS,
                broadcast_id=broadcast.id,
                processed_count=broadcast.processed_count,
                total_recipients=broadcast.total_recipients,
                rate=round(broadcast.current_rate, 1),
            )

    return progress


# --- how it ended


async def _record_ending(resources: Resources, broadcast: WhatsAppBroadcast, lease: Lease, ending: Ending) -> None:
    """Write how the run ended into the row; a person's pause or cancel in between wins, and is accounted for."""
    async with resources.engine.begin() as connection:
        run_key = RunKey(broadcast.id, broadcast.business_id, lease.epoch, is_retry=broadcast.retry_of is not None)
        await stops.account(connection, run_key, str(ending.in_flight))
    match ending.kind:
        case EndingKind.EXHAUSTED:
            await _finish(resources, broadcast, lease)
        case EndingKind.WAITING:
            detail = said("Waiting for recipients who were put off.")
            await _yield(resources, broadcast, lease, Why(detail=detail, resume_at=ending.next_attempt_at))
        case EndingKind.STOPPED:
            assert ending.stop is not None
            await _record_stop(resources, broadcast, lease, ending.stop)
        case _:
            assert_never(ending.kind)


async def _record_stop(resources: Resources, broadcast: WhatsAppBroadcast, lease: Lease, stop: Stop) -> None:
    match stop.cause:
        case Cause.CANCELLED:
            await _finish_cancelled(resources, broadcast, lease)
        case Cause.PAUSED:
            await _leave_paused(resources, broadcast, lease)
        case Cause.HELD:
            broadcast = await _reload(resources, broadcast)
            resume_at = await goes_on_at(resources.engine, broadcast.business_id, _remaining(broadcast), stop)
            why = Why(stop.pause_reason, stop.detail, resume_at)
            await _hold(resources, broadcast, lease, why, stop.hours)
        case Cause.FAILED:
            await _end(resources, broadcast, lease, Move.FAIL, Why(stop.pause_reason, stop.detail))
        case Cause.OUT_OF_TIME | Cause.SHUT_DOWN:
            await _yield(resources, broadcast, lease, Why())
        case Cause.LOST | Cause.FAULT:
            raise RunLost
        case _:
            assert_never(stop.cause)


async def _finish(resources: Resources, broadcast: WhatsAppBroadcast, lease: Lease) -> None:
    """Nobody is left to send to: settle while somebody is unknown, else end."""
    broadcast = await _reload(resources, broadcast)
    if _remaining(broadcast):
        # Nobody was behind the cursor, and yet somebody is left: look through the list once more, from its start.
        async with resources.engine.begin() as connection:
            await broadcasts.rewind(connection, broadcast.id, lease.epoch)
        await _yield(resources, broadcast, lease, Why())
    elif broadcast.unknown_count:
        await _end(resources, broadcast, lease, Move.SETTLE, Why())
        _log.info(Event.BROADCAST_SETTLING, broadcast_id=broadcast.id, unknown_count=broadcast.unknown_count)
    else:
        await _end(resources, broadcast, lease, ending_of(broadcast.sent_count, broadcast.failed_count), Why())


async def _finish_cancelled(resources: Resources, broadcast: WhatsAppBroadcast, lease: Lease | None = None) -> None:
    """A person cancelled: everybody who is left is accounted for in one statement."""
    async with resources.engine.begin() as connection:
        if not await broadcasts.finish_cancel(connection, broadcast.id, epoch=lease.epoch if lease else None):
            return  # it ended otherwise, or its runner is about to do this itself
        if lease is not None:
            await leases.release(connection, lease)
    broadcast = await _reload(resources, broadcast)
    _log.info(
        Event.BROADCAST_CANCELLED,
        business_id=broadcast.business_id,
        broadcast_id=broadcast.id,
        sent_count=broadcast.sent_count,
        cancelled_count=broadcast.cancelled_count,
    )


async def _leave_paused(resources: Resources, broadcast: WhatsAppBroadcast, lease: Lease) -> None:
    """A person paused: the row says so already; what was claimed is handed back, and the lease goes with it."""
    async with resources.engine.begin() as connection:
        await leases.release(connection, lease)
    broadcast = await _reload(resources, broadcast)
    _log.info(
        Event.BROADCAST_PAUSED,
        business_id=broadcast.business_id,
        broadcast_id=broadcast.id,
        reason=broadcast.pause_reason,
        sent_count=broadcast.sent_count,
    )


async def _hold(
    resources: Resources, broadcast: WhatsAppBroadcast, lease: Lease, why: Why, hours: HoursSaid | None = None
) -> None:
    """WhatsApp or a limit stands in the way: pause, and say why and until when. hours: where they do, as they were."""
    if await _end(resources, broadcast, lease, Move.HOLD, why, hours):
        _log.warning(
            Event.BROADCAST_PAUSED,
            business_id=broadcast.business_id,
            broadcast_id=broadcast.id,
            reason=why.pause_reason,
            resume_at=str(why.resume_at),
        )


async def _yield(resources: Resources, broadcast: WhatsAppBroadcast, lease: Lease, why: Why) -> None:
    """Hand over to the next run: the row goes back to `queued`, and the steward asks for it when it is due."""
    if await _end(resources, broadcast, lease, Move.YIELD, why):
        _log.info(
            Event.BROADCAST_YIELDED,
            business_id=broadcast.business_id,
            broadcast_id=broadcast.id,
            resume_at=str(why.resume_at),
        )


async def _end(
    resources: Resources,
    broadcast: WhatsAppBroadcast,
    lease: Lease,
    move: Move,
    why: Why,
    hours: HoursSaid | None = None,
) -> bool:
    """Make the last move of a run and give the lease back, in one transaction. False: a person was quicker."""
    async with resources.engine.begin() as connection:
        moved = await broadcasts.make(connection, broadcast.id, move, by=Actor.ENGINE, why=why, epoch=lease.epoch)
        if hours is not None:
            await look_again(connection, broadcast.id, *hours)
        await leases.release(connection, lease)
    broadcast = await _reload(resources, broadcast)
    if broadcast.cancel_requested and broadcast.status != BroadcastStatus.CANCELLED:
        await _finish_cancelled(resources, broadcast)
    elif moved and broadcast.status in _ENDINGS:
        _log.info(
            _ENDINGS[BroadcastStatus(broadcast.status)],
            business_id=broadcast.business_id,
            broadcast_id=broadcast.id,
            sent_count=broadcast.sent_count,
            failed_count=broadcast.failed_count,
            skipped_count=broadcast.skipped_count,
        )
    return moved


_ENDINGS = {
    BroadcastStatus.COMPLETED: Event.BROADCAST_COMPLETED,
    BroadcastStatus.PARTIAL: Event.BROADCAST_PARTIAL,
    BroadcastStatus.FAILED: Event.BROADCAST_FAILED,
}
