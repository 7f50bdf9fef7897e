"""API keys over HTTP: made and shown once, listed without what is secret, revoked."""

from http import HTTPStatus

from fastapi import APIRouter

from server.api_models.keys import KeyMade, KeyPage, KeyRequest
from server.cursors import page, read_cursor
from server.domain.audit import AuditAct
from server.parameters import Cursor, Id, Limit
from server.problems import responses
from server.services import accounts, audit
from server.web_resources import BusinessId, Resources, Transaction

router = APIRouter(
    prefix="/api-keys",
    tags=["API keys"],
    responses=responses(HTTPStatus.UNAUTHORIZED, HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.SERVICE_UNAVAILABLE),
)


@router.get("")
async def list_keys(
    connection: Transaction, business_id: BusinessId, limit: Limit = 50, cursor: Cursor = None
) -> KeyPage:
    """The keys of the business that still open something."""
    after_id = read_cursor(cursor) or 0
    found = await accounts.page_of_keys(connection, business_id, after_id=after_id, limit=limit + 1)
    return KeyPage.model_validate(page(found, limit))


@router.post("", status_code=HTTPStatus.CREATED)
async def make_key(
    wanted: KeyRequest, connection: Transaction, business_id: BusinessId, resources: Resources
) -> KeyMade:
    """Make a key for a program. What it is, is in this answer and nowhere else."""
    made = await accounts.make_api_key(connection, business_id, wanted.name, wanted.scope)
    about = {"subject": wanted.name, "detail": wanted.scope.value}
    await audit.add(connection, business_id, resources.who, AuditAct.KEY_MADE, **about)
    (shown,) = await accounts.page_of_keys(connection, business_id, after_id=made.id - 1, limit=1)
    return KeyMade.model_validate({**shown, "key": made.key})


@router.delete("/{key_id}", status_code=HTTPStatus.NO_CONTENT, responses=responses(HTTPStatus.NOT_FOUND))
async def revoke_key(key_id: Id, connection: Transaction, business_id: BusinessId, resources: Resources) -> None:
    """Revoke a key. From here on it opens nothing; what it started goes on."""
    name = await accounts.revoke_api_key(connection, business_id, key_id)
    await audit.add(connection, business_id, resources.who, AuditAct.KEY_REVOKED, subject=name)
