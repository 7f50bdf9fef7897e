"""A page that moves: pieces of HTML as server-sent events, at most one a second, from one query for all watchers."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final

from fastapi.responses import StreamingResponse

from server.domain.states import FINAL
from server.services.progress import LOOK_EVERY_SECONDS, ProgressHub

# Names a proxy or a browser would give up on; a comment keeps the line alive.
KEEP_ALIVE_SECONDS: Final = 15.0

Draw = Callable[[dict[str, Any]], Awaitable[str]]


def stream(hub: ProgressHub, broadcast_id: int, draw: Draw) -> StreamingResponse:
    """Pieces of a page while a broadcast changes, and `over` when it has ended.

    draw: makes the piece from a broadcast as docs/api.md shows it. Whether the caller may watch is theirs to know.
    """
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(_pieces(hub, broadcast_id, draw), media_type="text/event-stream", headers=headers)


async def _pieces(hub: ProgressHub, broadcast_id: int, draw: Draw) -> AsyncIterator[str]:
    async with hub.watch(broadcast_id) as watcher:
        while True:
            try:
                async with asyncio.timeout(KEEP_ALIVE_SECONDS):
                    await watcher.changed.wait()
            except TimeoutError:
                yield ": still here\n\n"
                continue
            if watcher.is_over or watcher.latest is None:
                return  # the page asks again, and is told then what is wrong
            watcher.changed.clear()
            shown, drawn_at = watcher.latest.shown, time.monotonic()
            yield event(await draw(shown))
            if shown["status"] in FINAL:
                yield event("", name="over")
                return
            await asyncio.sleep(drawn_at + LOOK_EVERY_SECONDS - time.monotonic())


def event(text: str, *, name: str | None = None) -> str:
    """One server-sent event."""
    lines = [f"event: {name}"] if name else []
    lines += [f"data: {line}" for line in text.splitlines() or [""]]
    return "\n".join(lines) + "\n\n"
