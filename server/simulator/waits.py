"""Answers that come when something has happened: kept-back answers of messages, and questions of a test that waits."""

import asyncio
from collections.abc import Callable

from server.simulator.http import Exchange


class Holds:
    """Answers of accepted messages that are kept back until they are released."""

    def __init__(self) -> None:
        self._pass_first: int | None = None
        self._held: list[tuple[Exchange, bytes]] = []
        self.active = False

    def begin(self, after: int) -> None:
        """From now on let the answers of `after` accepted messages go, and keep back all that follow."""
        self._pass_first = after
        self.active = True

    def keeps(self, exchange: Exchange, http_response: bytes) -> bool:
        """Whether this answer is kept back, and from then on in our hands."""
        if self._pass_first is None:
            return False
        if self._pass_first > 0:
            self._pass_first -= 1
            return False
        self._held.append((exchange, http_response))
        return True

    def release(self) -> None:
        """Keep back nothing any more, and give all answers."""
        self._pass_first = None
        self.active = False
        held, self._held = self._held, []
        for exchange, http_response in held:
            exchange.answer(http_response)

    def __len__(self) -> int:
        return len(self._held)


class Waits:
    """Questions that are answered when a condition holds, or when their time is up."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._open: dict[asyncio.TimerHandle, tuple[Callable[[], bool], Callable[[], None]]] = {}

    def until(self, condition: Callable[[], bool], then: Callable[[], None], timeout_seconds: float) -> None:
        """Call `then` once: as soon as the condition holds, else after the time-out."""
        if condition():
            then()
            return
        timer: asyncio.TimerHandle | None = None

        def time_is_up() -> None:
            if timer is not None:
                self._open.pop(timer, None)
            then()

        timer = self._loop.call_later(timeout_seconds, time_is_up)
        self._open[timer] = (condition, then)

    def __bool__(self) -> bool:
        return bool(self._open)

    def look(self) -> None:
        """Something happened: answer those whose condition holds by now."""
        for timer, (condition, then) in list(self._open.items()):
            if condition():
                del self._open[timer]
                timer.cancel()
                then()
