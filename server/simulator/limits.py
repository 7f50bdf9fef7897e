"""The limits of a number, as they emerge from use. Times are seconds of a clock that never runs back.

Throughput: a bucket of one second's worth that fills at the rate; an empty one answers 130429. Only messages that are
accepted take from it.
Pair: one message in 6 s to the same person; up to 45 go at once on credit, and each is paid back with 6 s (131056).
The messaging limit (unique people in 24 hours) has no documented code; what is answered beyond it is an option, and by
default nothing is: it is reported, not enforced (limit_options.py).
"""

import itertools
from collections import deque
from typing import Final

PAIR_INTERVAL_SECONDS: Final = 6.0
PAIR_BURST: Final = 45
MESSAGING_LIMIT_SECONDS: Final = 24 * 3600.0

MESSAGING_LIMITS: Final[dict[str, int | None]] = {
    "TIER_250": 250,
    "TIER_2K": 2_000,
    "TIER_10K": 10_000,
    "TIER_100K": 100_000,
    "TIER_UNLIMITED": None,
}
"""Unique people a business may begin a conversation with in 24 hours, by the name Meta gives the tier."""


class Throughput:
    """How many messages a second one number may send."""

    __slots__ = ("_filled_at", "_tokens", "rate")

    def __init__(self, rate: float) -> None:
        self.rate = rate
        """Messages a second; 0 is no limit. May be changed at any time."""
        self._tokens = max(rate, 1.0)
        self._filled_at = 0.0

    def allows(self, now: float) -> bool:
        """Whether one more message may go now."""
        if not self.rate:
            return True
        room = max(self.rate, 1.0)
        self._tokens = min(room, self._tokens + (now - self._filled_at) * self.rate)
        self._filled_at = now
        return self._tokens >= 1.0

    def take(self) -> None:
        """One message went. Without a limit nothing is used up, so that a later one does not begin in debt."""
        if self.rate:
            self._tokens -= 1.0


class PairLimit:
    """How often one number may write to one person. What is long paid back is forgotten, so memory follows use."""

    __slots__ = ("_paid_at", "_prune_at_size")

    def __init__(self) -> None:
        self._paid_at: dict[str, float] = {}
        """When what was sent to a person is paid back."""
        self._prune_at_size = 100_000

    def allows(self, wa_id: str, now: float) -> bool:
        """Whether one more message may go to this person now."""
        paid_at = self._paid_at.get(wa_id)
        return paid_at is None or paid_at - now <= (PAIR_BURST - 1) * PAIR_INTERVAL_SECONDS

    def take(self, wa_id: str, now: float) -> None:
        """One message went to this person."""
        self._paid_at[wa_id] = max(now, self._paid_at.get(wa_id, now)) + PAIR_INTERVAL_SECONDS
        if len(self._paid_at) > self._prune_at_size:
            self._paid_at = {person: paid_at for person, paid_at in self._paid_at.items() if paid_at > now}
            # Twice what is left: pruning then costs each message a constant, however many people there are.
            self._prune_at_size = max(100_000, 2 * len(self._paid_at))


class Lately:
    """Who was there within the last `seconds`, each counted once."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._at: dict[str, float] = {}
        """When each was last there, the longest ago first."""

    def note(self, wa_id: str, now: float) -> None:
        """This person was there."""
        self._at.pop(wa_id, None)
        self._at[wa_id] = now

    def has(self, wa_id: str, now: float) -> bool:
        """Whether this person was there lately."""
        at = self._at.get(wa_id)
        return at is not None and now - at < self._seconds

    def count(self, now: float) -> int:
        """How many were there lately; the others are forgotten."""
        for wa_id, _ in list(itertools.takewhile(lambda item: now - item[1] >= self._seconds, self._at.items())):
            del self._at[wa_id]
        return len(self._at)


class Cap:
    """How many messages one person takes within `seconds`."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._times: dict[str, deque[float]] = {}

    def allows(self, wa_id: str, most: int, now: float) -> bool:
        """Whether one more is taken now, of so many at most."""
        times = self._times.get(wa_id)
        if times is None:
            return True
        while times and now - times[0] >= self._seconds:
            times.popleft()
        return len(times) < most

    def take(self, wa_id: str, now: float) -> None:
        """One was taken."""
        self._times.setdefault(wa_id, deque()).append(now)
