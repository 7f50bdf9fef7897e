"""What a person does to a broadcast: each act in its own transaction, the same for the API and for the pages.

Every function raises what its service raises: `NotFound`, `NotNow`, `BadInput`.
"""

import asyncio
from collections.abc import Mapping, Sequence

import redis
from sqlalchemy.ext.asyncio import AsyncConnection

from server.api_models.broadcasts import Broadcast, StoppedBroadcast
from server.api_models.tests import TestMessage, TestMessagePage
from server.domain.approval import Verdict
from server.domain.audit import AuditAct
from server.domain.errors import NotNow
from server.domain.preflight import refuse_errors
from server.domain.sentences import said
from server.domain.states import Actor, BroadcastStatus, Move, PauseReason
from server.jobs.hints import enqueue_broadcast
from server.logs import Event, get_logger
from server.once import OnceInParts
from server.providers.whatsapp import WhatsAppClient
from server.services import (
    approvals,
    audit,
    broadcast_json,
    broadcasts,
    compositions,
    drafts,
    preflight,
    retries,
    stops,
    test_messages,
)
from server.services.broadcasts import Why
from server.services.preflight import Outside
from server.web_resources import WebResources

_log = get_logger(__name__)


async def start(
    resources: WebResources, business_id: int, broadcast_id: int, *, seen: str | None = None, mark: str | None = None
) -> Broadcast:
    """Start a draft, or put it on its schedule, unless its pre-flight finds an error.

    Where the business wants a second person for it, it stays a draft that waits for one (`services/approvals`).
    seen: of whoever approves it, the fingerprint of what they looked at.
    mark: its `compositions.mark`, where only what somebody looked at may be started.
    """
    outside = await ask_outside(resources, business_id, broadcast_id)
    async with resources.engine.begin() as connection:
        await show(connection, business_id, broadcast_id)
        if mark is not None:
            await compositions.refuse_unseen(connection, business_id, broadcast_id, mark)
        await start_within(resources, connection, broadcast_id, outside, seen=seen)
        broadcast = await show(connection, business_id, broadcast_id)
    await enqueue(resources, broadcast)
    return broadcast


async def pause(resources: WebResources, business_id: int, broadcast_id: int) -> StoppedBroadcast:
    """Pause: no request leaves later than 250 ms after this. Says how many were in flight."""
    who = _person(resources)
    async with resources.engine.begin() as connection:
        await show(connection, business_id, broadcast_id)
        why = Why(PauseReason.USER, None if who is None else said("Paused by %(who)s.", who=who))
        await broadcasts.make_or_refuse(connection, broadcast_id, Move.PAUSE, by=Actor.USER, why=why)
        in_flight_count = await stops.in_flight_count(connection, broadcast_id)
        return await _stopped(connection, business_id, broadcast_id, in_flight_count)


async def resume(resources: WebResources, business_id: int, broadcast_id: int) -> Broadcast:
    """Go on after a pause, from behind the cursor."""
    who = _person(resources)
    told = None if who is None else said("Resumed by %(who)s.", who=who)
    async with resources.engine.begin() as connection:
        await show(connection, business_id, broadcast_id)
        await broadcasts.make_or_refuse(connection, broadcast_id, Move.RESUME, by=Actor.USER, told=told)
        broadcast = await show(connection, business_id, broadcast_id)
    await enqueue(resources, broadcast)
    return broadcast


async def cancel(resources: WebResources, business_id: int, broadcast_id: int) -> StoppedBroadcast:
    """Stop for good: no request leaves later than 250 ms after this. Says how many were in flight."""
    who = _person(resources)
    told = broadcasts.CANCEL_REQUESTED if who is None else said("Cancelled by %(who)s.", who=who)
    async with resources.engine.begin() as connection:
        before = await show(connection, business_id, broadcast_id)
        await broadcasts.request_cancel(connection, broadcast_id, by=Actor.USER, told=told)
        if not before.cancel_requested:
            await _write_down(resources, connection, broadcast_id, AuditAct.BROADCAST_CANCELLED)
        in_flight_count = await stops.in_flight_count(connection, broadcast_id)
    # The wish is committed: from here on nothing more leaves. Where no runner lives, the end is written at once.
    async with resources.engine.begin() as connection:
        await broadcasts.finish_cancel(connection, broadcast_id)
        return await _stopped(connection, business_id, broadcast_id, in_flight_count)


async def retry(resources: WebResources, business_id: int, broadcast_id: int, include: Sequence[str]) -> Broadcast:
    """Make and start a new broadcast to those who failed. Whoever is in an earlier retry already is left out.

    include: of `failed` and `unknown`.
    """
    outside = await ask_outside(resources, business_id, broadcast_id)
    async with resources.engine.begin() as connection:
        await show(connection, business_id, broadcast_id)
        new_id = await retries.create(connection, broadcast_id, include)
        await start_within(resources, connection, new_id, outside)
        broadcast = await show(connection, business_id, new_id)
    await enqueue(resources, broadcast)
    return broadcast


async def send_test(
    resources: WebResources,
    business_id: int,
    broadcast_id: int,
    phones: Sequence[str],
    variables: Mapping[str, str] | None,
    once: OnceInParts | None = None,
) -> TestMessagePage:
    """Send the real message to a few phones now. Says what became of each.

    variables: for all of them; None takes each person's own from the list, or else those of its first.
    once: where an `Idempotency-Key` may have come with the request.
    """
    async with resources.engine.begin() as connection:
        await show(connection, business_id, broadcast_id)
        if once is not None:
            # Committed with the rows, before anything leaves: a process that dies meanwhile sends nothing twice.
            await once.begin(connection)
        prepared = await test_messages.prepare(connection, resources.vault, broadcast_id, phones, variables)
    settings = resources.settings
    async with WhatsAppClient(settings.graph_api_url, settings.graph_api_version) as client:
        answers = await test_messages.send(client, prepared)
    async with resources.engine.begin() as connection:
        await test_messages.record(connection, answers)
        limit = len(prepared.ids)
        found = await test_messages.page(connection, broadcast_id, after_id=0, limit=limit, ids=prepared.ids)
        page = TestMessagePage(items=[TestMessage.model_validate(item) for item in found], next_cursor=None)
        return page if once is None else await once.keep(connection, page)


async def ask_outside(resources: WebResources, business_id: int, broadcast_id: int) -> Outside:
    """What stands around a broadcast of the business. Holds no connection meanwhile. Raises `NotFound`."""
    async with resources.engine.connect() as connection:
        await show(connection, business_id, broadcast_id)
    return await resources.lookout.of_broadcast(broadcast_id)


async def start_within(
    resources: WebResources,
    connection: AsyncConnection,
    broadcast_id: int,
    outside: Outside,
    *,
    seen: str | None = None,
) -> None:
    """Start a draft in the caller's transaction, which made it or looked it up; `enqueue` comes after the commit.

    It stays a draft where it waits for a second person from here on. Raises `NotNow` where it waits for one already.
    """
    verdict = await approvals.admit(connection, broadcast_id, resources.who, seen=seen)
    if verdict is Verdict.WAIT:
        raise NotNow("This broadcast waits for another person to approve it.")
    if verdict is Verdict.ASK:
        refuse_errors(await preflight.inspect(connection, broadcast_id, outside))
        await approvals.ask(connection, broadcast_id, resources.who)
        return
    starts_per_minute = resources.settings.bulk_starts_per_minute
    await drafts.start(
        connection,
        broadcast_id,
        by=Actor.USER,
        starts_per_minute=starts_per_minute,
        outside=outside,
        who=_person(resources),
    )
    await _write_down(resources, connection, broadcast_id, AuditAct.BROADCAST_STARTED)


async def delete_draft(resources: WebResources, business_id: int, broadcast_id: int) -> None:
    """Take a draft away, with its recipients. Raises `StateDoesNotAllow` where it is no draft, or no longer."""
    async with resources.engine.begin() as connection:
        await show(connection, business_id, broadcast_id)
        await _write_down(resources, connection, broadcast_id, AuditAct.DRAFT_DELETED)
        await drafts.forget(connection, broadcast_id)


async def decline(resources: WebResources, business_id: int, broadcast_id: int, note: str) -> None:
    """Put a broadcast back that another person asked for. note: why."""
    async with resources.engine.begin() as connection:
        await show(connection, business_id, broadcast_id)
        await approvals.decline(connection, broadcast_id, resources.who, note)


async def _write_down(resources: WebResources, connection: AsyncConnection, broadcast_id: int, act: AuditAct) -> None:
    shown = await broadcast_json.show(connection, None, broadcast_id)
    subject = f"{broadcast_id} {shown['name']}"
    await audit.add(connection, shown["business_id"], resources.who, act, subject=subject)


async def enqueue(resources: WebResources, broadcast: Broadcast) -> None:
    """Hint that a broadcast is to be looked at. A queue that is away costs two seconds: the steward finds the row."""
    if broadcast.status is not BroadcastStatus.QUEUED:
        return
    try:
        await asyncio.to_thread(enqueue_broadcast, resources.queue, broadcast)
    except redis.RedisError as error:
        _log.warning(Event.HINT_LOST, broadcast_id=broadcast.id, error=str(error))


async def show(connection: AsyncConnection, business_id: int, broadcast_id: int) -> Broadcast:
    """The broadcast, if it is the business's own. Raises `NotFound`."""
    return Broadcast.model_validate(await broadcast_json.show(connection, business_id, broadcast_id))


def _person(resources: WebResources) -> str | None:
    """Whose act the history says it is: of somebody who has signed in. A key is no person."""
    return resources.who.name if resources.who.user_id is not None else None


async def _stopped(
    connection: AsyncConnection, business_id: int, broadcast_id: int, in_flight_count: int
) -> StoppedBroadcast:
    shown = await broadcast_json.show(connection, business_id, broadcast_id)
    return StoppedBroadcast.model_validate({**shown, "in_flight_count": in_flight_count})
