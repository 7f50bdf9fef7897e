"""The webhooks of a business: where it is told of events, what it was told, and what came of each attempt."""

import json
from http import HTTPStatus
from typing import Annotated, Any, Final, NamedTuple
from urllib.parse import urlencode

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response
from pydantic import BaseModel, Field
from sqlalchemy.ext.asyncio import AsyncConnection

from server.api_models.shared import storable
from server.api_models.webhooks import DeliveryStatus
from server.cursors import page, read_cursor
from server.dashboard import webhook_looks
from server.dashboard.forms import problems_of
from server.dashboard.looks import N_
from server.dashboard.rendering import render
from server.dashboard.visitor import PageResources, PageTransaction, SignedIn, allowed_to
from server.domain.audit import Who
from server.domain.errors import BadInput, NotNow, Problem
from server.domain.roles import Permission
from server.domain.sentences import said
from server.domain.webhook_events import EventKind
from server.parameters import Id
from server.services import deliveries, webhook_endpoints
from server.services.sessions import Visitor
from server.services.webhook_endpoints import MOST_ENDPOINTS, NewEndpoint

router = APIRouter(prefix="/settings/webhooks", dependencies=[allowed_to(Permission.MANAGE)])
_A_PAGE: Final = 50
_LONGEST_URL: Final = 2_000
_LONGEST_DESCRIPTION: Final = 200
_Text = Annotated[str, Field(max_length=10_000)]


class WebhookForm(BaseModel):
    """A webhook as it was typed. events: those that were ticked."""

    url: _Text = ""
    description: _Text = ""
    events: Annotated[list[EventKind], Field(max_length=100)] = []

    def checked(self) -> dict[str, Any]:
        """What it asks for. Raises `BadInput` with all that is wrong but for where the address leads."""
        values = {"url": self.url.strip(), "description": " ".join(self.description.split()), "events": self.events}
        problems = []
        for name, longest in (("url", _LONGEST_URL), ("description", _LONGEST_DESCRIPTION)):
            try:
                storable(str(values[name]))
            except ValueError as error:
                problems.append(Problem(f"/{name}", str(error)))
            if len(str(values[name])) > longest:
                problems.append(Problem(f"/{name}", said("At most %(most)s characters.", most=f"{longest:,}")))
        if not self.events:
            problems.append(Problem("/events", N_("Choose at least one event.")))
        if problems:
            raise BadInput(problems[0].detail, problems=problems)
        return values


class Beside(NamedTuple):
    """What the page of a webhook shows beside it: which part of its log, a secret once, a form that was refused."""

    status: str = ""
    cursor: str | None = None
    saved: bool = False
    secret: str | None = None
    typed: WebhookForm | None = None
    problems: dict[str, str] | None = None


_NEW: Final = WebhookForm(events=list(EventKind))
Typed = Annotated[WebhookForm, Form()]


@router.get("")
async def show_webhooks(
    request: Request, visitor: SignedIn, connection: PageTransaction, removed: bool = False
) -> Response:
    """Where the business is told of events, and a form for one more."""
    return await _list(request, visitor, connection, _NEW, {}, removed=removed)


@router.post("")
async def add_webhook(
    request: Request, visitor: SignedIn, connection: PageTransaction, resources: PageResources, typed: Typed
) -> Response:
    """Tell an address of events from now on. Its secret is on this page and nowhere else."""
    try:
        allow_private = resources.settings.webhooks_allow_private
        new = NewEndpoint(**typed.checked(), allow_private=allow_private)
        made = await webhook_endpoints.add(connection, resources.vault, visitor.business_id, new, resources.who)
    except (BadInput, NotNow) as error:
        return await _list(request, visitor, connection, typed, problems_of(error))
    return await _one(request, visitor, connection, made.id, Beside(secret=made.secret))


@router.get("/{webhook_id}")
async def show_webhook(
    request: Request,
    webhook_id: Id,
    visitor: SignedIn,
    connection: PageTransaction,
    status: str = "",
    cursor: str | None = None,
    saved: bool = False,
) -> Response:
    """One of them, with what it was told in the last days; the filter stands in the address."""
    chosen = status if status in set(DeliveryStatus) else ""
    return await _one(request, visitor, connection, webhook_id, Beside(chosen, cursor, saved=saved))


@router.post("/{webhook_id}/change")
async def change_webhook(
    request: Request,
    webhook_id: Id,
    visitor: SignedIn,
    connection: PageTransaction,
    resources: PageResources,
    typed: Typed,
) -> Response:
    """Another address, description or choice of events."""
    await webhook_endpoints.show(connection, visitor.business_id, webhook_id)
    allow_private = resources.settings.webhooks_allow_private
    try:
        changes = typed.checked()
        await webhook_endpoints.change(
            connection, visitor.business_id, webhook_id, changes, allow_private=allow_private, who=resources.who
        )
    except BadInput as error:
        return await _one(request, visitor, connection, webhook_id, Beside(typed=typed, problems=problems_of(error)))
    return _to(f"{webhook_id}?saved=true")


@router.post("/{webhook_id}/enable")
async def enable_webhook(
    webhook_id: Id, visitor: SignedIn, connection: PageTransaction, resources: PageResources
) -> Response:
    """Tell it of events again; what waits for it is delivered."""
    return await _switch(connection, visitor, resources.who, webhook_id, is_on=True)


@router.post("/{webhook_id}/disable")
async def disable_webhook(
    webhook_id: Id, visitor: SignedIn, connection: PageTransaction, resources: PageResources
) -> Response:
    """Tell it nothing, until somebody enables it."""
    return await _switch(connection, visitor, resources.who, webhook_id, is_on=False)


@router.post("/{webhook_id}/rotate-secret")
async def rotate_webhook_secret(
    request: Request, webhook_id: Id, visitor: SignedIn, connection: PageTransaction, resources: PageResources
) -> Response:
    """A new secret, on this page and nowhere else. The one before signs too for a day."""
    made = await webhook_endpoints.rotate_secret(
        connection, resources.vault, visitor.business_id, webhook_id, resources.who
    )
    return await _one(request, visitor, connection, webhook_id, Beside(secret=made.secret))


@router.post("/{webhook_id}/remove")
async def remove_webhook(
    webhook_id: Id, visitor: SignedIn, connection: PageTransaction, resources: PageResources
) -> Response:
    """Tell it no more."""
    await webhook_endpoints.remove(connection, visitor.business_id, webhook_id, resources.who)
    return RedirectResponse("/settings/webhooks?removed=true", status_code=HTTPStatus.SEE_OTHER)


@router.post("/{webhook_id}/test")
async def ping_webhook(webhook_id: Id, visitor: SignedIn, connection: PageTransaction) -> Response:
    """Send it a `ping`, and watch what comes of it."""
    delivery_id = await deliveries.ping(connection, visitor.business_id, webhook_id)
    return _to(f"{webhook_id}/deliveries/{delivery_id}")


@router.get("/{webhook_id}/deliveries/{delivery_id}")
async def show_delivery(
    request: Request, webhook_id: Id, delivery_id: Id, visitor: SignedIn, connection: PageTransaction
) -> Response:
    """One event: what is sent, and what came of each attempt. It looks again while it is to be delivered."""
    delivery = await deliveries.show(connection, visitor.business_id, webhook_id, delivery_id)
    return render(
        request,
        "settings/delivery.html",
        visitor,
        webhook=await webhook_endpoints.show(connection, visitor.business_id, webhook_id),
        delivery=delivery,
        body=json.dumps(delivery["body"], ensure_ascii=False, indent=2),
        webhook_looks=webhook_looks,
    )


@router.post("/{webhook_id}/deliveries/{delivery_id}/redeliver")
async def redeliver(webhook_id: Id, delivery_id: Id, visitor: SignedIn, connection: PageTransaction) -> Response:
    """Deliver it once more, and watch what comes of it."""
    await deliveries.redeliver(connection, visitor.business_id, webhook_id, delivery_id)
    return _to(f"{webhook_id}/deliveries/{delivery_id}")


def _to(rest: str) -> Response:
    return RedirectResponse(f"/settings/webhooks/{rest}", status_code=HTTPStatus.SEE_OTHER)


async def _switch(connection: AsyncConnection, visitor: Visitor, who: Who, webhook_id: int, *, is_on: bool) -> Response:
    # The address stays as it is, so whether it may be private is not asked.
    changes = {"enabled": is_on}
    await webhook_endpoints.change(connection, visitor.business_id, webhook_id, changes, allow_private=False, who=who)
    return _to(f"{webhook_id}?saved=true")


async def _list(
    request: Request,
    visitor: Visitor,
    connection: AsyncConnection,
    typed: WebhookForm,
    problems: dict[str, str],
    *,
    removed: bool = False,
) -> Response:
    return render(
        request,
        "settings/webhooks.html",
        visitor,
        status=HTTPStatus.UNPROCESSABLE_ENTITY if problems else HTTPStatus.OK,
        webhooks=await webhook_endpoints.page(connection, visitor.business_id, after_id=0, limit=MOST_ENDPOINTS),
        typed=typed,
        problems=problems,
        removed=removed,
        most=MOST_ENDPOINTS,
        webhook_looks=webhook_looks,
    )


async def _one(
    request: Request,
    visitor: Visitor,
    connection: AsyncConnection,
    webhook_id: int,
    beside: Beside,
) -> Response:
    webhook = await webhook_endpoints.show(connection, visitor.business_id, webhook_id)
    found = await deliveries.page(
        connection,
        webhook_id,
        status=beside.status or None,
        before_id=read_cursor(beside.cursor),
        limit=_A_PAGE + 1,
    )
    told = page(found, _A_PAGE)
    return render(
        request,
        "settings/webhook.html",
        visitor,
        status=HTTPStatus.UNPROCESSABLE_ENTITY if beside.problems else HTTPStatus.OK,
        **told,
        more=urlencode({"status": beside.status, "cursor": told["next_cursor"] or ""}),
        webhook=webhook,
        chosen=beside.status,
        saved=beside.saved,
        secret=beside.secret,
        typed=beside.typed or WebhookForm.model_validate({name: webhook[name] for name in WebhookForm.model_fields}),
        problems=beside.problems or {},
        days=deliveries.RETENTION_DAYS,
        webhook_looks=webhook_looks,
    )
