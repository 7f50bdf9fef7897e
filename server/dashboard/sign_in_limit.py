"""How often somebody may try to sign in: a few times a minute for an address, and for where they come from.

Counted in the queue's server, so for all web processes together; where that is away, in this process alone: nobody is
locked out by an outage, and nobody gets to guess by one.
"""

import hashlib
from typing import Final

from limits import RateLimitItem, RateLimitItemPerHour, RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import MovingWindowRateLimiter
from redis.exceptions import RedisError

from server.domain.errors import LimitReached
from server.logs import Event, get_logger
from server.rate_limits import CallLimit

OF_A_PERSON: Final = RateLimitItemPerMinute(5)
OF_A_PERSON_LONG: Final = RateLimitItemPerHour(30)
OF_A_PLACE: Final = RateLimitItemPerMinute(20)
_RETRY_AFTER_SECONDS: Final = 60

_log = get_logger(__name__)
_alone: Final = MovingWindowRateLimiter(MemoryStorage())


async def count_try(limit: CallLimit, email: str, place: str) -> None:
    """Count one try of a password. Raises `LimitReached` where it is one too many.

    place: the network address it comes from.
    """
    await _count(limit, email.strip().lower(), place)


async def count_guess(limit: CallLimit, user_id: int, place: str) -> None:
    """Count one try of a code, or of the old password, by somebody who is known. Raises `LimitReached`."""
    await _count(limit, f"user {user_id}", place)


async def _count(limit: CallLimit, who: str, place: str) -> None:
    person = hashlib.sha256(who.encode()).hexdigest()
    counted = ((OF_A_PERSON, person), (OF_A_PERSON_LONG, person), (OF_A_PLACE, place))
    taken = [await _take(limit, item, who) for item, who in counted]
    if not all(taken):
        raise LimitReached("Too many tries. Wait a minute, then try again.", retry_after=_RETRY_AFTER_SECONDS)


async def _take(limit: CallLimit, item: RateLimitItem, who: str) -> bool:
    try:
        return await limit.limiter.hit(item, "sign-in", who)
    except (RedisError, OSError) as error:
        _log.warning(Event.LIMIT_AWAY, error=str(error))
        return await _alone.hit(item, "sign-in", who)
