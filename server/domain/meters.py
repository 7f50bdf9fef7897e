"""How fast something has been going lately."""

from collections import deque

WINDOW_SECONDS = 3.0


class RateMeter:
    """Messages per second over the last few seconds. Instants are seconds of one clock that never runs back."""

    def __init__(self, now: float) -> None:
        self._since = now
        self._events: deque[tuple[float, int]] = deque()
        self._count = 0

    def add(self, now: float, count: int) -> None:
        """So many messages were sent at this instant."""
        self._events.append((now, count))
        self._count += count
        self._forget(now)

    def rate(self, now: float) -> float:
        """Messages per second; 0.0 where nothing was sent lately."""
        self._forget(now)
        return self._count / max(min(now - self._since, WINDOW_SECONDS), 0.1)

    def _forget(self, now: float) -> None:
        while self._events and self._events[0][0] < now - WINDOW_SECONDS:
            self._count -= self._events.popleft()[1]
