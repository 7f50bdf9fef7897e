"""One callback URL: what waits for it, what is under way, and what is tried again.

Every answer but 200 is a failure, as with Meta. A POST that failed is sent again, unchanged, at growing intervals; so
nothing is lost while the receiver is away. While it is away it is not hammered: after a failure the whole line rests,
longer with each failure that follows, then asks with a single POST, and opens up again by doubling as answers come.
A POST that alone is refused again and again therefore never stands in the way of the others.
"""

import asyncio
import heapq
import hmac
import itertools
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, TypeAlias
from urllib.parse import urlsplit

import msgspec
from pyreqwest.client import ClientBuilder
from pyreqwest.exceptions import PyreqwestError
from pyreqwest.request import ConsumedRequest, RequestBody

from server.simulator.webhook_body import Notice, WebhookBody
from server.simulator.webhook_manners import Callback, Manners

FIRST_BACK_OFF: Final = 0.1
"""Of `retry_seconds`: Meta tries again at once, and then ever less often."""
MOST_DOUBLINGS: Final = 30
SECONDS_A_DAY: Final = 86_400.0

Update: TypeAlias = int | Notice
"""A status of a message, packed (statuses.py), or anything else that is told."""


class LineReport(msgspec.Struct, frozen=True):
    """How one callback fares."""

    url: str
    waiting: int
    """Updates that were not sent yet, or wait to be sent again."""
    under_way: int
    """POSTs that are not answered yet."""
    posts: int
    acknowledged: int
    """Updates in POSTs that were answered with 200."""
    failures: int
    """POSTs that were not answered, or not with 200."""
    last_failure: str | None


@dataclass(slots=True)
class _Post:
    updates: list[Update]
    first_at: float
    then: Callable[[], None] | None = None
    attempts: int = 0


class Line:
    """Brings updates to one callback. `heard` gets the updates of every POST that was acknowledged."""

    def __init__(
        self,
        callback: Callback,
        body: WebhookBody,
        time_scale: float,
        heard: Callable[[list[Update]], None],
        dropped: Callable[[list[Update]], None],
    ) -> None:
        self.callback = callback
        self.manners = Manners()
        self._body = body
        self._time_scale = time_scale
        self._heard = heard
        self._dropped = dropped
        self._loop = asyncio.get_running_loop()
        self._key = callback.app_secret.encode()
        builder = ClientBuilder().user_agent("facebookexternalua").follow_redirects(False)
        if _is_local(callback.url):
            builder = builder.no_proxy()
        self._client = builder.connect_timeout(timedelta(seconds=5)).build()
        self._waiting: deque[Update] = deque()
        self._again: list[tuple[float, int, _Post]] = []
        self._order = itertools.count()
        self._tasks: set[asyncio.Task[None]] = set()
        self._last_was_old = False
        self._window = 1
        self._rest_count = 0
        self._rests = 0
        self._resting: asyncio.TimerHandle | None = None
        self._waking: asyncio.TimerHandle | None = None
        self._posts = self._acknowledged = self._failures = 0
        self._last_failure: str | None = None

    def use(self, manners: Manners) -> None:
        """Deliver in this manner from now on."""
        self.manners = manners
        self._window = manners.connections
        self._body.version = manners.version
        headers = {"content-type": "application/json"}
        timeout = timedelta(seconds=manners.timeout_seconds)
        self._request: ConsumedRequest = self._client.post(self.callback.url).headers(headers).timeout(timeout).build()

    def put(self, updates: Iterable[Update]) -> None:
        """Bring these, when their turn has come."""
        self._waiting.extend(updates)
        self._go_on()

    def bring_now(self, update: Update, then: Callable[[], None]) -> None:
        """Bring this one at once and alone, and call back when it was answered, or could not be."""
        if self._resting is not None:
            self._waiting.append(update)
            then()
            return
        self._begin(_Post([update], self._loop.time(), then))

    @property
    def idle(self) -> bool:
        """Whether there is nothing left to bring."""
        return not (self._waiting or self._tasks or self._again)

    def report(self) -> LineReport:
        """How it fares."""
        waiting = len(self._waiting) + sum(len(post.updates) for _, _, post in self._again)
        return LineReport(
            self.callback.url,
            waiting,
            len(self._tasks),
            self._posts,
            self._acknowledged,
            self._failures,
            self._last_failure,
        )

    def close(self) -> None:
        """Forget what waits and break off what is under way."""
        self._waiting.clear()
        self._again.clear()
        for timer in (self._resting, self._waking):
            if timer is not None:
                timer.cancel()
        for task in self._tasks:
            task.cancel()

    # What follows is the line's own business

    def _go_on(self) -> None:
        """Begin as many POSTs as may be under way."""
        self._set_alarm()
        while self._resting is None and len(self._tasks) < self._window:
            post = self._next()
            if post is None:
                return
            self._begin(post)

    def _next(self) -> _Post | None:
        """In turns what is tried again and what is new: neither keeps the other waiting."""
        is_due = bool(self._again) and self._again[0][0] <= self._loop.time()
        if is_due and not (self._last_was_old and self._waiting):
            self._last_was_old = True
            return heapq.heappop(self._again)[2]
        self._last_was_old = False
        if self._waiting:
            count = min(self.manners.batch, len(self._waiting))
            return _Post([self._waiting.popleft() for _ in range(count)], self._loop.time())
        return None

    def _begin(self, post: _Post) -> None:
        task = self._loop.create_task(self._bring(post, self._rests))
        self._tasks.add(task)

    async def _bring(self, post: _Post, rests: int) -> None:
        failure = await self._ask(self._body.of(post.updates))
        task = asyncio.current_task()
        if task is not None:
            self._tasks.discard(task)
        if failure is None:
            self._acknowledged += len(post.updates)
            self._window = min(self.manners.connections, 2 * self._window)
            self._rest_count = 0
            self._heard(post.updates)
        else:
            self._failures += 1
            self._last_failure = failure
            self._try_again(post)
            self._rest(rests)
        then, post.then = post.then, None
        if then is not None:
            then()
        self._go_on()

    async def _ask(self, body: bytes) -> str | None:
        """POST it. Returns None where it was acknowledged, else why it was not."""
        self._posts += 1
        signature = hmac.digest(self._key, body, "sha256").hex()
        request = self._request.copy()
        request.headers["x-hub-signature-256"] = f"sha256={signature}"
        request.body = RequestBody.from_bytes(body)
        try:
            response = await request.send()
        except PyreqwestError as error:
            return type(error).__name__
        return None if response.status == 200 else f"HTTP {response.status}"

    def _try_again(self, post: _Post) -> None:
        now = self._loop.time()
        if now - post.first_at > self.manners.give_up_days * SECONDS_A_DAY / self._time_scale:
            self._dropped(post.updates)
            return
        heapq.heappush(self._again, (now + self._back_off(post.attempts), next(self._order), post))
        post.attempts += 1

    def _rest(self, rests: int) -> None:
        """Rest, once for all POSTs that failed together: those that began before the last rest ask for no other."""
        self._window = 1
        if rests != self._rests:
            return
        self._rests += 1
        self._resting = self._loop.call_later(self._back_off(self._rest_count), self._rested)
        self._rest_count += 1

    def _rested(self) -> None:
        self._resting = None
        self._go_on()

    def _set_alarm(self) -> None:
        """Wake up for the next POST that is tried again, if nothing else wakes us before."""
        if self._waking is not None:
            self._waking.cancel()
            self._waking = None
        if self._again and self._resting is None:
            self._waking = self._loop.call_at(max(self._again[0][0], self._loop.time() + 0.001), self._go_on)

    def _back_off(self, failures: int) -> float:
        seconds = self.manners.retry_seconds * FIRST_BACK_OFF * (1 << min(failures, MOST_DOUBLINGS))
        return min(seconds, self.manners.retry_longest_seconds) / self._time_scale


def _is_local(url: str) -> bool:
    return (urlsplit(url).hostname or "") in {"localhost", "127.0.0.1", "::1"}
