"""How a hint to run a broadcast gets into the queue: the one way, for the doors, the command line and the steward."""

from typing import NamedTuple, Protocol

from server.jobs.broadcast_job import process_broadcast_job
from server.jobs.queues import HintQueue


class Broadcast(Protocol):
    """A broadcast that is to be looked at, as whoever hints has it."""

    @property
    def id(self) -> int:
        """Its id."""


class Due(NamedTuple):
    """A broadcast of which nothing else is known."""

    id: int


# fmt: off
def enqueue_broadcast(queue: HintQueue, broadcast: Broadcast) -> bool:
    """Hint that a broadcast is to be looked at. False where that very hint is waiting in the queue already."""
    if queue.has(f"broadcast_{broadcast.id}"):
        return False
    queue.enqueue(process_broadcast_job, broadcast.id, job_timeout='30m', job_id=f"broadcast_{broadcast.id}")
    return True
# fmt: on
