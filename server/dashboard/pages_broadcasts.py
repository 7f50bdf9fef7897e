"""The list of broadcasts."""

from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from server.cursors import page, read_cursor
from server.dashboard.rendering import render
from server.dashboard.visitor import PageTransaction, SignedIn
from server.domain.states import BroadcastStatus
from server.services import approvals, broadcast_json

router = APIRouter()
_A_PAGE = 50


@router.get("/broadcasts")
async def list_broadcasts(
    request: Request,
    visitor: SignedIn,
    connection: PageTransaction,
    q: Annotated[str, Query(max_length=200)] = "",
    status: str = "",
    cursor: str | None = None,
) -> Response:
    """Every broadcast, the newest first. What is searched, chosen and turned to stands in the address."""
    chosen = status if status in set(BroadcastStatus) else ""
    found = await broadcast_json.show_many(
        connection,
        visitor.business_id,
        status=chosen or None,
        before_id=read_cursor(cursor),
        limit=_A_PAGE + 1,
        name_like=q.strip() or None,
    )
    shown = page(found, _A_PAGE)
    waiting = await approvals.waiting_among(connection, [one["id"] for one in shown["items"]])
    more = urlencode({"q": q, "status": chosen, "cursor": shown["next_cursor"] or ""})
    return render(request, "broadcasts.html", visitor, **shown, waiting=waiting, q=q, chosen=chosen, more=more)
