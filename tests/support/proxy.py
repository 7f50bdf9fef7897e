"""A TCP proxy before PostgreSQL that loses the answer to a statement: the server has committed, and nobody is told.

It reads just enough of the protocol (docs: "Message Formats") to know which statement a client runs: prepared ones go
by their name after the first time.
"""

import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Self
from urllib.parse import parse_qs, unquote, urlsplit

READY = (b"Z\x00\x00\x00\x05I", b"Z\x00\x00\x00\x05T", b"Z\x00\x00\x00\x05E")
PIECE = 65_536


class LossyProxy:
    """Listens on 127.0.0.1, and passes everything on to the server of a URL, a socket in a folder or a TCP port.

    of: the text that a statement must hold for its answer to be lost. skip: how many such are answered between two
    losses, the first ones among them. times: how many answers are lost in all. Nothing is lost before `begin`.
    """

    def __init__(self, database_url: str, of: str, *, skip: int, times: int) -> None:
        self._to = _address_of(database_url)
        self._of, self._skip, self._times = of.encode(), skip, times
        self._lock = threading.Lock()
        self._is_losing = False
        self._seen = 0
        self.lost_count = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        port = self._listener.getsockname()[1]
        parts = urlsplit(database_url)
        account = parts.netloc.rpartition("@")[0]
        self.url = f"postgresql://{account}@127.0.0.1:{port}{parts.path}?sslmode=disable&gssencmode=disable"

    def __enter__(self) -> Self:
        threading.Thread(target=self._listen, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def begin(self) -> None:
        """Lose answers from now on."""
        self._is_losing = True

    def loses(self, statement: bytes) -> bool:
        """Whether the answer to this statement, which is on its way, is to be lost."""
        if not self._is_losing or self._of not in statement:
            return False
        with self._lock:
            self._seen += 1
            loses = self._seen % (self._skip + 1) == 0 and self.lost_count < self._times
            self.lost_count += loses
            return loses

    def _listen(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.socket(socket.AF_UNIX if isinstance(self._to, str) else socket.AF_INET)
                server.connect(self._to)
                _Line(client, server, self.loses).start()


class _Line:
    """One connection: a thread for each direction; both sockets are closed where an answer is lost."""

    def __init__(self, client: socket.socket, server: socket.socket, loses: Callable[[bytes], bool]) -> None:
        self._client, self._server, self._loses = client, server, loses
        self._prepared: dict[bytes, bytes] = {}
        self._loses_next = threading.Event()

    def start(self) -> None:
        threading.Thread(target=self._ask, daemon=True).start()
        threading.Thread(target=self._answer, daemon=True).start()

    def _ask(self) -> None:
        unread, has_begun = b"", False
        with suppress(OSError):
            while piece := self._client.recv(PIECE):
                unread += piece
                if not has_begun and len(unread) >= 4:  # the start of a connection has no type
                    size = struct.unpack("!I", unread[:4])[0]
                    has_begun, unread = len(unread) >= size, unread[size:] if len(unread) >= size else unread
                if has_begun:
                    unread = self._read(unread)
                self._server.sendall(piece)
        self._close()

    def _read(self, unread: bytes) -> bytes:
        """Look at every message that is there in whole. Returns what is left."""
        while len(unread) >= 5:
            size = 1 + struct.unpack("!I", unread[1:5])[0]
            if len(unread) < size:
                break
            self._look_at(unread[:1], unread[5:size])
            unread = unread[size:]
        return unread

    def _look_at(self, kind: bytes, body: bytes) -> None:
        statement = b""
        if kind == b"P":  # parse: a name and a statement
            name, statement = body.split(b"\x00")[:2]
            self._prepared[name] = statement
            return
        if kind == b"B":  # bind: a portal and the name of a statement
            statement = self._prepared.get(body.split(b"\x00")[1], b"")
        elif kind == b"Q":
            statement = body
        if statement and self._loses(statement):
            self._loses_next.set()

    def _answer(self) -> None:
        said = b""
        with suppress(OSError):
            while piece := self._server.recv(PIECE):
                if self._loses_next.is_set():
                    said += piece
                    if said.endswith(READY):  # it is committed
                        break
                    continue
                self._client.sendall(piece)
        self._close()

    def _close(self) -> None:
        for one in (self._client, self._server):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()


def _address_of(database_url: str) -> str | tuple[str, int]:
    parts = urlsplit(database_url)
    host = parse_qs(parts.query).get("host", [""])[0] or unquote(parts.hostname or "")
    port = parts.port or 5432
    return f"{host}/.s.PGSQL.{port}" if host.startswith("/") else (host, port)
