"""Somebody's server that is told of events: keeps them, checks signatures by the specification, answers as it is told.

Signatures are checked by hand, as https://www.standardwebhooks.com has it, and not by the library that signs.
"""

import base64
import hashlib
import hmac
import json
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

from sqlalchemy.ext.asyncio import AsyncEngine

from server.domain.webhook_events import EventKind
from server.services import webhook_endpoints
from server.services.webhook_endpoints import Made, NewEndpoint
from tests.support.builders import VAULT

DEADLINE_SECONDS = 60.0


class Told(NamedTuple):
    """One POST as it came. headers: names in small letters."""

    path: str
    headers: dict[str, str]
    raw: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def body(self) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(self.raw)
        return told

    def is_signed_with(self, secret: str) -> bool:
        """Whether one of the signatures is right, and the time is of now."""
        key = base64.b64decode(secret.removeprefix("whsec_"))
        stamp = self.headers["webhook-timestamp"]
        content = f"{self.id}.{stamp}.".encode() + self.raw
        expected = base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()
        signatures = [signature.partition(",") for signature in self.headers["webhook-signature"].split(" ")]
        is_now = abs(time.time() - int(stamp)) < 300
        return is_now and any(version == "v1" and value == expected for version, _, value in signatures)


class Hooks:
    """A server with any number of paths. `answers[path]` are the statuses of the next POSTs; then it is 204."""

    def __init__(self) -> None:
        self.told: list[Told] = []
        """What came, whatever was answered."""
        self.answers: defaultdict[str, list[int]] = defaultdict(list)
        self.always: dict[str, int] = {}
        self.held: set[str] = set()
        """Paths whose POSTs are kept waiting until `release`."""
        self.at_once: Counter[str] = Counter()
        self.most_at_once: Counter[str] = Counter()
        self._changed = threading.Condition()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True

    def url(self, path: str = "/") -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}{path}"

    def run(self) -> None:
        self._server.serve_forever(poll_interval=0.01)

    def close(self) -> None:
        self.release()
        self._server.shutdown()
        self._server.server_close()

    def release(self) -> None:
        """Let go whoever is held."""
        with self._changed:
            self.held.clear()
            self._changed.notify_all()

    def until(self, condition: Callable[[], object]) -> None:
        """Wait until what came makes something true."""
        with self._changed:
            if not self._changed.wait_for(condition, DEADLINE_SECONDS):
                raise AssertionError(f"waited {DEADLINE_SECONDS:.0f} s in vain; {len(self.told)} came")

    def of(self, path: str) -> list[Told]:
        return [told for told in self.told if told.path == path]

    def take(self, told: Told) -> int:
        """One POST came. Returns the status of the answer, when it may be given."""
        path = told.path
        with self._changed:
            self.told.append(told)
            self.at_once[path] += 1
            self.most_at_once[path] = max(self.most_at_once[path], self.at_once[path])
            self._changed.notify_all()
            self._changed.wait_for(lambda: path not in self.held)
            self.at_once[path] -= 1
            if self.answers[path]:
                return self.answers[path].pop(0)
            return self.always.get(path, 204)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        hooks = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                raw = self.rfile.read(int(self.headers["content-length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                status = hooks.take(Told(self.path, headers, raw))
                body = b"" if status == 204 else f"answered {status}".encode()
                self.send_response(status)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                with suppress(ConnectionError):
                    self.wfile.write(body)

            def handle(self) -> None:
                with suppress(ConnectionError):  # whoever told us may have been killed
                    super().handle()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
                pass

        return Handler


@contextmanager
def receiving() -> Iterator[Hooks]:
    """A server that is told of events, until the block ends."""
    hooks = Hooks()
    thread = threading.Thread(target=hooks.run, daemon=True)
    thread.start()
    try:
        yield hooks
    finally:
        hooks.close()
        thread.join()


async def an_endpoint(engine: AsyncEngine, business_id: int, url: str, *events: EventKind) -> Made:
    """An endpoint of a business. events: none for all."""
    new = NewEndpoint(url, list(events) or None, "", allow_private=True)
    async with engine.begin() as connection:
        return await webhook_endpoints.add(connection, VAULT, business_id, new)
