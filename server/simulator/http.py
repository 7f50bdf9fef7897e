"""HTTP/1.1 as thin as it can be: one asyncio protocol over httptools, with keep-alive and pipelining.

A request becomes an `Exchange`. Its answer may come at once, later or never, in any order; answers to one connection
leave in the order of their requests, as HTTP asks. Bodies end at 4 MB. The code knows nothing of WhatsApp.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from functools import lru_cache
from http import HTTPStatus
from typing import cast

import httptools

MAX_BODY_BYTES = 4 * 1024 * 1024

JSON = "application/json; charset=UTF-8"
HTML = "text/html; charset=utf-8"


@lru_cache(maxsize=64)
def _head(status: int, content_type: str, more_headers: bytes) -> bytes:
    phrase = HTTPStatus(status).phrase
    head = f"HTTP/1.1 {status} {phrase}\r\nContent-Type: {content_type}\r\nfacebook-api-version: v25.0\r\n"
    return head.encode() + more_headers + b"Content-Length: "


def response(status: int, body: bytes, content_type: str = JSON, more_headers: bytes = b"") -> bytes:
    """The bytes of one whole HTTP response. more_headers: lines of a head, each with its end."""
    return b"%b%d\r\n\r\n%b" % (_head(status, content_type, more_headers), len(body), body)


class Exchange:
    """One request, read in full, and the place of its answer."""

    __slots__ = ("_connection", "_keep_alive", "_response", "authorization", "body", "method", "url")

    def __init__(
        self,
        connection: "Connection",
        method: bytes,
        url: bytes,
        authorization: bytes,
        body: bytes,
        *,
        keep_alive: bool,
    ) -> None:
        self._connection = connection
        self._keep_alive = keep_alive
        self._response: bytes | None = None
        self.method = method
        self.url = url
        self.authorization = authorization
        self.body = body

    def answer(self, http_response: bytes) -> None:
        """Give the answer; it leaves when all earlier requests of the connection have theirs.

        A client that has gone is no error: what it did not wait for is dropped.
        """
        self._response = http_response
        self._connection.send_what_is_ready()

    def break_off(self) -> None:
        """Close the connection without an answer to this request or to any after it."""
        self._connection.close()

    @property
    def ready(self) -> bytes | None:
        """The answer, once there is one."""
        return self._response

    @property
    def keep_alive(self) -> bool:
        """Whether the client may send another request on the same connection."""
        return self._keep_alive


class Connection(asyncio.Protocol):
    """One client's connection. `handle` gets each exchange; `admit` looks at the first bytes and may turn it away."""

    def __init__(
        self, handle: Callable[[Exchange], None], admit: Callable[[bytes], bool], everyone: set["Connection"]
    ) -> None:
        self._handle = handle
        self._admit = admit
        self._everyone = everyone
        self._admitted = False
        self._waiting: deque[Exchange] = deque()
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._begin_request()

    def _begin_request(self) -> None:
        self._url = b""
        self._authorization = b""
        self._body = b""

    # What asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport, and be known to the server that must close us at its end."""
        self._transport = cast("asyncio.Transport", transport)
        self._everyone.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget everything; exchanges that are still open answer into the void."""
        self._transport = None
        self._everyone.discard(self)
        self._waiting.clear()

    def data_received(self, data: bytes) -> None:
        """Read on; whole requests are handled from within."""
        if not self._admitted:
            if not self._admit(data):
                self.abort()
                return
            self._admitted = True
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserCallbackError:
            raise
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._refuse(HTTPStatus.BAD_REQUEST)

    def pause_writing(self) -> None:
        """The client reads too slowly: read nothing more from it, so that its answers cannot pile up here."""
        if self._transport is not None:
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        """The client caught up."""
        if self._transport is not None:
            self._transport.resume_reading()

    # What httptools calls

    def on_url(self, url: bytes) -> None:
        """Gather the target, which may come in pieces."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Only one header matters here; the parser itself minds those of the body and the connection."""
        if len(name) == 13 and name.lower() == b"authorization":
            self._authorization = value

    def on_body(self, body: bytes) -> None:
        """Gather the body, which may come in pieces."""
        self._body += body
        if len(self._body) > MAX_BODY_BYTES:
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)

    def on_message_complete(self) -> None:
        """Hand one whole request over."""
        if self._transport is None:
            return
        parser = self._parser
        exchange = Exchange(
            self,
            parser.get_method(),
            self._url,
            self._authorization,
            self._body,
            keep_alive=parser.should_keep_alive(),
        )
        self._begin_request()
        self._waiting.append(exchange)
        self._handle(exchange)

    # What we do

    def send_what_is_ready(self) -> None:
        """Write the answers whose turn has come."""
        transport, waiting = self._transport, self._waiting
        if transport is None:
            return
        while waiting and (answer := waiting[0].ready) is not None:
            transport.write(answer)
            if not waiting.popleft().keep_alive:
                self.close()
                return

    def _refuse(self, status: HTTPStatus) -> None:
        if self._transport is not None:
            self._transport.write(response(status, b"{}"))
            self.close()

    def close(self) -> None:
        """Close after what was already written; answer nothing more."""
        self._waiting.clear()
        if self._transport is not None:
            self._transport.close()
            self._transport = None

    def abort(self) -> None:
        """Close at once, as a machine that went away does."""
        self._waiting.clear()
        if self._transport is not None:
            self._transport.abort()
            self._transport = None
