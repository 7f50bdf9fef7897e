"""A run of a broadcast in a process of its own: that is killed, or that goes on while something else is measured."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import psycopg

from server.bench.workshop import Workshop

_RUN: Final = """
import sys
from server.jobs.broadcast_job import process_broadcast_job
process_broadcast_job(int(sys.argv[1]))
"""
_START_SECONDS: Final = 60.0
_PROCESSED: Final = "SELECT processed_count FROM whatsapp_broadcasts WHERE id = %s"
# As if the lease and the gate of the dead had run out: what is measured is the work, not the wait.
_LEASE_IS_OVER: Final = """
    UPDATE whatsapp_broadcasts SET lease_expires_at = clock_timestamp() - interval '1 second' WHERE id = %s
"""
_GATE_IS_OVER: Final = "UPDATE bulk_gates SET expires_at = clock_timestamp() - interval '1 second'"


@contextmanager
def running(shop: Workshop, broadcast_id: int, sink: str) -> Iterator["subprocess.Popen[bytes]"]:
    """A run that has sent something, for as long as the block lasts; it is killed with SIGKILL at the end.

    Its lease and its gate are over afterwards, so that the next may follow at once.
    """
    with psycopg.connect(shop.database_url, autocommit=True) as connection:

        def processed_count() -> int:
            row = connection.execute(_PROCESSED, (broadcast_id,)).fetchone()
            return int(row[0]) if row else 0

        before = processed_count()
        process = subprocess.Popen(  # noqa: S603 - our own code
            [sys.executable, "-c", _RUN, str(broadcast_id)],
            env={**os.environ, "CLARION_GRAPH_API_URL": sink, "CLARION_LOG_FORMAT": "json"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            _until(lambda: processed_count() > before, process)
            yield process
        finally:
            process.kill()
            process.wait()
            connection.execute(_LEASE_IS_OVER, (broadcast_id,))
            connection.execute(_GATE_IS_OVER)


def _until(look: Callable[[], bool], process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + _START_SECONDS
    while not look():
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError("the run did not start to send")
        time.sleep(0.02)
