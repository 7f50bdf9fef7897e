"""What asks for a round of the steward every few seconds: RQ's cron scheduler over our own queue.

RQ's own would enqueue with pickle, and as often as it is due; ours speaks JSON, and while a round is waiting already it
asks for no other.
"""

from collections.abc import Callable
from typing import Final

import redis
from rq.cron import CronJob, CronScheduler
from rq.utils import now

from server.jobs.queues import STEWARD, steward_queue
from server.jobs.steward_job import process_steward_job

# A round takes milliseconds, but for one that starts a broadcast to an audience of millions.
ROUND_TIMEOUT_SECONDS: Final = 600
# A round that nobody took for so long is not worth taking any more: the next asks the same.
ROUND_TTL_SECONDS: Final = 30


class StewardClock(CronScheduler):
    """Asks for a round every `interval_seconds`; `each_time` is called whenever it has looked at the time."""

    def __init__(self, connection: redis.Redis, interval_seconds: int, each_time: Callable[[], None]) -> None:
        super().__init__(connection)
        self._queue = steward_queue(connection)
        self._each_time = each_time
        self.register(process_steward_job, STEWARD, interval=interval_seconds)

    def go_on(self) -> None:
        """Keep time until the process is asked to stop. Raises `redis.RedisError` where the queue's server goes."""
        self.start()  # type: ignore[no-untyped-call]

    def enqueue_jobs(self) -> list[CronJob]:
        """Ask for the rounds that are due; how many there are is RQ's to know."""
        self._each_time()
        due = [job for job in self.get_jobs() if job.should_run()]
        for job in due:
            if not self._queue.count:
                self._queue.enqueue(process_steward_job, job_timeout=ROUND_TIMEOUT_SECONDS, ttl=ROUND_TTL_SECONDS)
            job.set_enqueue_time(now())
        return due
