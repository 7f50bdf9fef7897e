"""Who delivers what is in the outbox: some seconds at a time, to many endpoints at once, until nothing is due.

One endpoint cannot hold up another: each has a task of its own, with so many requests at once and no more; one that
fails is tried with one request, and rests after it. Every attempt has a time limit. A stop lets what is on its way end,
for a moment, and gives the rest back.
"""

import asyncio
import contextlib
import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from server.domain.errors import BadInput
from server.domain.sentences import said
from server.domain.webhook_events import PING
from server.domain.webhook_retries import Attempt, judge, rest
from server.logs import Event, get_logger
from server.providers.webhook_posts import Heard, Post, Postman
from server.secrets import Vault
from server.services import deliveries
from server.services.deliveries import Receiver, Result, Taken, body_of, instant

# One run ends after so long; what is left is the next one's.
RUN_SECONDS: Final = 30.0
LOOK_EVERY_SECONDS: Final = 0.5
BATCH: Final = 64
AT_ONCE_FOR_ONE: Final = 16
AT_ONCE_FOR_ALL_OF_ONE: Final = 64  # endpoints of one business
# Connections in all: to endpoints that take what they get, and to those that fail, so that these hold up none of those.
AT_ONCE: Final = 256
FAILING_AT_ONCE: Final = 64
# A lease is as long as a batch can take, and so much more. A worker that slept longer begins nothing of it any more.
LEASE_MARGIN_SECONDS: Final = 20.0
# What is on its way when a stop is asked for has so long to be answered.
LAST_WORDS_SECONDS: Final = 3.0
CUT_OFF: Final = said("Clarion was stopped before the answer came")

_log = get_logger(__name__)


@dataclass(slots=True)
class Delivered:
    """What one run did."""

    delivered_count: int = 0
    failed_count: int = 0
    disabled_count: int = 0


@dataclass(slots=True)
class _Batch:
    """What came of the deliveries of one batch."""

    results: list[Result] = field(default_factory=list)
    heard_count: int = 0
    delivered_count: int = 0
    disable_because: str | None = None


class Courier:
    """One run. vault: reads the secrets that sign."""

    def __init__(self, engine: AsyncEngine, vault: Vault, postman: Postman, *, timeout_seconds: float) -> None:
        self._engine = engine
        self._vault = vault
        self._postman = postman
        self._timeout_seconds = timeout_seconds
        self._lease_seconds = BATCH / AT_ONCE_FOR_ONE * timeout_seconds + LEASE_MARGIN_SECONDS
        self.done = Delivered()
        self._at_once = asyncio.Semaphore(AT_ONCE)
        self._of_business = defaultdict[int, asyncio.Semaphore](lambda: asyncio.Semaphore(AT_ONCE_FOR_ALL_OF_ONE))
        self._failing_at_once = asyncio.Semaphore(FAILING_AT_ONCE)
        self._unreadable: set[int] = set()
        self._stop = asyncio.Event()
        self._cut = asyncio.Event()

    def stop(self) -> None:
        """Begin nothing more; what is on its way is cut off in a moment."""
        if not self._stop.is_set():
            self._stop.set()
            asyncio.get_running_loop().call_later(LAST_WORDS_SECONDS, self._cut.set)

    async def deliver(self, run_seconds: float = RUN_SECONDS) -> None:
        """Deliver until nothing is due, it is stopped, or the time is over. What was done is in `done`."""
        alarm = asyncio.get_running_loop().call_later(run_seconds, self._stop.set)
        tasks: dict[int, asyncio.Task[None]] = {}
        try:
            async with asyncio.TaskGroup() as group:
                while not self._stop.is_set():
                    async with self._engine.connect() as connection:
                        due = await deliveries.due_endpoints(connection)
                    tasks = {endpoint_id: task for endpoint_id, task in tasks.items() if not task.done()}
                    if not tasks and self._unreadable.issuperset(due):
                        break
                    for endpoint_id in due:
                        if endpoint_id not in tasks and endpoint_id not in self._unreadable:
                            tasks[endpoint_id] = group.create_task(self._serve(endpoint_id))
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(LOOK_EVERY_SECONDS):
                            await self._stop.wait()
        finally:
            alarm.cancel()

    async def _serve(self, endpoint_id: int) -> None:
        """Deliver what is due for one endpoint, batch after batch."""
        while not self._stop.is_set():
            leased_at = asyncio.get_running_loop().time()
            async with self._engine.begin() as connection:
                receiver = await self._receiver(connection, endpoint_id)
                if receiver is None:
                    return
                is_failing = receiver.failing_seconds is not None
                taken = await deliveries.take(connection, endpoint_id, 1 if is_failing else BATCH, self._lease_seconds)
            if not taken:
                return
            batch = await self._post_all(receiver, taken, leased_at)
            await self._record(receiver, batch)

    async def _receiver(self, connection: AsyncConnection, endpoint_id: int) -> Receiver | None:
        try:
            return await deliveries.receiver(connection, self._vault, endpoint_id)
        except BadInput as error:
            self._unreadable.add(endpoint_id)
            _log.error(Event.WEBHOOK_UNREADABLE, endpoint_id=endpoint_id, error=str(error))
            return None

    async def _post_all(self, receiver: Receiver, taken: Sequence[Taken], leased_at: float) -> _Batch:
        """Post a batch, so many at once; what may not be begun any more is given back."""
        batch = _Batch()
        left = iter(taken)
        gate = self._at_once if receiver.failing_seconds is None else self._failing_at_once

        async def go_on() -> None:
            for one in left:
                async with self._of_business[receiver.business_id], gate:
                    if self._stop.is_set() or self._is_late(leased_at):
                        batch.results.append(Result(one.id, one.number, "pending", 0.0, unused=1))
                        continue
                    heard = await self._post(receiver, one)
                self._judge(receiver, one, heard, batch)

        async with asyncio.TaskGroup() as group:
            for _ in range(min(AT_ONCE_FOR_ONE, len(taken))):
                group.create_task(go_on())
        return batch

    def _is_late(self, leased_at: float) -> bool:
        """Whether the lease may be over before the answer is there."""
        return asyncio.get_running_loop().time() - leased_at > self._lease_seconds - self._timeout_seconds

    async def _post(self, receiver: Receiver, one: Taken) -> Heard | None:
        """Post once; None where it was cut off."""
        post = Post(receiver.url, one.message_id, body_of(one), receiver.secrets)
        posting = asyncio.create_task(self._postman.post(post))
        cutting = asyncio.create_task(self._cut.wait())
        await asyncio.wait((posting, cutting), return_when=asyncio.FIRST_COMPLETED)
        cutting.cancel()
        if posting.done():
            return posting.result()
        posting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await posting
        return None

    def _judge(self, receiver: Receiver, one: Taken, heard: Heard | None, batch: _Batch) -> None:
        at = instant(datetime.now(UTC))
        if heard is None:
            entry = _entry(one, at, Heard(error=CUT_OFF))
            batch.results.append(Result(one.id, one.number, "pending", 0.0, entry=entry))
            return
        is_test = one.event == PING
        attempt = Attempt(
            heard.status_code,
            one.number,
            one.trying_seconds,
            receiver.failing_seconds,
            heard.retry_after_seconds,
            is_test=is_test,
        )
        verdict = judge(attempt, random.random())  # noqa: S311 - no secret
        status = "delivered" if verdict.is_delivered else "failed" if verdict.retry_in_seconds is None else "pending"
        entry = _entry(one, at, heard)
        batch.results.append(Result(one.id, one.number, status, verdict.retry_in_seconds, entry=entry))
        self.done.delivered_count += verdict.is_delivered
        self.done.failed_count += not verdict.is_delivered
        if verdict.is_delivered or not is_test:
            batch.heard_count += 1
            batch.delivered_count += verdict.is_delivered
        batch.disable_because = batch.disable_because or verdict.disable_because

    async def _record(self, receiver: Receiver, batch: _Batch) -> None:
        async with self._engine.begin() as connection:
            await deliveries.record(connection, batch.results)
            if batch.delivered_count:
                await deliveries.takes_it(connection, receiver.id)
            elif batch.heard_count:
                await deliveries.fails(connection, receiver.id, rest(receiver.failing_seconds or 0.0))
            because = batch.disable_because
            if because is None or not await deliveries.disable(connection, receiver.id, because):
                return
        self.done.disabled_count += 1
        _log.warning(Event.WEBHOOK_DISABLED, business_id=receiver.business_id, endpoint_id=receiver.id, reason=because)


def _entry(one: Taken, at: str, heard: Heard) -> dict[str, Any]:
    """An attempt as the log has it. at: when it was over."""
    said = {"status_code": heard.status_code, "answer": heard.answer, "error": heard.error}
    return {"number": one.number, "at": at, **said, "duration_ms": heard.duration_ms}
