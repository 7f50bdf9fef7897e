"""Starting up: `clarion up` until its page answers, and the embedded servers alone.

In a data folder that is not there yet (a database is made and migrated), and again in the same one. Seconds have no
ceiling; of the page's the servers are a part.
"""

import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from server.bench.measurement import Measurement
from server.embedded import EmbeddedServers
from server.embedded.ports import a_free_port

MOST_SECONDS: Final = 120.0
_LOOK_EVERY_SECONDS: Final = 0.01
# What could lead to somebody's own database, queue or number.
_LEADS: Final = ("CLARION_", "DATABASE_URL", "REDIS_URL", "PG")


def run(*, rounds: int) -> Iterator[Measurement]:
    """Seconds, medians of the rounds: the servers, and all of it until the page answers."""
    yield from _measured("start of the servers", [_twice(_servers) for _ in range(rounds)])
    yield from _measured("start to first page", [_twice(_page) for _ in range(rounds)])


def _measured(what: str, pairs: list[tuple[float, float]]) -> Iterator[Measurement]:
    for remark, seconds in zip(("in a new folder", "once more"), zip(*pairs, strict=True), strict=True):
        said = f"{remark}, {min(seconds):.2f} to {max(seconds):.2f}"
        yield Measurement(what, statistics.median(seconds), "s", None, said)


def _twice(start: Callable[[Path], float]) -> tuple[float, float]:
    with tempfile.TemporaryDirectory(prefix="clarion-bench-") as folder:
        return start(Path(folder)), start(Path(folder))


def _servers(folder: Path) -> float:
    began = time.perf_counter()
    with EmbeddedServers(folder):
        return time.perf_counter() - began


def _page(folder: Path) -> float:
    port = a_free_port()
    own = {name: value for name, value in os.environ.items() if not name.startswith(_LEADS)}
    began = time.perf_counter()
    process = subprocess.Popen(  # noqa: S603 - our own command
        [sys.executable, "-m", "server.cli", "up", "--port", str(port)],
        env={**own, "CLARION_DATA_DIR": str(folder)},
        cwd=folder,  # not where we are: a .env there may name somebody's database
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        while not _answers(f"http://127.0.0.1:{port}/"):
            if process.poll() is not None or time.perf_counter() - began > MOST_SECONDS:
                raise RuntimeError("`clarion up` did not come up")
            time.sleep(_LOOK_EVERY_SECONDS)
        return time.perf_counter() - began
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as page:  # noqa: S310 - our own address
            return bool(page.read())
    except (urllib.error.URLError, OSError):
        return False
