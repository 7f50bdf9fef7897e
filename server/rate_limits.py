"""How often a key may call: a moving window in the queue's server, shared by all web processes.

What is told to the client: `RateLimit-Policy` and `RateLimit` (IETF draft "RateLimit header fields for HTTP"). A server
that is away refuses nobody: the limit protects Clarion from a client gone wild, and is worth no outage.
"""

import math
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from limits import RateLimitItemPerMinute
from limits.aio.storage import RedisStorage
from limits.aio.strategies import MovingWindowRateLimiter
from redis.asyncio import BlockingConnectionPool
from redis.exceptions import RedisError

from server.domain.errors import LimitReached
from server.logs import Event, get_logger

WINDOW_SECONDS: Final = 60
_POLICY: Final = "calls"
_PREFIX: Final = "clarion:calls"
_TIMEOUT_SECONDS: Final = 0.25
# A server that did not answer is left alone for so long: one slow call, not all of them.
_LEFT_ALONE_SECONDS: Final = 5.0
_CONNECTIONS: Final = 16
_WAIT_SECONDS: Final = 2

_log = get_logger(__name__)


class Standing(NamedTuple):
    """What a key has left. resets_in: seconds until the window gives something back."""

    allowed: int
    left: int
    resets_in: int
    is_over: bool

    def headers(self) -> dict[str, str]:
        """As the client is told, whatever the answer is."""
        return {
            "RateLimit-Policy": f'"{_POLICY}";q={self.allowed};w={WINDOW_SECONDS}',
            "RateLimit": f'"{_POLICY}";r={self.left};t={self.resets_in}',
        }

    def raise_if_over(self) -> None:
        """Raises `LimitReached` where this call was one too many."""
        if self.is_over:
            raise LimitReached(
                f"This key may make {self.allowed} changing calls in {WINDOW_SECONDS} seconds. "
                f"Try again in {self.resets_in} s.",
                retry_after=self.resets_in,
            )


@dataclass(slots=True)
class CallLimit:
    """Counts the calls of each key."""

    limiter: MovingWindowRateLimiter
    item: RateLimitItemPerMinute
    left_alone_until: float = 0.0

    async def hit(self, key_id: int) -> Standing | None:
        """Count one call. None: the server that counts is away, and nothing is limited."""
        if time.monotonic() < self.left_alone_until:
            return None
        try:
            is_taken = await self.limiter.hit(self.item, str(key_id))
            stats = await self.limiter.get_window_stats(self.item, str(key_id))
        except (RedisError, OSError) as error:
            self.left_alone_until = time.monotonic() + _LEFT_ALONE_SECONDS
            _log.warning(Event.LIMIT_AWAY, error=str(error))
            return None
        # The window is kept by the clock of the wall, as the library does.
        resets_in = max(1, min(WINDOW_SECONDS, math.ceil(stats.reset_time - time.time())))
        return Standing(self.item.amount, max(0, stats.remaining), resets_in, not is_taken)


@asynccontextmanager
async def call_limit(redis_url: str, calls_per_minute: int) -> AsyncIterator[CallLimit]:
    """The limit of a web process, for as long as the block lasts."""
    # Many calls at once wait their turn: were they told that the server is away, they would not be counted.
    pool = BlockingConnectionPool.from_url(
        redis_url,
        max_connections=_CONNECTIONS,
        timeout=_WAIT_SECONDS,
        socket_connect_timeout=_TIMEOUT_SECONDS,
        socket_timeout=_TIMEOUT_SECONDS,
    )
    # The pool knows the address, of a socket's file too; the library wants one of its own to be named.
    options: dict[str, Any] = {"connection_pool": pool}
    storage = RedisStorage("redis://", implementation="redispy", key_prefix=_PREFIX, **options)
    try:
        yield CallLimit(MovingWindowRateLimiter(storage), RateLimitItemPerMinute(calls_per_minute))
    finally:
        await pool.aclose()
