"""One round of the steward: ask what is due, and enqueue it. Safe to run twice, and at the same time."""

from typing import Final

import redis

from server.jobs.hints import Due, enqueue_broadcast
from server.jobs.queues import broadcasts_queue, connect, webhooks_queue
from server.jobs.resources import Resources, open_resources, run
from server.jobs.webhooks_job import enqueue_webhooks
from server.logs import Event, get_logger
from server.providers.whatsapp import WhatsAppClient
from server.services import steward, wish_replies
from server.services.preflight import Lookout

# WhatsApp answers within a second; a round must not stand still for one that does not.
REPLY_SECONDS: Final = 10.0
_log = get_logger(__name__)


def process_steward_job() -> None:
    """Start what is due, resume what may go on, take over what lost its runner, settle what nobody will tell."""
    run(_one_round())


async def _one_round() -> None:
    async with open_resources() as resources:
        lookout = Lookout(resources.engine, resources.settings, resources.vault)
        due = await steward.go_round(resources.engine, _policy(resources), lookout)
        enqueued_count = _enqueue(resources, due)  # first: what follows may wait for WhatsApp
        replied_count = await _reply(resources)
    if due.changed_count or enqueued_count or replied_count:
        _log.info(Event.STEWARD_ROUND, enqueued_count=enqueued_count, replied_count=replied_count, **due.counts())


async def _reply(resources: Resources) -> int:
    """Write back to people who stopped or started again. Returns to how many.

    Who works for one business, as long as its command lasts, leaves it to whoever works for all.
    """
    settings = resources.settings
    if settings.only_business:
        return 0
    async with WhatsAppClient(
        settings.graph_api_url, settings.graph_api_version, request_timeout_seconds=REPLY_SECONDS
    ) as client:
        return await wish_replies.send_due(resources.engine, resources.vault, client)


def _policy(resources: Resources) -> steward.Policy:
    return steward.Policy(
        unknown_grace_seconds=resources.settings.unknown_grace_seconds,
        unknown_max_wait_seconds=resources.settings.unknown_max_wait_seconds,
        max_attempts=resources.settings.max_attempts,
        only_business=resources.settings.only_business or None,
    )


def _enqueue(resources: Resources, due: steward.Round) -> int:
    """Put hints into the queues, but for those that wait there already. Returns how many are of broadcasts."""
    if not due.broadcast_ids and not due.has_webhooks_due:
        return 0
    connection: redis.Redis = connect(resources.addresses.redis_url)
    if due.has_webhooks_due:
        enqueue_webhooks(webhooks_queue(connection))
    queue = broadcasts_queue(connection)
    return sum(enqueue_broadcast(queue, Due(broadcast_id)) for broadcast_id in due.broadcast_ids)
