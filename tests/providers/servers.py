"""Servers that misbehave, each in one way, over real sockets; every one keeps the bodies it has read whole.

A habit is what a server does with one connection. Nothing here waits for a time: a server that hangs waits until the
client goes away.
"""

import asyncio
import contextlib
import socket
import ssl
import struct
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

ACCEPTED_BODY = b'{"messaging_product":"whatsapp","messages":[{"id":"wamid.ABC","message_status":"accepted"}]}'


def answer(status: int, body: bytes, *headers: str, kind: str = "application/json") -> bytes:
    """An HTTP answer in full."""
    head = [f"HTTP/1.1 {status} x", f"content-type: {kind}", f"content-length: {len(body)}", *headers]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


ACCEPTED = answer(200, ACCEPTED_BODY)


@dataclass
class Connection:
    """One connection, as a habit sees it."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    server: "Server"

    async def read_request(self) -> bytes:
        """The body of the next request, read whole and noted."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        lines = head.lower().split(b"\r\n")
        length = next((int(line.split(b":")[1]) for line in lines if line.startswith(b"content-length:")), 0)
        body = await self.reader.readexactly(length)
        self.server.heads.append(head)
        self.server.read[body] += 1
        self.server.has_read.set()
        return body

    async def write(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def until_client_leaves(self) -> None:
        """Hang: read and answer nothing."""
        while await self.reader.read(65_536):
            pass

    def reset(self) -> None:
        """End the connection by RST."""
        self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


Habit = Callable[[Connection], Awaitable[None]]


@dataclass
class Server:
    """What it has read, and where it listens."""

    port: int = 0
    heads: list[bytes] = field(default_factory=list)
    read: Counter[bytes] = field(default_factory=Counter)
    has_read: asyncio.Event = field(default_factory=asyncio.Event)
    scheme: str = "http"

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    @property
    def requests_read(self) -> int:
        return self.read.total()


@contextlib.asynccontextmanager
async def serving(habit: Habit, tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    """A server with one habit, on a free port of 127.0.0.1."""
    server = Server(scheme="https" if tls else "http")
    tasks: set[asyncio.Task[None]] = set()

    async def one_connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        # A client that goes away ends the habit, whatever it was doing.
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            await habit(Connection(reader, writer, server))
        writer.close()

    listener = await asyncio.start_server(one_connection, "127.0.0.1", 0, ssl=tls)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def always(data: bytes) -> Habit:
    """Read each request and answer it so, for as long as the client stays."""

    async def habit(connection: Connection) -> None:
        while True:
            await connection.read_request()
            await connection.write(data)

    return habit
