"""BroadcastWorker: the sending pipeline of one run. Claim, check again, send and record overlap.

    claims      just ahead of need: what will leave in the next 250 ms, at most BATCH_SIZE, committed as `sending`
    check again cancel, pause, opt-out and the lease, right before each request leaves
    sends       bounded concurrency, paced by the number's throughput; every request ends in one `Outcome`
    records     outcomes gathered while the last were being written, hundreds in one commit with the counters

What a stop leaves claimed and unsent goes back: to `queued`, or to `cancelled` where a person cancelled. What is in
flight is waited for, up to a bound; what is still unanswered then is `unknown`.
"""

import asyncio
import contextlib
import random
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, Final, assert_never

import psycopg
from psycopg import AsyncConnection

from server.database import plain_connection
from server.domain.breakers import Breaker, Outage
from server.domain.callbacks import write_callback
from server.domain.decisions import (
    BreakerCandidate,
    Decision,
    PauseSending,
    ReducePace,
    StopBroadcast,
    TryAgain,
    decide,
)
from server.domain.errors import RunLost
from server.domain.limits import limit_of_waiting
from server.domain.outcomes import Accepted, Ambiguous, Outcome
from server.domain.pacing import Slot
from server.domain.sentences import said
from server.domain.states import RecipientStatus
from server.providers.whatsapp import WhatsAppClient
from server.services.ledger import Claimed, Ledger, Pace, Result, Standing
from server.services.run_cap import RunCap
from server.services.run_control import Cause, RunControl, Stop
from server.services.run_hours import RunHours
from server.services.run_ledger import RunLedger
from server.services.run_pace import RunPace
from server.services.runs import Assignment, Ending, EndingKind, InFlight, Limits, result_of

CLAIM_AHEAD_SECONDS: Final = 0.25
# Outcomes of so long are written together: at 80 a second that is two rows a commit, at 10,000 two hundred.
RECORD_EVERY_SECONDS: Final = 0.02
RECORD_MOST: Final = 1_000
# A run waits so long for recipients that were put off; beyond it gives way to other broadcasts.
PATIENCE_SECONDS: Final = 10.0
DRAIN_ON_SHUT_DOWN_SECONDS: Final = 8.0
UNPACED_CONCURRENCY: Final = 96
STOPPED_IN_FLIGHT: Final = said("Clarion was stopped before WhatsApp answered.")
FAILED_IN_FLIGHT: Final = said("Clarion met an error of its own before WhatsApp answered.")


class BroadcastWorker:
    """Sends one broadcast for as long as nothing stops it. Used once, inside one event loop."""

    def __init__(
        self,
        assignment: Assignment,
        limits: Limits,
        *,
        client: WhatsAppClient,
        control: RunControl,
        database_url: str,
        on_progress: Callable[[int, float], None],
    ) -> None:
        self._do = assignment
        self._limits = limits
        self._client = client
        self._control = control
        self._database_url = database_url
        self._on_progress = on_progress
        self._clock = asyncio.get_running_loop().time
        self._claims, self._records, self._looks = (RunLedger(database_url, assignment.run, control) for _ in range(3))
        self._pace = RunPace(assignment.allowed, assignment.throttle_ms, self._clock())
        self._hours = RunHours(is_marketing=assignment.plan.is_marketing, local_time=assignment.local_time)
        self._cap = RunCap(is_marketing=assignment.plan.is_marketing)
        self._turn = asyncio.Lock()  # whose turn it is to wait for the pace
        self._looking = asyncio.Lock()  # one looks at the row, all others hear of it
        self._breaker = Breaker(limits.max_batch_failures, assignment.seen_count)
        self._outage = Outage()
        self._left_count = assignment.left_count
        self._noted: tuple[str, float] | None = None  # what the row says of the pace
        self._in_flight = InFlight()

        self._ready: deque[Claimed] = deque()  # claimed, not sent
        self._results: list[Result] = []  # ended, not recorded
        self._held: dict[int, int] = {}  # claimed, not recorded (those two, and what is in flight): id, claim number
        self._fresh: deque[int] = deque()  # claimed for the first time, in the order of their ids
        self._settled_through_id = 0
        self._claim_in_doubt = False
        self._is_claiming = False
        self._people_left = assignment.people_left
        self._senders: set[asyncio.Task[None]] = set()
        self._idle_count = 0
        self._closing = False
        self._something_ready = asyncio.Event()
        self._something_ended = asyncio.Event()
        self._need = asyncio.Event()  # few are ready, or nobody is held any more
        self._low_mark = 0
        self._failure: BaseException | None = None
        self._recorder: asyncio.Task[None] | None = None

    async def run(self) -> Ending:
        """Send until nobody is left or something stops it. Raises `RunLost`: then nothing more is written."""
        async with self._claims, self._records, self._looks, self._in_the_background():
            self._hire(1 if self._pace.pacer else min(UNPACED_CONCURRENCY, self._limits.max_concurrency))
            ending = await self._feed()
            await self._drain()
            await self._settle_doubt()
            self._give_back(ending)
            await self._all_recorded()
        if self._failure is not None:
            raise self._failure
        if self._control.stop is not None and self._control.stop.cause is Cause.LOST:
            raise RunLost
        return ending._replace(in_flight=self._in_flight)

    @contextlib.asynccontextmanager
    async def _in_the_background(self) -> AsyncIterator[None]:
        """What goes on beside the sending: the lease, the records, and an ear for pause and cancel."""
        await self._renew()
        await self._control.look(self._look)  # the quiet hours, before anybody is claimed
        tasks = [asyncio.create_task(self._guarded(part)) for part in (self._record_all(), self._keep_lease())]
        self._recorder = tasks[0]
        try:
            async with self._control.listening(self._connect, self._look, self._opt_outs):
                yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _guarded(self, part: Coroutine[Any, Any, None]) -> None:
        """A part that fails stops the run; what ended is still recorded, and `run` raises the error."""
        try:
            await part
        except RunLost:
            self._control.request(Stop(Cause.LOST))
        except Exception as error:  # noqa: BLE001 - kept, and raised by `run`
            self._failure = error
            self._control.request(Stop(Cause.FAULT))

    # --- claim

    async def _feed(self) -> Ending:
        """Keep claimed just ahead of need, until there is a reason to end."""
        try:
            while self._control.stop is None:
                ending = await self._feed_once()
                if ending is not None:
                    return ending
        except RunLost:
            self._control.request(Stop(Cause.LOST))
        except Exception as error:  # noqa: BLE001 - kept, and raised by `run` once nothing is in flight
            self._failure = error
            self._control.request(Stop(Cause.FAULT))
        return Ending(EndingKind.STOPPED, stop=self._control.stop)

    async def _feed_once(self) -> Ending | None:
        await self._cap.arrange(self._claims)
        stop = await self._hours.arrange(self._claims)
        if stop is not None:
            self._control.request(stop)
            return None
        wanted = self._wanted()
        if self._people_left is not None:
            wanted = min(wanted, self._people_left)
        claimed = await self._claim(wanted) if wanted else []
        if claimed is None:
            await self._control.look(self._look)
        elif claimed:
            self._take_in(claimed)
        elif self._held:
            self._need.clear()
            await _first(self._need, CLAIM_AHEAD_SECONDS / 5)
        elif wanted:
            return await self._nobody_left()
        elif self._people_left == 0:
            return await self._limit_reached()
        return None

    async def _limit_reached(self) -> Ending | None:
        """The messaging limit or the canary stands in the way of whoever is left, if anybody is."""
        if await self._looks.until_lost(Ledger.is_anybody_left):
            self._control.request(self._do.at_limit)
            return None
        return await self._nobody_left()

    def _wanted(self) -> int:
        """How many to claim now: what leaves in the next 250 ms, less what is claimed already; 0 for not yet."""
        rate = self._pace.rate(self._clock())
        # An unpaced run starts with one for each sender, and claims more as it turns out to be quick.
        ahead = max(1 if self._pace.pacer else len(self._senders), round(rate * CLAIM_AHEAD_SECONDS))
        ahead = min(ahead, self._limits.batch_size)
        self._low_mark = ahead // 2
        return ahead - len(self._ready) if len(self._ready) <= self._low_mark else 0

    async def _claim(self, wanted: int) -> list[Claimed] | None:
        """None: the row says stop. A database that went away in between may have kept a claim we never saw."""
        asked_at = self._clock()
        try:
            if self._claim_in_doubt:
                held = tuple(self._held)
                await self._claims.until_lost(lambda ledger: ledger.hand_back_strays(held))
                self._claim_in_doubt = False
            self._is_claiming = True
            claimed = await self._claims.once(lambda ledger: ledger.claim(wanted))
        except psycopg.OperationalError:
            self._claim_in_doubt = True
            await self._claims.until_lost(Ledger.look)
            return []
        except Exception:
            # Nobody knows whom it took, such as where a row of an older system cannot be read.
            self._claim_in_doubt = True
            raise
        finally:
            self._is_claiming = False
        if claimed is not None:
            self._control.note_look(asked_at)
        return claimed

    def _take_in(self, claimed: list[Claimed]) -> None:
        self._pace.waiting_for = None
        self._held.update((recipient.id, recipient.claim_number) for recipient in claimed)
        self._fresh.extend(recipient.id for recipient in claimed if not recipient.waited)
        awake = [recipient for recipient in claimed if not self._leave_alone(recipient)]
        if self._people_left is not None:
            self._people_left -= len(awake)
        self._ready.extend(awake)
        self._something_ready.set()

    def _leave_alone(self, recipient: Claimed) -> bool:
        """Whether it is not this person's time, or their quiet hours; then they go back into the queue until it is."""
        put_off = self._hours.put_off(recipient)
        if put_off is None:
            return False
        self._results.append(put_off)
        self._something_ended.set()
        return True

    async def _nobody_left(self) -> Ending | None:
        """Whether the run is at its end; None when somebody who was put off may be tried soon."""
        if self._claim_in_doubt or self._hours.is_looking:
            return None
        waiting = await self._looks.until_lost(Ledger.next_attempt)
        if waiting is None:
            return Ending(EndingKind.EXHAUSTED)
        is_left_alone = waiting.is_quiet or waiting.is_early
        self._pace.waiting_for = limit_of_waiting(waiting.error_code, is_left_alone=is_left_alone)
        await self._note_pace()
        if waiting.seconds > PATIENCE_SECONDS:
            if is_left_alone:
                self._control.request(self._hours.everybody_waits(waiting.seconds, is_early=waiting.is_early))
                return None
            return Ending(EndingKind.WAITING, next_attempt_at=waiting.at)
        await _first(self._control.stopped, waiting.seconds)
        return None

    # --- check again, and send

    def _hire(self, count: int) -> None:
        """Concurrency follows need: a sender that finds nobody idle behind it hires one more, up to the limit."""
        for _ in range(min(count, self._limits.max_concurrency - len(self._senders))):
            sender = asyncio.create_task(self._guarded(self._send_all()))
            self._senders.add(sender)
            self._idle_count += 1

    async def _send_all(self) -> None:
        """One sender: takes the next recipient, looks once more whether it may, sends, and so on."""
        while True:
            if not self._ready:
                if self._closing:
                    return
                self._something_ready.clear()
                await self._something_ready.wait()
                continue
            slot = None
            if self._pace.pacer is not None:
                async with self._turn:
                    slot = await self._slot()
                if slot is None and self._control.stop is None:
                    continue  # nobody was ready: without a slot nothing leaves
            # The second look, right before a request leaves: pause, cancel, shut-down and the lease.
            now = self._clock()
            if self._control.is_stale(now):
                await self._look_again()
                now = self._clock()
            if not self._control.may_send(now):
                return
            if self._ready:
                await self._send(self._next(), slot)
                self._idle_count += 1

    def _next(self) -> Claimed:
        """The next recipient, whom this sender is busy with from here on."""
        self._idle_count -= 1
        if self._idle_count == 0 and self._pace.pacer is not None:
            self._hire(1)
        recipient = self._ready.popleft()
        if len(self._ready) <= self._low_mark:
            self._need.set()
        return recipient

    async def _look_again(self) -> None:
        async with self._looking:  # one looks, the others hear of it
            if self._control.is_stale(self._clock()) and self._control.stop is None:
                await self._control.look(self._look)

    async def _slot(self) -> Slot | None:
        """Wait for the pace to allow one message. None: it was stopped, nobody is ready, or nothing limits it now."""
        while self._control.stop is None and self._ready:
            pacer = self._pace.pacer
            if pacer is None:
                return None
            grant = pacer.take(self._clock(), 1)
            if grant.count:
                return pacer.left(self._clock())
            await _first(self._control.stopped, min(grant.wait, CLAIM_AHEAD_SECONDS / 2))
        return None

    async def _send(self, recipient: Claimed, slot: Slot | None) -> None:
        if self._leave_alone(recipient):  # a minute may have begun since they were claimed
            self._people_left = None if self._people_left is None else self._people_left + 1
            return
        if recipient.phone in self._control.opted_out:
            self._results.append(
                Result(
                    recipient.id,
                    recipient.claim_number,
                    RecipientStatus.SKIPPED,
                    error_message=said("opted out"),
                    unused=1,
                )
            )
            return
        do = self._do
        callback = write_callback(do.run.broadcast_id, recipient.id, recipient.claim_number)
        try:
            body = do.plan.render(recipient.phone, recipient.variables, callback)
        except Exception:
            self._results.append(Result(recipient.id, recipient.claim_number, RecipientStatus.QUEUED, unused=1))
            raise
        try:
            outcome = await self._client.send(do.phone_number_id, do.token, body)
        except asyncio.CancelledError:
            self._note(recipient, Ambiguous(STOPPED_IN_FLIGHT))
            raise
        except Exception:
            # The run ends by this, once everybody whom it holds has an outcome: so must they.
            self._note(recipient, Ambiguous(FAILED_IN_FLIGHT))
            raise
        if slot is not None and self._pace.pacer is not None:
            self._pace.pacer.answered(slot, self._clock())
        self._note(recipient, outcome)

    # --- decide

    def _note(self, recipient: Claimed, outcome: Outcome) -> None:
        """Turn an outcome into a result to record, and obey what it means for the sending as a whole."""
        now = self._clock()
        outage = self._outage.note(outcome, now)
        if not self._something_ended.is_set():
            self._something_ended.set()
        if type(outcome) is Accepted:  # nearly all of them, and there is nothing to decide
            self._breaker.note_ended()
            self._results.append(Result(recipient.id, recipient.claim_number, RecipientStatus.SENT, outcome.message_id))
            return
        decision = decide(
            outcome,
            attempts=recipient.attempts,
            max_attempts=self._limits.max_attempts,
            jitter=random.random(),  # noqa: S311 - spreads retries, guards nothing
            away_seconds=self._outage.away_seconds(now),
            others=self._outage.others(now, self._left_count),
        )
        self._results.append(result_of(recipient, decision))
        self._obey(decision, now)
        if outage is not None:
            self._stop(outage)

    def _obey(self, decision: Decision, now: float) -> None:
        match decision.effect:
            case None:
                if not isinstance(decision.verdict, TryAgain):
                    self._breaker.note_ended()
            case BreakerCandidate() as failure:
                stop = self._breaker.note_failed(failure)
                if stop is not None:
                    self._stop(stop)
            case StopBroadcast() as stop:
                self._stop(stop)
            case ReducePace() | PauseSending() as slower:
                self._pace.slow_down(slower, now)
            case _:
                assert_never(decision.effect)

    def _stop(self, stop: StopBroadcast) -> None:
        cause = Cause.FAILED if stop.is_final else Cause.HELD
        self._control.request(Stop(cause, stop.pause_reason, stop.message, stop.resume_after_seconds))

    # --- record

    async def _record_all(self) -> None:
        """Write outcomes as they come: those that ended while the last were being written go together."""
        while True:
            if self._results:
                await self._record_some()
            else:
                self._something_ended.clear()
                await _first(self._something_ended, 1.0)
                if not self._results:
                    await self._note_pace()
            # At full speed a batch is full by the time the one before is written: then there is nothing to wait for.
            is_full = len(self._results) >= RECORD_MOST // 2
            await asyncio.sleep(0 if self._closing or is_full else RECORD_EVERY_SECONDS)

    async def _record_some(self) -> None:
        batch, self._results = self._results[:RECORD_MOST], self._results[RECORD_MOST:]
        now = self._clock()
        self._pace.note_sent(now, sum(result.status is RecipientStatus.SENT for result in batch))
        self._left_count -= sum(result.status is not RecipientStatus.QUEUED for result in batch)
        ended = {result.id for result in batch}
        settled_through_id = self._settled_once(ended)
        pace = self._look_at_pace(now)
        recorded = await self._records.until_lost(lambda ledger: ledger.record(batch, pace, settled_through_id))
        if recorded.was_stopped:
            self._in_flight.add(batch)
        for result in batch:
            # Unless it was claimed once more meanwhile: the record may have come a second time.
            if self._held.get(result.id) == result.claim_number:
                del self._held[result.id]
        self._need.set()
        self._noted = (pace.limited_by, round(pace.rate, 1))
        self._on_progress(recorded.processed_count, pace.rate)

    def _settled_once(self, ended: set[int]) -> int:
        """The id up to which every recipient has an outcome, once these have theirs."""
        while self._fresh and (self._fresh[0] in ended or self._fresh[0] not in self._held):
            self._settled_through_id = self._fresh.popleft()
        return self._settled_through_id

    async def _note_pace(self) -> None:
        """Say what is waited for while there is nothing to record, if the row does not say it yet."""
        pace = self._look_at_pace(self._clock())
        said = (pace.limited_by, round(pace.rate, 1))
        if said != self._noted:
            await self._looks.until_lost(lambda ledger: ledger.note_pace(pace))
            self._noted = said

    def _look_at_pace(self, now: float) -> Pace:
        return self._pace.look(
            now,
            idle_count=self._idle_count,
            ready_count=len(self._ready),
            is_claiming=self._is_claiming,
            people_left=self._people_left,
        )

    async def _renew(self) -> None:
        asked_at = self._clock()
        seconds = self._limits.lease_seconds
        await self._looks.until_lost(lambda ledger: ledger.renew(self._do.holder, seconds))
        self._control.lease_renewed(asked_at, seconds)

    async def _keep_lease(self) -> None:
        while True:
            await asyncio.sleep(self._limits.lease_seconds / 3)
            await self._renew()
            await self._control.look(self._look)  # a change of the rate whose notification got lost

    async def _look(self) -> Standing | None:
        standing = await self._looks.until_lost(Ledger.look)
        if standing is not None and self._control.stop is None:
            self._pace.follow(standing, self._clock())
            self._hours.follow(standing)
            self._cap.follow(standing)
            if self._pace.pacer is None and not self._closing:
                self._hire(UNPACED_CONCURRENCY - len(self._senders))
        return standing

    async def _opt_outs(self, seconds: float) -> list[str]:
        return await self._looks.until_lost(lambda ledger: ledger.opt_outs(seconds))

    async def _connect(self) -> AsyncConnection[Any]:
        return await plain_connection(self._database_url)

    # --- end

    async def _drain(self) -> None:
        """Wait for what is in flight, up to a bound; what is unanswered then is unknown."""
        self._closing = True
        self._something_ready.set()
        stop = self._control.stop
        shut_down = stop is not None and stop.cause is Cause.SHUT_DOWN
        bound = DRAIN_ON_SHUT_DOWN_SECONDS if shut_down else self._limits.request_timeout_seconds + 1.0
        if self._is_lost:
            bound = 0.0  # their answers could not be written down any more
        _, unanswered = await asyncio.wait(self._senders, timeout=bound)
        for sender in unanswered:
            sender.cancel()
        await asyncio.gather(*self._senders, return_exceptions=True)

    async def _settle_doubt(self) -> None:
        """A run may end between a claim whose answer got lost and the next: those people were never sent to."""
        if self._claim_in_doubt and not self._is_lost:
            held = tuple(self._held)
            try:
                await self._claims.until_lost(lambda ledger: ledger.hand_back_strays(held))
            except RunLost:
                self._control.request(Stop(Cause.LOST))

    def _give_back(self, ending: Ending) -> None:
        """What is claimed and was not sent goes back to the queue, or with all the rest where a person cancelled."""
        cancelled = ending.stop is not None and ending.stop.cause is Cause.CANCELLED
        status = RecipientStatus.CANCELLED if cancelled else RecipientStatus.QUEUED
        self._results.extend(
            Result(recipient.id, recipient.claim_number, status, unused=1) for recipient in self._ready
        )
        self._ready.clear()

    async def _all_recorded(self) -> None:
        """Wait until the recorder has written everything, or the run is lost."""
        while self._held and not self._is_lost and not (self._recorder and self._recorder.done()):
            self._something_ended.set()
            await asyncio.sleep(RECORD_EVERY_SECONDS / 4)

    @property
    def _is_lost(self) -> bool:
        return self._control.stop is not None and self._control.stop.cause is Cause.LOST


async def _first(event: asyncio.Event, seconds: float) -> None:
    """Wait for an event, but not longer than so many seconds."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(max(seconds, 0.001)):
            await event.wait()
