"""A whole web process to measure, over the workshop's database."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from server.embedded.ports import a_free_port

_START_SECONDS: Final = 20.0


@contextmanager
def web_process() -> Iterator[str]:
    """A web process for as long as the block lasts. Its address."""
    port = a_free_port()
    process = subprocess.Popen(  # noqa: S603 - our own code
        [sys.executable, "-m", "server.cli", "web", "--port", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + _START_SECONDS
        while not _is_listening(port):
            if time.monotonic() > deadline:
                raise RuntimeError("the web process did not start")
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def _is_listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
