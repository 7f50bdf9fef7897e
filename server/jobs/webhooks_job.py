"""Deliver what is due in the outbox: some seconds at a time. Safe late, twice, and at the same time."""

import asyncio
import signal
from dataclasses import asdict

from sqlalchemy.exc import InterfaceError, OperationalError

from server.jobs.queues import HintQueue
from server.jobs.resources import open_resources, run
from server.logs import Event, get_logger
from server.providers.webhook_posts import Postman
from server.services.courier import Courier

HINT = "webhooks"
# A run begins nothing after half a minute, and each attempt has its own limit.
TIMEOUT_SECONDS = 180

_log = get_logger(__name__)


def process_webhooks_job() -> None:
    """Tell whoever wants to be told, as long as something is due and the time of a run is not over."""
    run(_deliver())


def enqueue_webhooks(queue: HintQueue) -> bool:
    """Hint that something is due. False where that hint waits already."""
    if queue.has(HINT):
        return False
    queue.enqueue(process_webhooks_job, job_timeout=TIMEOUT_SECONDS, job_id=HINT)
    return True


async def _deliver() -> None:
    async with open_resources() as resources:
        seconds = resources.settings.webhooks_timeout_seconds
        allow_private = resources.settings.webhooks_allow_private
        async with Postman(timeout_seconds=seconds, allow_private=allow_private) as postman:
            courier = Courier(resources.engine, resources.vault, postman, timeout_seconds=seconds)
            for number in (signal.SIGTERM, signal.SIGINT):
                asyncio.get_running_loop().add_signal_handler(number, courier.stop)
            try:
                await courier.deliver()
            except* (OperationalError, InterfaceError) as error:
                # What was taken comes back when its lease is over; the steward hints again when the database is back.
                _log.warning(Event.DATABASE_LOST, error=str(error.exceptions[0]))
    if courier.done.delivered_count or courier.done.failed_count:
        _log.info(Event.WEBHOOKS_DELIVERED, **asdict(courier.done))
