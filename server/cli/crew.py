"""What a command starts for itself where nobody works yet: a worker, and a steward."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from server.cli.parts import end

# A run gives back what it holds within eight seconds of being asked.
END_SECONDS = 12.0
LOOK_EVERY_SECONDS = 2.0
LARGEST_LOG_BYTES = 10_000_000


def open_log(data_dir: Path, part: str) -> BinaryIO:
    """Where a part writes its log; a large one is put aside first."""
    path = data_dir / "logs" / f"{part}.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and path.stat().st_size > LARGEST_LOG_BYTES:
        path.replace(path.with_suffix(".log.1"))
    return path.open("ab")


def start_part(data_dir: Path, name: str, *arguments: str, **settings: str) -> "subprocess.Popen[bytes]":
    """Start a part of Clarion in a session of its own, so that Ctrl-C reaches us first and we end it in order.

    It ends by itself where this process is killed. settings: environment variables that it has beside our own.
    """
    with open_log(data_dir, name) as log:
        return subprocess.Popen(  # noqa: S603 - our own command
            [sys.executable, "-m", "server.cli", *arguments, "--with-parent", str(os.getpid())],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env={**os.environ, "CLARION_LOG_FORMAT": "json", **settings},
        )


class Crew:
    """The worker and the steward of one command, where none lives.

    The worker starts at once, so that it is warm when the list has been read. The steward is there for what takes long
    or goes wrong: it starts after a moment, and a short broadcast does without it. Whoever worked when the command
    began may stop while it watches; then the crew steps in.

    It works for one business: what others have waiting may be meant for another Cloud API than this command is told of.
    """

    def __init__(self, data_dir: Path, redis_url: str, business_id: int) -> None:
        from server.jobs.queues import connect

        self._data_dir = data_dir
        self._business_id = business_id
        self._connection = connect(redis_url)
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._look_at = time.monotonic() + LOOK_EVERY_SECONDS
        self.runs_itself = self._hire("worker")

    def _hire(self, part: str) -> bool:
        """Start a part where none lives. True if it was needed."""
        from server.jobs.queues import BROADCASTS, STEWARD
        from server.jobs.worker import is_anybody_working

        ours = self._processes.get(part)
        if ours is not None and ours.poll() is None:
            return False
        queue_name = BROADCASTS if part == "worker" else STEWARD
        if is_anybody_working(self._connection, queue_name, self._business_id):
            return False
        self._processes[part] = start_part(self._data_dir, part, part, CLARION_ONLY_BUSINESS=str(self._business_id))
        return True

    def look(self) -> None:
        """Step in where nobody works any more. To be called again and again while the command watches."""
        if time.monotonic() >= self._look_at:
            self._look_at = time.monotonic() + LOOK_EVERY_SECONDS
            self.runs_itself = self._hire("worker") or self.runs_itself
            self._hire("steward")

    def end(self) -> None:
        """Ask both to end, and wait for them."""
        self._connection.close()
        for process in self._processes.values():
            if process.poll() is None:
                process.terminate()
        for process in self._processes.values():
            end(process, END_SECONDS)


@contextmanager
def crew(data_dir: Path, redis_url: str, business_id: int) -> Iterator[Crew]:
    """A worker and a steward of a business for as long as the block lasts, where none lives."""
    hired = Crew(data_dir, redis_url, business_id)
    try:
        yield hired
    finally:
        hired.end()
