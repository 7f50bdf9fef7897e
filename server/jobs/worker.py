"""The RQ worker of Clarion: one job at a time in a forked process, and a stop that reaches into the job."""

import os
import signal
from contextlib import suppress
from types import FrameType
from typing import Any, Final
from uuid import uuid4

import psutil
import redis
from redis.client import Pipeline
from rq import Queue, Worker
from rq.exceptions import InvalidJobOperation, StopRequested
from rq.executions import Execution
from rq.job import Job
from rq.registry import StartedJobRegistry
from rq.serializers import JSONSerializer
from rq.worker import BaseWorker

from server.jobs.queues import STEWARD, HintQueue

# An idle worker says so often that it lives; its key is gone a minute after it stopped saying so.
TTL_SECONDS: Final = 30
# How often a worker whose job runs looks up from it: to say that it lives, and whether its parent does.
JOB_LOOK_SECONDS: Final = 5
_ONLY: Final = "only-"  # so begins the name of a worker of one business


class ClarionWorker(Worker):
    """As RQ's worker, but asked to stop it asks its job to stop as well.

    RQ waits for a job to end by itself. A broadcast may have an hour to go: on SIGTERM it stops claiming, finishes what
    is in flight and gives the rest back, in seconds.

    parent: the process that started this one; the worker ends when that one is gone. None: it stands alone.
    only_business: the one business it works for, which its name says to whoever looks for a worker; 0: all.
    """

    queue_class: type[Queue] = HintQueue

    def __init__(
        self,
        names: list[str],
        connection: redis.Redis,
        *,
        parent: int | None = None,
        only_business: int = 0,
        **options: Any,
    ) -> None:
        self._parent = parent
        self._may_take_long = STEWARD not in names  # a round of the steward is over in a moment
        self.was_asked_to_stop = False
        super().__init__(
            [HintQueue(name, connection) for name in names],
            connection=connection,
            name=f"{_only(only_business)}{uuid4().hex}" if only_business else None,
            serializer=JSONSerializer,
            worker_ttl=TTL_SECONDS,
            job_monitoring_interval=JOB_LOOK_SECONDS,
            **options,
        )
        # RQ gives the time-out that its blocking wait needs to connections made from now on. One that is open already
        # would break off every idle wait after five seconds, and RQ backs off from that for up to a minute.
        connection.connection_pool.disconnect()
        connection.connection_pool.reset()

    def request_stop(self, signum: int, frame: FrameType | None) -> None:
        """Stop when the job at work has ended, which is asked to end."""
        self.was_asked_to_stop = True
        super().request_stop(signum, frame)  # type: ignore[no-untyped-call]

    def handle_warm_shutdown_request(self) -> None:
        """Pass the wish to stop on to the job."""
        if self.horse_pid and self._may_take_long:
            with suppress(ProcessLookupError):
                os.kill(self.horse_pid, signal.SIGTERM)

    def handle_job_success(
        self, job: Job, queue: Queue, started_job_registry: StartedJobRegistry, execution: Execution
    ) -> None:
        """Leave nothing behind of a job that is done.

        Two hints for one broadcast share one key: of two that were followed at the same time, the first to end took it
        away, which RQ would log as an error with a traceback. The row knows what became of both.
        """
        try:
            super().handle_job_success(job, queue, started_job_registry, execution)
        except InvalidJobOperation:
            with self.connection.pipeline() as pipeline:
                self.cleanup_execution(job, pipeline, execution)
                pipeline.execute()

    def register_death(self) -> None:
        """Say that it ends. Where the queue's server has gone there is nobody to tell, and its key went with it."""
        with suppress(redis.RedisError):
            super().register_death()  # type: ignore[no-untyped-call]

    def subscribe(self) -> None:
        """Listen to no commands: RQ would do so in a thread, and no thread shall live in a process that forks."""

    def heartbeat(self, timeout: int | None = None, pipeline: Pipeline | None = None) -> None:
        """Say that it lives; and stop if the process above does not any more."""
        if self._parent is not None and os.getppid() != self._parent and not self._is_horse:
            self.was_asked_to_stop = True
            raise StopRequested
        super().heartbeat(timeout, pipeline)


def is_anybody_working(connection: redis.Redis, queue_name: str, business_id: int = 0) -> bool:
    """Whether a worker that lives takes jobs from this queue: for all, or for this business at least.

    A worker that was killed leaves its key behind for a while: on this host its process is looked for as well.
    """
    return any(
        queue_name in worker.queue_names() and _works_for(worker, business_id) and _lives(worker)
        for worker in ClarionWorkerList.all(connection=connection)
    )


def _only(business_id: int) -> str:
    return f"{_ONLY}{business_id}-"


def _works_for(worker: BaseWorker, business_id: int) -> bool:
    return not worker.name.startswith(_ONLY) or worker.name.startswith(_only(business_id))


class ClarionWorkerList(Worker):
    """For looking at workers: reads their keys, and listens on nothing."""

    queue_class: type[Queue] = Queue


def _lives(worker: BaseWorker) -> bool:
    if worker.hostname != os.uname().nodename or worker.pid is None:
        return True
    try:
        process = psutil.Process(int(worker.pid))
    except psutil.NoSuchProcess:
        return False
    born_at = worker.birth_date.timestamp() if worker.birth_date else float("inf")
    is_zombie: bool = process.status() == psutil.STATUS_ZOMBIE
    is_older: bool = process.create_time() <= born_at + 1
    return is_older and not is_zombie
