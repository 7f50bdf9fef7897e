"""What a command starts for itself where nobody works yet: a worker, and a steward."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from server.cli.parts import end

# A run gives back what it holds within eight seconds of being asked.
END_SECONDS = 12.0
LARGEST_LOG_BYTES = 10_000_000


def open_log(data_dir: Path, part: str) -> BinaryIO:
    """Where a part writes its log; a large one is put aside first."""
    path = data_dir / "logs" / f"{part}.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and path.stat().st_size > LARGEST_LOG_BYTES:
        path.replace(path.with_suffix(".log.1"))
    return path.open("ab")


def start_part(data_dir: Path, name: str, *arguments: str) -> "subprocess.Popen[bytes]":
    """Start a part of Clarion in a session of its own, so that Ctrl-C reaches us first and we end it in order."""
    with open_log(data_dir, name) as log:
        return subprocess.Popen(  # noqa: S603 - our own command
            [sys.executable, "-m", "server.cli", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env={**os.environ, "CLARION_LOG_FORMAT": "json"},
        )


@contextmanager
def crew(data_dir: Path, redis_url: str) -> Iterator[bool]:
    """A worker and a steward for as long as the block lasts, where none lives. True: a worker of ours was needed."""
    from server.jobs.queues import BROADCASTS, STEWARD, connect
    from server.jobs.worker import is_anybody_working

    connection = connect(redis_url)
    ours: list[subprocess.Popen[bytes]] = []
    try:
        needed = not is_anybody_working(connection, BROADCASTS)
        if needed:
            ours.append(start_part(data_dir, "worker", "worker", "--with-parent"))
        if not is_anybody_working(connection, STEWARD):
            ours.append(start_part(data_dir, "steward", "steward", "--with-parent"))
        yield needed
    finally:
        connection.close()
        for process in ours:
            if process.poll() is None:
                process.terminate()
        for process in ours:
            end(process, END_SECONDS)
