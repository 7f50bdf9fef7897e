"""The queues, and how a hint gets into them. An entry says "look at row N" and carries nothing else.

JSON, never pickle. A finished job is not kept (`result_ttl=0`): its key would be all that is left of it, and the row
knows everything. Broadcasts, the steward and what goes out to others' servers have a queue each, and workers each, so
that a long broadcast cannot starve the steward, and a slow server neither of them.
"""

from typing import Any, Final

import redis
from rq import Queue
from rq.job import Job
from rq.serializers import JSONSerializer

from server.domain.errors import QueueAway

BROADCASTS: Final = "broadcasts"
STEWARD: Final = "steward"
WEBHOOKS: Final = "webhooks"
# How long a job that failed stays to be looked at; the row and the log say more.
FAILURE_TTL_SECONDS: Final = 300
CONNECT_TIMEOUT_SECONDS: Final = 5


class HintQueue(Queue):
    """A queue of hints: JSON, and nothing is kept of a hint that was followed."""

    def __init__(self, name: str, connection: redis.Redis, **options: Any) -> None:
        options["serializer"] = JSONSerializer
        super().__init__(name, connection=connection, **options)

    def create_job(self, *args: Any, **options: Any) -> Job:
        """As RQ's own, with our time to live."""
        options["result_ttl"] = 0
        options["failure_ttl"] = FAILURE_TTL_SECONDS
        return super().create_job(*args, **options)

    def has(self, name: str) -> bool:
        """Whether this hint is waiting in the queue: putting it there again would only make the queue longer."""
        return name in self.job_ids


def connect(redis_url: str) -> redis.Redis:
    """The queue's server. Raises `QueueAway` where it does not answer."""
    connection: redis.Redis = redis.Redis.from_url(redis_url, socket_connect_timeout=CONNECT_TIMEOUT_SECONDS)
    try:
        connection.ping()
    except redis.RedisError as error:
        raise QueueAway(f"The queue does not answer: {error}") from error
    return connection


def broadcasts_queue(connection: redis.Redis) -> HintQueue:
    """Where hints to run a broadcast wait."""
    return HintQueue(BROADCASTS, connection)


def steward_queue(connection: redis.Redis) -> HintQueue:
    """Where the steward's rounds wait."""
    return HintQueue(STEWARD, connection)


def webhooks_queue(connection: redis.Redis) -> HintQueue:
    """Where hints wait that the outbox holds something due."""
    return HintQueue(WEBHOOKS, connection)
