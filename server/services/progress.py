"""Who watches a broadcast hears of its changes: one query a second for all watchers of this process together.

A watcher costs no connection and no query of its own, so that five hundred open pages are as cheap as one.
"""

import asyncio
import hashlib
import json
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from server.logs import Event, get_logger
from server.models import WhatsAppBroadcast
from server.services import broadcast_json

LOOK_EVERY_SECONDS: Final = 1.0

# They move with the clock, whatever happens to the broadcast.
_RESTLESS: Final = ("eta",)
_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A broadcast as docs/api.md shows it, and a short name for this very state of it."""

    shown: dict[str, Any]
    version: str


def snapshot(shown: dict[str, Any]) -> Snapshot:
    """Name a state. Two processes, or one before and after a restart, give the same state the same name."""
    settled = {name: value for name, value in shown.items() if name not in _RESTLESS}
    text = json.dumps(settled, sort_keys=True, default=str)
    return Snapshot(shown, hashlib.blake2b(text.encode(), digest_size=12).hexdigest())


class Watcher:
    """One who watches: holds the newest state only, so that a slow reader piles nothing up.

    changed: set when there is something new. latest: None until then. is_over: the broadcast or the database is gone.
    """

    def __init__(self) -> None:
        self.changed = asyncio.Event()
        self.latest: Snapshot | None = None
        self.is_over = False

    def tell(self, latest: Snapshot) -> None:
        """Give the newest state; one that was not fetched yet is forgotten."""
        self.latest = latest
        self.changed.set()

    def end(self) -> None:
        """There is nothing more to hear."""
        self.is_over = True
        self.changed.set()


class ProgressHub:
    """Looks at every broadcast that somebody watches, once a second, and tells those who watch it.

    looking: the task that looks, while anybody watches.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._watchers: defaultdict[int, set[Watcher]] = defaultdict(set)
        self._said: dict[int, str] = {}
        self.looking: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def watch(self, broadcast_id: int) -> AsyncIterator[Watcher]:
        """Watch a broadcast. Whether the caller may is the caller's to know."""
        watcher = Watcher()
        self._watchers[broadcast_id].add(watcher)
        self._said.pop(broadcast_id, None)  # whoever comes anew is told the present state
        if self.looking is None or self.looking.done():
            self.looking = asyncio.create_task(self._look_on())
        try:
            yield watcher
        finally:
            others = self._watchers[broadcast_id]
            others.discard(watcher)
            if not others:
                del self._watchers[broadcast_id]

    async def close(self) -> None:
        """Send everybody away: the process ends."""
        if self.looking is not None:
            self.looking.cancel()
            await asyncio.gather(self.looking, return_exceptions=True)
        self._end(list(self._watchers))

    async def _look_on(self) -> None:
        while self._watchers:
            try:
                await self._look()
            except (SQLAlchemyError, OSError) as error:
                # Whoever watches asks again, as event streams do, and is told then what is wrong.
                _log.warning(Event.WATCH_ERROR, error=str(error))
                self._end(list(self._watchers))
            await asyncio.sleep(LOOK_EVERY_SECONDS)

    async def _look(self) -> None:
        watched = list(self._watchers)
        statement = broadcast_json.rows().where(WhatsAppBroadcast.id.in_(watched))
        async with self._engine.connect() as connection:
            rows = (await connection.execute(statement)).all()
        for row in rows:
            self._tell(row.id, snapshot(broadcast_json.as_json(row)))
        self._end(set(watched) - {row.id for row in rows})

    def _tell(self, broadcast_id: int, latest: Snapshot) -> None:
        if self._said.get(broadcast_id) == latest.version:
            return
        self._said[broadcast_id] = latest.version
        for watcher in self._watchers.get(broadcast_id, ()):
            watcher.tell(latest)

    def _end(self, broadcast_ids: Iterable[int]) -> None:
        for broadcast_id in broadcast_ids:
            self._said.pop(broadcast_id, None)
            for watcher in self._watchers.get(broadcast_id, ()):
                watcher.end()
