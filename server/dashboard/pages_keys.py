"""The API keys of a business: made and shown once, looked at without what is secret, revoked."""

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response
from sqlalchemy.ext.asyncio import AsyncConnection

from server.api_models.shared import storable
from server.dashboard.forms import problems_of
from server.dashboard.rendering import render
from server.dashboard.visitor import PageResources, PageTransaction, SignedIn, allowed_to
from server.domain.audit import AuditAct
from server.domain.errors import BadInput
from server.domain.roles import Permission
from server.domain.scopes import KeyScope
from server.domain.sentences import said
from server.parameters import Id
from server.services import accounts, audit
from server.services.sessions import Visitor

router = APIRouter(prefix="/settings/keys", dependencies=[allowed_to(Permission.MANAGE)])
_LONGEST_NAME = 200


@router.get("")
async def show_keys(request: Request, visitor: SignedIn, connection: PageTransaction) -> Response:
    """The keys that still open something."""
    return await _page(request, visitor, connection)


@router.post("")
async def make_key(
    request: Request,
    visitor: SignedIn,
    connection: PageTransaction,
    resources: PageResources,
    name: Annotated[str, Form(max_length=1_000)] = "",
    scope: Annotated[KeyScope, Form()] = KeyScope.SEND,
) -> Response:
    """Make a key. What it is, is on this page and nowhere else."""
    kept = " ".join(name.split())
    try:
        made = await accounts.make_api_key(connection, visitor.business_id, _checked(kept), scope)
    except BadInput as error:
        typed = {"name": name, "scope": scope}
        return await _page(request, visitor, connection, typed=typed, problems=problems_of(error))
    about = {"subject": kept, "detail": scope.value}
    await audit.add(connection, visitor.business_id, resources.who, AuditAct.KEY_MADE, **about)
    return await _page(request, visitor, connection, made=made.key, made_name=kept)


@router.post("/{key_id}/revoke")
async def revoke_key(key_id: Id, visitor: SignedIn, connection: PageTransaction, resources: PageResources) -> Response:
    """Let a key open nothing any more, at once; what it started goes on."""
    name = await accounts.revoke_api_key(connection, visitor.business_id, key_id)
    await audit.add(connection, visitor.business_id, resources.who, AuditAct.KEY_REVOKED, subject=name)
    return RedirectResponse("/settings/keys", status_code=HTTPStatus.SEE_OTHER)


def _checked(name: str) -> str:
    if len(name) > _LONGEST_NAME:
        raise BadInput(said("A name has at most %(most)s characters.", most=_LONGEST_NAME), pointer="/name")
    try:
        return storable(name)
    except ValueError as error:
        raise BadInput(str(error), pointer="/name") from error


async def _page(
    request: Request,
    visitor: Visitor,
    connection: AsyncConnection,
    *,
    typed: dict[str, Any] | None = None,
    problems: dict[str, str] | None = None,
    made: str | None = None,
    made_name: str = "",
) -> Response:
    return render(
        request,
        "settings/keys.html",
        visitor,
        status=HTTPStatus.UNPROCESSABLE_ENTITY if problems else HTTPStatus.OK,
        keys=await accounts.page_of_keys(connection, visitor.business_id),
        typed=typed or {"name": "", "scope": KeyScope.SEND},
        problems=problems or {},
        made=made,
        made_name=made_name,
    )
