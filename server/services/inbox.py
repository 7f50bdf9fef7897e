"""The inbox of webhooks: a body is durable before its POST is answered, and many bodies share one commit.

While one commit is written the next bodies gather; they go together in the one after. So the disk sets the pace of
commits, and the rate of requests does not (group commit).
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final, NamedTuple, Self

from psycopg import AsyncConnection

from server.database import in_words, plain_connection

MOST_AT_ONCE: Final = 500
MOST_BYTES_AT_ONCE: Final = 8 * 1024 * 1024
_PUT: Final = """
    /* inbox.put */
    INSERT INTO webhook_inbox (channel_id, body) SELECT * FROM unnest(%s::bigint[], %s::bytea[])
"""


class _Waiting(NamedTuple):
    channel_id: int
    body: bytes
    committed: "asyncio.Future[None]"


class Inbox:
    """Takes bodies in. An async context manager: its writer lives as long as the block."""

    def __init__(self, database_url: str, on_commit: Callable[[], None]) -> None:
        """on_commit: called after each commit, for whoever applies what came in."""
        self._database_url = database_url
        self._on_commit = on_commit
        self._waiting: list[_Waiting] = []
        self._some = asyncio.Event()
        self._connection: AsyncConnection[Any] | None = None
        self._writer: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._writer = asyncio.create_task(self._write_all())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._writer is not None:
            self._writer.cancel()
            await asyncio.gather(self._writer, return_exceptions=True)
        for waiting in self._waiting:
            waiting.committed.cancel()
        await self._drop()

    async def put(self, channel_id: int, body: bytes) -> None:
        """Return when the body is committed. Raises `DatabaseAway` or `StorageFull`: then the sender tries again."""
        waiting = _Waiting(channel_id, body, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        self._some.set()
        await waiting.committed

    async def _write_all(self) -> None:
        while True:
            await self._some.wait()
            self._some.clear()
            while self._waiting:
                together = self._take()
                try:
                    await self._write(together)
                except Exception as error:  # noqa: BLE001 - whoever waits is told, and the next bodies are written
                    await self._drop()
                    _fail(together, in_words(error))
                else:
                    for waiting in together:
                        if not waiting.committed.done():  # whoever asked may have gone
                            waiting.committed.set_result(None)
                    self._on_commit()

    def _take(self) -> list[_Waiting]:
        size = count = 0
        for waiting in self._waiting[:MOST_AT_ONCE]:
            size += len(waiting.body)
            count += 1
            if size > MOST_BYTES_AT_ONCE:
                break
        together, self._waiting = self._waiting[:count], self._waiting[count:]
        return together

    async def _write(self, together: list[_Waiting]) -> None:
        if self._connection is None:
            self._connection = await plain_connection(self._database_url)
        async with self._connection.cursor(binary=True) as cursor:
            values = ([waiting.channel_id for waiting in together], [waiting.body for waiting in together])
            await cursor.execute(_PUT, values, prepare=True)

    async def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()


def _fail(together: list[_Waiting], error: Exception) -> None:
    for waiting in together:
        if not waiting.committed.done():
            waiting.committed.set_exception(error)
