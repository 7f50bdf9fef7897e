"""Somebody who receives webhooks: keeps them, checks the signature, and answers as it is told. Blocks, never sleeps."""

import hashlib
import hmac
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SECRET = "the app's secret"
DEADLINE_SECONDS = 60.0


class Receiver:
    """One callback URL. `answers` are the HTTP statuses of the next POSTs; then it is always 200."""

    def __init__(self, port: int = 0) -> None:
        self.posts: list[dict[str, Any]] = []
        """What was answered with 200, in order."""
        self.refused: list[bytes] = []
        self.unsigned = 0
        self.answers: list[int] = []
        self.poison: bytes | None = None
        """POSTs that have this in them are refused, whatever else is said."""
        self._changed = threading.Condition()
        self._server = ThreadingHTTPServer(("127.0.0.1", port), self._handler(), bind_and_activate=True)
        self._server.daemon_threads = True

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/webhooks"

    def run(self) -> None:
        """Receive until it is closed."""
        self._server.serve_forever(poll_interval=0.01)

    def close(self) -> None:
        """Receive nothing more."""
        self._server.shutdown()
        self._server.server_close()

    def take(self, body: bytes, signature: str) -> int:
        """One POST came. Returns the HTTP status of the answer."""
        with self._changed:
            expected = "sha256=" + hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
            self.unsigned += signature != expected
            status = self.answers.pop(0) if self.answers else 200
            if self.poison is not None and self.poison in body:
                status = 500
            if status == 200:
                self.posts.append(json.loads(body))
            else:
                self.refused.append(body)
            self._changed.notify_all()
            return status

    def until(self, condition: Callable[[], bool]) -> None:
        """Wait until it holds. TimeoutError where it does not in time."""
        with self._changed:
            if not self._changed.wait_for(condition, DEADLINE_SECONDS):
                raise TimeoutError(f"{len(self.posts)} posts, {len(self.refused)} refused")

    # What came, read as a receiver must: every entry, every change, every update

    def changes(self, field: str = "messages") -> Iterator[dict[str, Any]]:
        """The values of all changes of one field."""
        for post in self.posts:
            for entry in post["entry"]:
                yield from (change["value"] for change in entry["changes"] if change["field"] == field)

    def statuses(self, of: str | None = None) -> list[dict[str, Any]]:
        """All statuses in the order they came; of one message, where it is named."""
        found = [status for value in self.changes() for status in value.get("statuses", ())]
        return [status for status in found if of in {None, status["id"]}]

    def messages(self) -> list[dict[str, Any]]:
        """All that people wrote."""
        return [message for value in self.changes() for message in value.get("messages", ())]

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = receiver.take(body, self.headers.get("X-Hub-Signature-256", ""))
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        return Handler


@contextmanager
def a_receiver(port: int = 0) -> Iterator[Receiver]:
    """One that listens for as long as the block lasts."""
    receiver = Receiver(port)
    thread = threading.Thread(target=receiver.run, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        receiver.close()
        thread.join()
