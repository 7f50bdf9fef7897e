"""Who did what in the business, the newest first."""

from typing import Annotated, Final
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from server.cursors import page, read_cursor
from server.dashboard.rendering import render
from server.dashboard.visitor import PageTransaction, SignedIn, allowed_to
from server.domain.audit import AuditAct
from server.domain.roles import Permission
from server.services import audit

router = APIRouter(prefix="/settings/audit", dependencies=[allowed_to(Permission.MANAGE)])
_A_PAGE: Final = 50


@router.get("")
async def show_audit(
    request: Request,
    visitor: SignedIn,
    connection: PageTransaction,
    act: str = "",
    q: Annotated[str, Query(max_length=200)] = "",
    cursor: str | None = None,
) -> Response:
    """Sign-ins, keys, numbers, people, settings, broadcasts. What is chosen stands in the address."""
    chosen = act if act in set(AuditAct) else ""
    found = await audit.page(
        connection,
        visitor.business_id,
        act=chosen or None,
        who=q.strip() or None,
        before_id=read_cursor(cursor),
        limit=_A_PAGE + 1,
    )
    shown = page(found, _A_PAGE)
    more = urlencode({"q": q, "act": chosen, "cursor": shown["next_cursor"] or ""})
    return render(request, "settings/audit.html", visitor, **shown, q=q, chosen=chosen, more=more)
