"""Watching a broadcast: the row's own counters, ten times a second, until there is nothing more to see."""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Self

from rich.progress import BarColumn, Progress, TextColumn

from server.cli.output import Exit, is_terminal, say, stderr
from server.cli.standing import Signs, live_line, summary
from server.config import settings
from server.database import async_engine, database_errors
from server.domain.errors import BadInput
from server.domain.states import FINAL, BroadcastStatus

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

LOOK_EVERY_SECONDS: Final = 0.1
# Where lines cannot be written over, each look would be a line of a log.
SAY_EVERY_SECONDS: Final = 5.0
_EXITS: Final = {
    BroadcastStatus.COMPLETED: Exit.OK,
    BroadcastStatus.PARTIAL: Exit.PARTIAL,
    BroadcastStatus.FAILED: Exit.FAILED,
    BroadcastStatus.CANCELLED: Exit.CANCELLED,
    BroadcastStatus.SETTLING: Exit.PARTIAL,
}


def _nothing() -> None:
    """What a plain watch does meanwhile."""


def watch(database_url: str, broadcast_id: int, meanwhile: Callable[[], None] = _nothing) -> dict[str, Any]:
    """Show a broadcast until it ends, or nothing is left to send, or it pauses and nobody is there to resume it.

    Returns the broadcast as it was last seen.
    """
    with database_errors():
        return asyncio.run(_watch(database_url, broadcast_id, _is_over, meanwhile))


def live(database_url: str, broadcast_id: int, meanwhile: Callable[[], None]) -> dict[str, Any]:
    """Show a broadcast until it has ended and nobody is unknown, and do something else at each look."""
    with database_errors():
        return asyncio.run(_watch(database_url, broadcast_id, _has_ended, meanwhile))


def exit_of(shown: dict[str, Any]) -> Exit:
    """The exit code that tells how a broadcast ended."""
    return _EXITS.get(BroadcastStatus(shown["status"]), Exit.ENVIRONMENT)


async def _watch(
    database_url: str, broadcast_id: int, is_over: Callable[[dict[str, Any]], bool], meanwhile: Callable[[], None]
) -> dict[str, Any]:
    async with async_engine(database_url, pool_size=1) as engine:
        watcher = _Watcher(engine, broadcast_id)
        with Display() as display:
            while True:
                shown, signs = await watcher.look()
                if is_over(shown):
                    break
                words = live_line(shown, signs, datetime.now(UTC))
                display.update(shown["processed_count"], shown["total_recipients"], words)
                meanwhile()
                await asyncio.sleep(LOOK_EVERY_SECONDS)
    say(summary(shown))
    return shown


class _Watcher:
    """Looks at one broadcast again and again, and keeps in mind since when nothing has changed."""

    def __init__(self, engine: "AsyncEngine", broadcast_id: int) -> None:
        self._engine = engine
        self._broadcast_id = broadcast_id
        self._seen: tuple[object, ...] = ()
        self._since = time.monotonic()

    async def look(self) -> tuple[dict[str, Any], Signs]:
        """The broadcast as it stands, and what the row does not say."""
        from server.services import broadcast_json, leases

        async with self._engine.connect() as connection:
            shown = await broadcast_json.show(connection, None, self._broadcast_id)
            left = await leases.seconds_left(connection, self._broadcast_id)
        seen = (shown["status"], shown["started_at"], shown["processed_count"], shown["unknown_count"])
        if seen != self._seen:
            self._seen, self._since = seen, time.monotonic()
        return shown, Signs(settings().lease_seconds, left, time.monotonic() - self._since)


class Display:
    """A line that is written over at a terminal; elsewhere a line now and then, while there is something new."""

    def __init__(self) -> None:
        self._progress = Progress(
            TextColumn("{task.completed:,.0f} of {task.total:,.0f}" if stderr.is_terminal else ""),
            BarColumn(bar_width=40),
            TextColumn("{task.fields[words]}", markup=False),
            console=stderr,
            transient=True,
            disable=not stderr.is_terminal,
        )
        self._task = self._progress.add_task("", total=1, words="", visible=False)  # nothing is known yet
        self._said = ""
        self._said_at = time.monotonic()

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def update(self, done: int, total: int, words: str) -> None:
        """Show how it stands now: so many people of so many, and what is to be said of it."""
        self._progress.update(self._task, total=max(total, 1), completed=done, words=words, visible=True)
        if stderr.is_terminal or time.monotonic() - self._said_at < SAY_EVERY_SECONDS:
            return
        self._said_at = time.monotonic()
        line = f"{done:,} of {total:,}: {words}"
        if line != self._said:
            self._said = line
            say(line)


def _is_over(shown: dict[str, Any]) -> bool:
    # A person at the terminal may resume it from elsewhere; a script would wait for ever.
    is_stuck = shown["status"] == BroadcastStatus.PAUSED and shown["resume_at"] is None and not is_terminal()
    return _has_ended(shown) or shown["status"] == BroadcastStatus.SETTLING or is_stuck


def _has_ended(shown: dict[str, Any]) -> bool:
    return shown["status"] in FINAL


def broadcast_number(text: str) -> int:
    """The id of a broadcast as it was typed. Raises `BadInput`."""
    if not text.isdecimal() or not 0 < int(text) < 2**63:
        raise BadInput(f'"{text}" is not the number of a broadcast; `clarion broadcasts list` shows them.')
    return int(text)
