"""An import that goes on after the answer: whoever began it may leave the page and come back to it.

The file is on the disk in whole before it begins. A runner belongs to its web process: should that end, the page says
that the import broke off, and the same file again doubles nobody.
"""

import asyncio
import io
import os
import secrets
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack
from typing import Final

import redis
from sqlalchemy.exc import DBAPIError

from server.dashboard.looks import N_
from server.domain.errors import ClarionError, QueueAway
from server.services import import_runs
from server.services.audiences import LoadProgress
from server.services.contact_imports import Imported, import_contacts
from server.services.contact_lists import ContactRow
from server.services.import_runs import ImportRun
from server.web_resources import WebResources

_TOLD_EVERY_SECONDS: Final = 0.5
_LONGEST_NAME: Final = 120
# A task that nobody holds may be collected while it runs.
_running: set[asyncio.Task[None]] = set()


async def begin(
    resources: WebResources,
    business_id: int,
    file: io.FileIO,
    rows: Iterator[ContactRow],
    *,
    name: str,
    columns: Mapping[str, str],
    ends_with: AsyncExitStack,
) -> None:
    """Begin an import. ends_with: what holds the file; it is taken over, unless this raises, and closed at the end.

    Raises `NotNow` where another import is under way, `QueueAway`.
    """
    now = time.time()
    run = ImportRun(secrets.token_hex(8), name[:_LONGEST_NAME], now, now, columns)
    try:
        await asyncio.to_thread(import_runs.begin, resources.redis, business_id, run)
    except redis.RedisError as error:
        raise QueueAway("The queue's server does not answer, and an import tells there how it goes.") from error
    task = asyncio.create_task(_Runner(resources, business_id, file, run).carry_out(rows, ends_with.pop_all()))
    _running.add(task)
    task.add_done_callback(_running.discard)


class _Runner:
    """One import at work."""

    def __init__(self, resources: WebResources, business_id: int, file: io.FileIO, run: ImportRun) -> None:
        self._resources, self._business_id, self._file, self._run = resources, business_id, file, run
        self._size = max(1, os.fstat(file.fileno()).st_size)
        self._stopping = threading.Event()

    async def carry_out(self, rows: Iterator[ContactRow], ends_with: AsyncExitStack) -> None:
        """Take everybody in, and tell of it all the time."""
        async with ends_with:
            work = asyncio.create_task(
                import_contacts(self._resources.engine, self._business_id, self._until_stopped(rows), self._note)
            )
            try:
                while not work.done():
                    await asyncio.wait({work}, timeout=_TOLD_EVERY_SECONDS)
                    await self._tell()
                self._end(await work)
            except (ClarionError, DBAPIError, OSError) as error:
                self._run.status = "failed"
                self._run.detail = str(error) if isinstance(error, ClarionError) else N_("The database went away.")
            finally:
                work.cancel()
            await self._tell()

    def _until_stopped(self, rows: Iterator[ContactRow]) -> Iterator[ContactRow]:
        for row in rows:
            if self._stopping.is_set():
                return
            yield row

    def _note(self, progress: LoadProgress) -> None:
        run = self._run
        run.rows_count, run.accepted_count, run.rejected_count = progress
        # Whoever has read it to its end has closed it.
        run.share = 1.0 if self._file.closed else min(1.0, self._file.tell() / self._size)

    def _end(self, done: Imported) -> None:
        run = self._run
        run.status = "stopped" if self._stopping.is_set() else "finished"
        run.share = run.share if self._stopping.is_set() else 1.0
        run.rows_count, run.accepted_count, run.rejected_count = (
            done.rows_count,
            done.accepted_count,
            done.rejected_count,
        )
        run.created_count, run.updated_count = done.created_count, done.updated_count
        run.merged_count = done.merged_count
        run.opted_out_count, run.still_opted_out_count = done.opted_out_count, done.still_opted_out_count
        run.rejected = done.rejected

    async def _tell(self) -> None:
        self._run.heard_at = time.time()
        try:
            await asyncio.to_thread(import_runs.keep, self._resources.redis, self._business_id, self._run)
            asked = await asyncio.to_thread(import_runs.is_to_stop, self._resources.redis, self._business_id, self._run)
        except redis.RedisError:
            return  # the picture stands still for a while; the import does not
        if asked:
            self._stopping.set()
