"""Watching a broadcast: the row's own counters, ten times a second, until there is nothing more to see."""

import asyncio
from collections.abc import Callable
from typing import Any, Final

from rich.progress import BarColumn, Progress, TaskID, TextColumn

from server.cli.output import Exit, is_terminal, say, stderr
from server.database import async_engine, database_errors
from server.domain.errors import BadInput
from server.domain.states import FINAL, BroadcastStatus

LOOK_EVERY_SECONDS: Final = 0.1
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
    """Show a broadcast until it has ended, and do something else at each look."""
    with database_errors():
        return asyncio.run(_watch(database_url, broadcast_id, _has_ended, meanwhile))


def exit_of(shown: dict[str, Any]) -> Exit:
    """The exit code that tells how a broadcast ended."""
    return _EXITS.get(BroadcastStatus(shown["status"]), Exit.ENVIRONMENT)


async def _watch(
    database_url: str, broadcast_id: int, is_over: Callable[[dict[str, Any]], bool], meanwhile: Callable[[], None]
) -> dict[str, Any]:
    from server.services import broadcast_json

    async with async_engine(database_url, pool_size=1) as engine:
        with _progress() as progress:
            task = progress.add_task("", total=1, words="")
            while True:
                async with engine.connect() as connection:
                    shown = await broadcast_json.show(connection, None, broadcast_id)
                _update(progress, task, shown)
                if is_over(shown):
                    break
                meanwhile()
                await asyncio.sleep(LOOK_EVERY_SECONDS)
    say(summary(shown))
    return shown


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.completed:,.0f} of {task.total:,.0f}" if stderr.is_terminal else ""),
        BarColumn(bar_width=40),
        TextColumn("{task.fields[words]}"),
        console=stderr,
        transient=True,
        disable=not stderr.is_terminal,
    )


def _update(progress: Progress, task: TaskID, shown: dict[str, Any]) -> None:
    total = max(shown["total_recipients"], 1)
    progress.update(task, total=total, completed=shown["processed_count"], words=_words(shown))


def _words(shown: dict[str, Any]) -> str:
    said = [shown["status"]]
    if shown["current_rate"]:
        said.append(f"{shown['current_rate']:,.0f}/s")
    said += [
        f"{shown[f'{name}_count']:,} {name}"
        for name in ("failed", "unknown", "skipped", "cancelled")
        if shown[f"{name}_count"]
    ]
    if shown["eta"] and shown["current_rate"]:
        remaining = shown["total_recipients"] - shown["processed_count"] - shown["unknown_count"]
        said.append(f"{in_words(remaining / shown['current_rate'])} left")
    if shown["pause_reason"]:
        said.append(shown["status_detail"] or str(shown["pause_reason"]))
    return ", ".join(said)


def _is_over(shown: dict[str, Any]) -> bool:
    # A person at the terminal may resume it from elsewhere; a script would wait for ever.
    is_stuck = shown["status"] == BroadcastStatus.PAUSED and shown["resume_at"] is None and not is_terminal()
    return _has_ended(shown) or is_stuck


def _has_ended(shown: dict[str, Any]) -> bool:
    return shown["status"] in (*FINAL, BroadcastStatus.SETTLING)


def summary(shown: dict[str, Any]) -> str:
    """How a broadcast stands, in one plain sentence or two."""
    counts = ", ".join(
        f"{shown[f'{name}_count']:,} {name}"
        for name in ("sent", "failed", "skipped", "cancelled", "unknown")
        if shown[f"{name}_count"] or name == "sent"
    )
    text = f"Broadcast {shown['id']} is {shown['status']}: {counts} of {shown['total_recipients']:,}."
    if shown["status_detail"]:
        text += f" {shown['status_detail']}"
    if shown["status"] == BroadcastStatus.SETTLING:
        text += " The unknown ones settle by themselves; nothing is left to send."
    return text


def in_words(seconds: float) -> str:
    """A length of time as a person would say it."""
    if seconds < 90:
        return f"{max(seconds, 1):.0f} s"
    if seconds < 5_400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def broadcast_number(text: str) -> int:
    """The id of a broadcast as it was typed. Raises `BadInput`."""
    if not text.isdecimal() or not 0 < int(text) < 2**63:
        raise BadInput(f'"{text}" is not the number of a broadcast; `clarion broadcasts list` shows them.')
    return int(text)
