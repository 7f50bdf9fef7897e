"""Templates over HTTP: what WhatsApp has approved, as it was last synced."""

from http import HTTPStatus
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel

from server.cursors import page, read_cursor
from server.parameters import Cursor, Limit
from server.problems import responses
from server.services import channels, templates
from server.web_resources import BusinessId, Resources, Transaction

router = APIRouter(
    prefix="/templates",
    tags=["Templates"],
    responses=responses(HTTPStatus.UNAUTHORIZED, HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.SERVICE_UNAVAILABLE),
)


class TemplateShown(BaseModel):
    """A template as the Cloud API describes it."""

    name: str
    language: str
    status: str
    category: str
    components: list[dict[str, Any]]


class TemplatePage(BaseModel):
    """One page of templates, in the order in which they were first synced."""

    items: list[TemplateShown]
    next_cursor: str | None


class SyncedShown(BaseModel):
    """What a sync brought."""

    templates: int
    approved: int


@router.get("")
async def list_templates(
    connection: Transaction,
    business_id: BusinessId,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> TemplatePage:
    """The templates of the business, in the order in which they were first synced."""
    after_id = read_cursor(cursor) or 0
    found = await templates.page(connection, business_id, after_id=after_id, limit=limit + 1)
    return TemplatePage.model_validate(page(found, limit))


@router.post("/sync")
async def sync_templates(connection: Transaction, business_id: BusinessId, resources: Resources) -> SyncedShown:
    """Bring the templates up to date from the Cloud API."""
    senders = await channels.senders(connection, resources.vault, business_id)
    done = await templates.sync_all(connection, resources.settings, business_id, senders)
    return SyncedShown(templates=done.templates_count, approved=done.approved_count)
