"""Webhooks of a business over HTTP: where it wants to be told of events, and the log of what it was told."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Query

from server.api_models.webhooks import (
    DeliveryDetail,
    DeliveryPage,
    DeliveryStatus,
    WebhookChange,
    WebhookMade,
    WebhookPage,
    WebhookRequest,
    WebhookShown,
)
from server.cursors import page, read_cursor
from server.parameters import Cursor, Id, Limit
from server.problems import responses
from server.services import deliveries, webhook_endpoints
from server.services.webhook_endpoints import NewEndpoint
from server.web_resources import BusinessId, Resources, Transaction

router = APIRouter(
    prefix="/webhooks",
    tags=["Webhooks"],
    responses=responses(HTTPStatus.UNAUTHORIZED, HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.SERVICE_UNAVAILABLE),
)
_gone = responses(HTTPStatus.NOT_FOUND)
_gone_or_not_now = responses(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT)


@router.get("")
async def list_webhooks(
    connection: Transaction, business_id: BusinessId, limit: Limit = 50, cursor: Cursor = None
) -> WebhookPage:
    """Where the business is told of events."""
    after_id = read_cursor(cursor) or 0
    found = await webhook_endpoints.page(connection, business_id, after_id=after_id, limit=limit + 1)
    return WebhookPage.model_validate(page(found, limit))


@router.post("", status_code=HTTPStatus.CREATED, responses=responses(HTTPStatus.CONFLICT))
async def add_webhook(
    wanted: WebhookRequest, connection: Transaction, business_id: BusinessId, resources: Resources
) -> WebhookMade:
    """Tell an address of events from now on. The secret that signs them is in this answer and nowhere else."""
    allow_private = resources.settings.webhooks_allow_private
    new = NewEndpoint(wanted.url, wanted.events, wanted.description, allow_private)
    made = await webhook_endpoints.add(connection, resources.vault, business_id, new, resources.who)
    shown = await webhook_endpoints.show(connection, business_id, made.id)
    return WebhookMade.model_validate({**shown, "secret": made.secret})


@router.get("/{webhook_id}", responses=_gone)
async def show_webhook(webhook_id: Id, connection: Transaction, business_id: BusinessId) -> WebhookShown:
    """One of them; where it is disabled, why."""
    return WebhookShown.model_validate(await webhook_endpoints.show(connection, business_id, webhook_id))


@router.patch("/{webhook_id}", responses=_gone)
async def change_webhook(
    webhook_id: Id, wanted: WebhookChange, connection: Transaction, business_id: BusinessId, resources: Resources
) -> WebhookShown:
    """Change the address, the events or the description; disable it, or enable it again."""
    changes = wanted.model_dump(exclude_unset=True)
    allow_private = resources.settings.webhooks_allow_private
    await webhook_endpoints.change(
        connection, business_id, webhook_id, changes, allow_private=allow_private, who=resources.who
    )
    return WebhookShown.model_validate(await webhook_endpoints.show(connection, business_id, webhook_id))


@router.delete("/{webhook_id}", status_code=HTTPStatus.NO_CONTENT, responses=_gone)
async def remove_webhook(
    webhook_id: Id, connection: Transaction, business_id: BusinessId, resources: Resources
) -> None:
    """Tell it no more; what was to be delivered is not."""
    await webhook_endpoints.remove(connection, business_id, webhook_id, resources.who)


@router.post("/{webhook_id}/test", status_code=HTTPStatus.ACCEPTED, responses=_gone_or_not_now)
async def ping_webhook(webhook_id: Id, connection: Transaction, business_id: BusinessId) -> DeliveryDetail:
    """Send it a `ping`, once and within seconds; the delivery says what came of it."""
    delivery_id = await deliveries.ping(connection, business_id, webhook_id)
    return DeliveryDetail.model_validate(await deliveries.show(connection, business_id, webhook_id, delivery_id))


@router.post("/{webhook_id}/rotate-secret", responses=_gone)
async def rotate_webhook_secret(
    webhook_id: Id, connection: Transaction, business_id: BusinessId, resources: Resources
) -> WebhookMade:
    """Give it a new secret, which is shown once. For 24 hours events are signed with the one before as well."""
    made = await webhook_endpoints.rotate_secret(connection, resources.vault, business_id, webhook_id, resources.who)
    shown = await webhook_endpoints.show(connection, business_id, webhook_id)
    return WebhookMade.model_validate({**shown, "secret": made.secret})


@router.get("/{webhook_id}/deliveries", responses=_gone)
async def list_deliveries(
    webhook_id: Id,
    connection: Transaction,
    business_id: BusinessId,
    status: Annotated[DeliveryStatus | None, Query()] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> DeliveryPage:
    """What it was told in the last seven days, the newest first."""
    await webhook_endpoints.show(connection, business_id, webhook_id)
    before_id = read_cursor(cursor)
    found = await deliveries.page(connection, webhook_id, status=status, before_id=before_id, limit=limit + 1)
    return DeliveryPage.model_validate(page(found, limit))


@router.get("/{webhook_id}/deliveries/{delivery_id}", responses=_gone)
async def show_delivery(
    webhook_id: Id, delivery_id: Id, connection: Transaction, business_id: BusinessId
) -> DeliveryDetail:
    """One event: what is sent, and what came of each attempt."""
    return DeliveryDetail.model_validate(await deliveries.show(connection, business_id, webhook_id, delivery_id))


@router.post(
    "/{webhook_id}/deliveries/{delivery_id}/redeliver", status_code=HTTPStatus.ACCEPTED, responses=_gone_or_not_now
)
async def redeliver(
    webhook_id: Id, delivery_id: Id, connection: Transaction, business_id: BusinessId
) -> DeliveryDetail:
    """Deliver it once more within seconds, with the same `webhook-id`; if need be it is tried for another 24 hours."""
    await deliveries.redeliver(connection, business_id, webhook_id, delivery_id)
    return DeliveryDetail.model_validate(await deliveries.show(connection, business_id, webhook_id, delivery_id))
