"""The inbox of webhooks: a body is durable before its POST is answered, and many bodies share one commit.

While one commit is written the next bodies gather; they go together in the one after. So the disk sets the pace of
commits, and the rate of requests does not (group commit).

What waits is bounded in bytes, and a write in seconds: a database that hangs makes WhatsApp come again later, and not
this process grow. Whoever was told that a body was not kept may find it kept all the same, where the commit went
through after all: it is then applied twice, which changes nothing.
"""

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, Final, NamedTuple, Self

import psycopg
from psycopg import AsyncConnection

from server.database import in_words, plain_connection
from server.domain.errors import ClarionError, DatabaseAway, InboxFull

MOST_AT_ONCE: Final = 500
MOST_BYTES_AT_ONCE: Final = 8 * 1024 * 1024
MOST_WAITING_BYTES: Final = 64 * 1024 * 1024
# What a request takes besides its body, roughly: small bodies must not come in by the hundred thousand.
REQUEST_BYTES: Final = 8 * 1024
# PostgreSQL itself gives a write up after so long, as where another transaction has locked the table.
STATEMENT_SECONDS: Final = 4.0
# And so long is waited for a word of it: a server that is stopped, or a network that swallows, says none.
HANGS_SECONDS: Final = 6.0
_PATIENCE: Final = "SELECT set_config('statement_timeout', %s, false)"
_PUT: Final = """
    /* inbox.put */
    INSERT INTO webhook_inbox (channel_id, body) SELECT * FROM unnest(%s::bigint[], %s::bytea[])
"""
_HANGS: Final = "The database does not answer: it took too long to keep a webhook."
_FULL: Final = "More webhooks wait for the database than there is room for. Send it again in a moment."


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
        self._waiting_bytes = 0
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

    @contextlib.contextmanager
    def room(self, body: bytes) -> Iterator[None]:
        """Room for a body from when it has come in until its request is answered. Raises `InboxFull`."""
        size = len(body) + REQUEST_BYTES
        if self._waiting_bytes + size > MOST_WAITING_BYTES:
            raise InboxFull(_FULL)
        self._waiting_bytes += size
        try:
            yield
        finally:
            self._waiting_bytes -= size

    async def put(self, channel_id: int, body: bytes) -> None:
        """Return when the body is committed; the caller has made `room`.

        Raises `DatabaseAway` within seconds, or `StorageFull`: then the sender tries again.
        """
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
                    if _hangs(error):
                        # Those behind have waited as long: one time-out after the other would keep them for minutes.
                        together, self._waiting = together + self._waiting, []
                    _fail(together, error if isinstance(error, ClarionError) else in_words(error))
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
            async with _or_hang_up(self._connection):
                await self._connection.execute(_PATIENCE, (f"{STATEMENT_SECONDS:.0f}s",))
        async with _or_hang_up(self._connection), self._connection.cursor(binary=True) as cursor:
            values = ([waiting.channel_id for waiting in together], [waiting.body for waiting in together])
            await cursor.execute(_PUT, values, prepare=True)

    async def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()


@contextlib.asynccontextmanager
async def _or_hang_up(connection: AsyncConnection[Any]) -> AsyncIterator[None]:
    """Let the block wait for the server for `HANGS_SECONDS` and no longer. Raises `DatabaseAway` then.

    The socket is shut from our side. To cancel the statement would be to ask the server that does not answer, and to
    wait for it once more.
    """
    is_hung_up = False

    def hang_up() -> None:
        nonlocal is_hung_up
        is_hung_up = True
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(connection.fileno())) as line:
            line.shutdown(socket.SHUT_RDWR)

    timer = asyncio.get_running_loop().call_later(HANGS_SECONDS, hang_up)
    try:
        yield
    except psycopg.Error as error:
        if is_hung_up:
            raise DatabaseAway(_HANGS) from error
        raise
    finally:
        timer.cancel()


def _hangs(error: Exception) -> bool:
    """Whether the database was waited for in vain, rather than refused."""
    return isinstance(error, DatabaseAway | psycopg.errors.ConnectionTimeout | psycopg.errors.QueryCanceled)


def _fail(together: list[_Waiting], error: Exception) -> None:
    for waiting in together:
        if not waiting.committed.done():
            waiting.committed.set_exception(error)
