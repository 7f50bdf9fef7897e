"""Broadcasts over HTTP: make, fill, start, pause, resume, cancel, look at. Translates; decides nothing."""

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request

from server import steering
from server.api_models.broadcasts import Broadcast, BroadcastPage, BroadcastRequest, StoppedBroadcast
from server.api_models.recipients import RetryRequest
from server.api_models.reports import Billing, HistoryPage, Preflight
from server.cursors import page, read_cursor
from server.domain.errors import ClarionError
from server.domain.local_time import wall_of
from server.domain.states import BroadcastStatus
from server.once import IdempotencyKey
from server.parameters import Cursor, Id, Limit
from server.problems import responses
from server.services import (
    billing,
    broadcast_json,
    drafts,
    idempotency,
    preflight,
    previews,
    recipients,
    retries,
    schedules,
)
from server.services.preflight import Outside
from server.uploads import refuse_nobody, rows_of
from server.web_resources import BusinessId, Resources, Transaction, WebResources

router = APIRouter(
    prefix="/broadcasts",
    tags=["Broadcasts"],
    responses=responses(HTTPStatus.UNAUTHORIZED, HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.SERVICE_UNAVAILABLE),
)

_gone = responses(HTTPStatus.NOT_FOUND)
_moved = responses(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT)


# --- make and fill


@router.post(
    "", status_code=HTTPStatus.ACCEPTED, responses=responses(HTTPStatus.CONFLICT, HTTPStatus.TOO_MANY_REQUESTS)
)
async def create_broadcast(
    wanted: BroadcastRequest,
    request: Request,
    resources: Resources,
    business_id: BusinessId,
    idempotency_key: IdempotencyKey = None,
) -> Broadcast:
    """Make a broadcast and, unless `start` is false, start it or put it on its schedule."""
    hashed = idempotency.body_hash(await request.body())
    if idempotency_key is not None:
        idempotency.check_key(idempotency_key)
    broadcast = await _create_once(resources, business_id, wanted, idempotency_key, hashed)
    await steering.enqueue(resources, broadcast)
    return broadcast


async def _create_once(
    resources: WebResources, business_id: int, wanted: BroadcastRequest, key: str | None, hashed: str
) -> Broadcast:
    """Everything in one transaction, or the broadcast that an identical request made."""
    while True:
        if known := await _known(resources, business_id, key, hashed):
            return known
        new, outside = _new(wanted), Outside()
        if wanted.start:
            outside = await resources.lookout.of_message(business_id, new.channel_id, new.message)
        async with resources.engine.connect() as connection:
            broadcast_id = await drafts.create(connection, business_id, new)
            if key is not None and not await idempotency.keep(connection, business_id, key, hashed, broadcast_id):
                await connection.rollback()
                continue  # the other request has committed by now: its broadcast is found
            if wanted.recipients:
                people = rows_of(wanted.recipients)
                refuse_nobody(await drafts.add_recipients(connection, broadcast_id, people), people)
            if wanted.start:
                await steering.start_within(resources, connection, broadcast_id, outside)
            broadcast = await steering.show(connection, business_id, broadcast_id)
            await connection.commit()
            return broadcast


def _new(wanted: BroadcastRequest) -> drafts.NewBroadcast:
    at = wanted.scheduled_at
    schedules.refuse_past(at, wall_of(at) if at is not None and wanted.by_local_time else None)
    return drafts.NewBroadcast(
        name=wanted.name,
        message=wanted.message(),
        channel_id=wanted.channel_id,
        default_country=wanted.default_country,
        rate_limit=wanted.rate_limit,
        scheduled_at=wanted.scheduled_at,
        by_local_time=wanted.by_local_time,
        canary=wanted.bounds(),
        spread_over_days=wanted.spread_over_days,
        audience=None if wanted.audience is None else wanted.audience.audience(),
    )


# --- steer


@router.post("/{broadcast_id}/start", status_code=HTTPStatus.ACCEPTED, responses=_moved)
async def start_broadcast(broadcast_id: Id, resources: Resources, business_id: BusinessId) -> Broadcast:
    """Start a draft, or put it on its schedule, unless its pre-flight finds an error."""
    return await steering.start(resources, business_id, broadcast_id)


@router.delete("/{broadcast_id}", status_code=HTTPStatus.NO_CONTENT, responses=_moved)
async def delete_draft(broadcast_id: Id, resources: Resources, business_id: BusinessId) -> None:
    """Delete a draft with its recipients; what was ever started stays."""
    await steering.delete_draft(resources, business_id, broadcast_id)


@router.post("/{broadcast_id}/pause", status_code=HTTPStatus.ACCEPTED, responses=_moved)
async def pause_broadcast(broadcast_id: Id, resources: Resources, business_id: BusinessId) -> StoppedBroadcast:
    """Pause: no request leaves later than 250 ms after this was answered. Says how many were in flight."""
    return await steering.pause(resources, business_id, broadcast_id)


@router.post("/{broadcast_id}/resume", status_code=HTTPStatus.ACCEPTED, responses=_moved)
async def resume_broadcast(broadcast_id: Id, resources: Resources, business_id: BusinessId) -> Broadcast:
    """Go on after a pause, from behind the cursor."""
    return await steering.resume(resources, business_id, broadcast_id)


@router.post("/{broadcast_id}/cancel", status_code=HTTPStatus.ACCEPTED, responses=_moved)
async def cancel_broadcast(broadcast_id: Id, resources: Resources, business_id: BusinessId) -> StoppedBroadcast:
    """Stop for good: no request leaves later than 250 ms after this was answered. Says how many were in flight."""
    return await steering.cancel(resources, business_id, broadcast_id)


@router.post("/{broadcast_id}/retry", status_code=HTTPStatus.ACCEPTED, responses=_moved)
async def retry_broadcast(
    broadcast_id: Id,
    request: Request,
    resources: Resources,
    business_id: BusinessId,
    wanted: RetryRequest | None = None,
    idempotency_key: IdempotencyKey = None,
) -> Broadcast:
    """Make and start a new broadcast to those who failed."""
    hashed = idempotency.body_hash(f"retry {broadcast_id} ".encode() + await request.body())
    if idempotency_key is not None:
        idempotency.check_key(idempotency_key)
    include = (wanted or RetryRequest()).include
    while True:
        if known := await _known(resources, business_id, idempotency_key, hashed):
            return known
        outside = await steering.ask_outside(resources, business_id, broadcast_id)
        try:
            async with resources.engine.begin() as connection:
                await steering.show(connection, business_id, broadcast_id)
                new_id = await retries.create(connection, broadcast_id, include)
                await idempotency.keep_or_refuse(connection, business_id, idempotency_key, hashed, new_id)
                await steering.start_within(resources, connection, new_id, outside)
                broadcast = await steering.show(connection, business_id, new_id)
        except idempotency.Overtaken:
            continue  # the other request has committed by now: its broadcast is found
        except ClarionError:
            # Whoever was retried by an identical request a moment ago cannot be retried again.
            if known := await _known(resources, business_id, idempotency_key, hashed):
                return known
            raise
        await steering.enqueue(resources, broadcast)
        return broadcast


async def _known(resources: WebResources, business_id: int, key: str | None, hashed: str) -> Broadcast | None:
    """The broadcast that an identical request made."""
    if key is None:
        return None
    async with resources.engine.connect() as connection:
        found = await idempotency.find(connection, business_id, key, hashed)
        return None if found is None else await steering.show(connection, business_id, found)


# --- look at


@router.get("")
async def list_broadcasts(
    connection: Transaction,
    business_id: BusinessId,
    status: BroadcastStatus | None = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> BroadcastPage:
    """The broadcasts of the business, the newest first."""
    found = await broadcast_json.show_many(
        connection, business_id, status=status, before_id=read_cursor(cursor), limit=limit + 1
    )
    return BroadcastPage.model_validate(page(found, limit))


@router.get("/{broadcast_id}", responses=_gone)
async def show_broadcast(broadcast_id: Id, connection: Transaction, business_id: BusinessId) -> Broadcast:
    """One broadcast, from its row alone: the cost does not grow with the audience."""
    return await steering.show(connection, business_id, broadcast_id)


@router.get("/{broadcast_id}/history", responses=_gone)
async def show_history(
    broadcast_id: Id, connection: Transaction, business_id: BusinessId, limit: Limit = 50, cursor: Cursor = None
) -> HistoryPage:
    """The audit trail: every change, who or what made it, and why."""
    await steering.show(connection, business_id, broadcast_id)
    after_id = read_cursor(cursor) or 0
    found = await recipients.history(connection, broadcast_id, after_id=after_id, limit=limit + 1)
    return HistoryPage.model_validate(page(found, limit))


@router.get("/{broadcast_id}/billing", responses=_gone)
async def show_billing(broadcast_id: Id, connection: Transaction, business_id: BusinessId) -> Billing:
    """What WhatsApp says it bills: messages by category, kind of price and country."""
    await steering.show(connection, business_id, broadcast_id)
    return Billing.model_validate({"items": await billing.of_broadcast(connection, broadcast_id)})


@router.get("/{broadcast_id}/preflight", responses=_gone)
async def check_broadcast(broadcast_id: Id, resources: Resources, business_id: BusinessId) -> Preflight:
    """What can be known before it starts: errors stop the start, warnings and the rest do not."""
    outside = await steering.ask_outside(resources, business_id, broadcast_id)
    async with resources.engine.begin() as connection:
        found = await preflight.inspect(connection, broadcast_id, outside)
    return Preflight.model_validate(found.as_json())


@router.get("/{broadcast_id}/preview", responses=_gone)
async def preview_message(
    broadcast_id: Id, phone: Annotated[str, Query(min_length=2, max_length=64)], connection: Transaction,
    business_id: BusinessId, resources: Resources,
) -> dict[str, Any]:  # fmt: skip
    """The exact Cloud API message for one recipient, or for somebody of an audience that is yet to be taken."""
    await steering.show(connection, business_id, broadcast_id)
    # A plus that was not written as %2B arrives as a space.
    written = f"+{phone[1:]}" if phone[0] == " " else phone
    return await previews.of_broadcast(connection, resources.vault, business_id, broadcast_id, written)
