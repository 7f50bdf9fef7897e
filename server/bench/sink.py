"""The fastest receiver of messages that Python can be: the other end of the benchmarks, not a Cloud API.

It answers every POST with "accepted" and a message id of its own, looks at nothing but where a request ends, and keeps
nothing but a count. What a sender reaches against it is what the sender itself can do.

    python -m server.bench.sink --port 0        prints `sink listening on http://127.0.0.1:PORT`, ends on SIGTERM
"""

import argparse
import asyncio
import signal
import sys
from typing import Final, cast

import uvloop

_BODY: Final = (
    b'{"messaging_product":"whatsapp","contacts":[{"input":"+15550001111","wa_id":"15550001111"}],'
    b'"messages":[{"id":"wamid.%016d","message_status":"accepted"}]}'
)
# The id has a fixed width, so the length of the answer is known beforehand.
_ANSWER: Final = (
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(_BODY % 0)
) + _BODY
_END_OF_HEAD: Final = b"\r\n\r\n"
_LENGTH: Final = b"content-length:"


class Sink(asyncio.Protocol):
    """One connection. Keeps it open for as long as the client does, and answers pipelined requests in order."""

    answered_count = 0
    """Requests answered by all connections of the process."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the event loop."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own class is not a subclass of it

    def data_received(self, data: bytes) -> None:
        """Answer each request that is complete; keep the rest for the next time."""
        if self._rest:
            data = self._rest + data
        answers = []
        start = 0
        while (end := _end_of_request(data, start)) is not None:
            start = end
            Sink.answered_count += 1
            answers.append(_ANSWER % Sink.answered_count)
        self._rest = data[start:]
        if answers and self._transport is not None:
            self._transport.write(b"".join(answers))


def _end_of_request(data: bytes, start: int) -> int | None:
    """Where the request that begins at `start` ends; None while some of it is missing."""
    end_of_head = data.find(_END_OF_HEAD, start)
    if end_of_head < 0:
        return None
    head = data[start:end_of_head].lower()
    at = head.find(_LENGTH)
    length = 0 if at < 0 else int(head[at + len(_LENGTH) :].split(b"\r\n", 1)[0])
    end = end_of_head + len(_END_OF_HEAD) + length
    return end if end <= len(data) else None


async def serve(port: int) -> None:
    """Listen on 127.0.0.1 until SIGTERM or SIGINT. port: 0 takes a free one; the line on stdout names it."""
    loop = asyncio.get_running_loop()
    done = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, done.set)
    server = await loop.create_server(Sink, "127.0.0.1", port, backlog=4096)
    sys.stdout.write(f"sink listening on http://127.0.0.1:{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await done.wait()
    server.close()


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m server.bench.sink", description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    uvloop.run(serve(parser.parse_args().port))


if __name__ == "__main__":
    main()
