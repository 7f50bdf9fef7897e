"""A load balancer of the tests: connections go to the web processes that answer `/readyz` with 200, in turns.

It does what HAProxy does with `option httpchk GET /readyz` and TCP (docs/deployment.md), and no more.
"""

import http.client
import itertools
import socket
import threading
from contextlib import suppress
from typing import Self
from urllib.parse import urlsplit

LOOK_EVERY_SECONDS = 0.2
ANSWER_SECONDS = 5.0
PIECE = 65_536


class Balancer:
    """Listens on 127.0.0.1 for as long as the block lasts. Hosts are added and forgotten meanwhile."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._turns = itertools.count()
        self._known: set[str] = set()
        self._ready: list[str] = []
        self._over = threading.Event()

    def __enter__(self) -> Self:
        for part in (self._listen, self._look):
            threading.Thread(target=part, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._listener.close()

    def add(self, address: str) -> None:
        """A web process more. It gets connections once it says that it is ready."""
        self._known.add(urlsplit(address).netloc)

    def forget(self, address: str) -> None:
        """No new connections go there from now on."""
        self._known.discard(urlsplit(address).netloc)

    def sends_to(self, address: str) -> bool:
        """Whether this one was ready at the last look."""
        return urlsplit(address).netloc in self._ready

    def _look(self) -> None:
        while not self._over.wait(LOOK_EVERY_SECONDS):
            self._ready = [one for one in sorted(self._known) if _is_ready(one)]

    def _listen(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        server = self._connect()
        if server is None:
            client.close()  # as if nobody listened: whoever called tries again
            return
        threading.Thread(target=_pass_on, args=(server, client), daemon=True).start()
        _pass_on(client, server)

    def _connect(self) -> socket.socket | None:
        ready = self._ready
        turn = next(self._turns)
        for number in range(len(ready)):
            host, _, port = ready[(turn + number) % len(ready)].partition(":")
            with suppress(OSError):
                return socket.create_connection((host, int(port)), ANSWER_SECONDS)
        return None


def _is_ready(netloc: str) -> bool:
    connection = http.client.HTTPConnection(netloc, timeout=ANSWER_SECONDS)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    """Everything from one side to the other until it ends; then both are closed."""
    source.settimeout(None)
    with suppress(OSError):
        while piece := source.recv(PIECE):
            target.sendall(piece)
    for one in (source, target):
        with suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)
        one.close()
