"""What is due later, kept by the hundredth of a second: millions of things cost a handful of timers."""

import asyncio
from collections.abc import Callable
from typing import Final, Generic, TypeVar

T = TypeVar("T")

TICK_SECONDS: Final = 0.01


class Timetable(Generic[T]):
    """Calls `due` with everything whose time has come, never early, at most a tick late on a loop that is free."""

    def __init__(self, loop: asyncio.AbstractEventLoop, due: Callable[[list[T]], None]) -> None:
        self._loop = loop
        self._due = due
        self._ticks: dict[int, list[T]] = {}
        self._timers: dict[int, asyncio.TimerHandle] = {}
        self.waiting = 0
        """Things whose time has not come."""

    def add(self, seconds: float, thing: T) -> None:
        """Keep one thing for so many seconds."""
        tick = int((self._loop.time() + seconds) / TICK_SECONDS) + 1
        self.waiting += 1
        things = self._ticks.get(tick)
        if things is not None:
            things.append(thing)
            return
        self._ticks[tick] = [thing]
        self._timers[tick] = self._loop.call_at(tick * TICK_SECONDS, self._ring, tick)

    def _ring(self, tick: int) -> None:
        del self._timers[tick]
        things = self._ticks.pop(tick)
        self.waiting -= len(things)
        self._due(things)

    def clear(self) -> None:
        """Forget everything."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        self._ticks.clear()
        self.waiting = 0
