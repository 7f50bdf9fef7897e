"""A second person for a large broadcast: a start that asks for one, an approval, a refusal."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Form
from fastapi.responses import RedirectResponse, Response

from server import steering
from server.dashboard.visitor import PageResources, SignedIn, allowed_to
from server.domain.roles import Permission
from server.parameters import Id

router = APIRouter(prefix="/broadcasts/{broadcast_id}")
_APPROVES = [allowed_to(Permission.APPROVE)]


@router.post("/start", dependencies=[allowed_to(Permission.SEND)])
async def start(broadcast_id: Id, visitor: SignedIn, resources: PageResources) -> Response:
    """Start a draft; where a second person is needed, ask for one."""
    await steering.start(resources, visitor.business_id, broadcast_id)
    return _to(broadcast_id)


@router.post("/approve", dependencies=_APPROVES)
async def approve(
    broadcast_id: Id,
    visitor: SignedIn,
    resources: PageResources,
    seen: Annotated[str, Form(max_length=100)] = "",
) -> Response:
    """Let it go. seen: what was looked at; if it has changed since, it is looked at again."""
    await steering.start(resources, visitor.business_id, broadcast_id, seen=seen)
    return _to(broadcast_id)


@router.post("/decline", dependencies=_APPROVES)
async def decline(
    broadcast_id: Id,
    visitor: SignedIn,
    resources: PageResources,
    note: Annotated[str, Form(max_length=500)] = "",
) -> Response:
    """Put it back. note: why, for whoever asked."""
    await steering.decline(resources, visitor.business_id, broadcast_id, note.replace("\x00", ""))
    return _to(broadcast_id)


def _to(broadcast_id: int) -> Response:
    return RedirectResponse(f"/broadcasts/{broadcast_id}", status_code=HTTPStatus.SEE_OTHER)
