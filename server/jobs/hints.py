"""How a hint to run a broadcast gets into the queue, for whoever is no door of the API: the steward and the CLI."""

from typing import NamedTuple

from server.jobs.broadcast_job import process_broadcast_job
from server.jobs.queues import HintQueue


class Due(NamedTuple):
    """A broadcast that is to be looked at."""

    id: int


def enqueue_broadcast(queue: HintQueue, broadcast: Due) -> bool:
    """Hint that a broadcast is to be looked at. False where that very hint is waiting in the queue already."""
    if queue.has(f"broadcast_{broadcast.id}"):
        return False
    queue.enqueue(process_broadcast_job, broadcast.id, job_timeout="30m", job_id=f"broadcast_{broadcast.id}")
    return True
