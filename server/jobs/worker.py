"""The RQ worker of Clarion: one job at a time in a forked process, and a stop that reaches into the job."""

import os
import signal
from typing import Any

import redis
from rq import Queue, Worker
from rq.serializers import JSONSerializer

from server.jobs.queues import HintQueue


class ClarionWorker(Worker):
    """As RQ's worker, but asked to stop it asks its job to stop as well.

    RQ waits for a job to end by itself. A broadcast may have an hour to go: on SIGTERM it stops claiming, finishes what
    is in flight and gives the rest back, in seconds.
    """

    queue_class: type[Queue] = HintQueue

    def __init__(self, names: list[str], connection: redis.Redis, **options: Any) -> None:
        super().__init__(
            [HintQueue(name, connection) for name in names],
            connection=connection,
            serializer=JSONSerializer,
            **options,
        )

    def handle_warm_shutdown_request(self) -> None:
        """Pass the wish to stop on to the job."""
        if self.horse_pid:
            os.kill(self.horse_pid, signal.SIGTERM)
