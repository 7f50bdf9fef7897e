"""The people of a broadcast: who got it, one person's story, and those of whom nobody knows."""

from http import HTTPStatus
from typing import Annotated, Any, Final
from urllib.parse import urlencode

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import RedirectResponse, Response

from server.cursors import page, read_cursor
from server.dashboard.acts import told_once
from server.dashboard.looks import N_
from server.dashboard.rendering import is_fragment, render
from server.dashboard.visitor import PageResources, PageTransaction, SignedIn, allowed_to
from server.domain.roles import Permission
from server.domain.states import RecipientStatus
from server.parameters import Id
from server.services import broadcast_json, recipients, settlements, stories, unknowns
from server.services.settlements import Settlement

router = APIRouter(prefix="/broadcasts/{broadcast_id}")
_A_PAGE: Final = 50
_SETTLED: Final = (N_("It is known by now"), N_("This person is not unknown any more: there is nothing to decide."))


@router.get("/recipients")
async def list_recipients(
    request: Request,
    broadcast_id: Id,
    visitor: SignedIn,
    connection: PageTransaction,
    status: str = "",
    q: Annotated[str, Query(max_length=40)] = "",
    cursor: str | None = None,
) -> Response:
    """Who got it, who did not and why; what is searched and chosen stands in the address."""
    shown = await broadcast_json.show(connection, visitor.business_id, broadcast_id)
    chosen = status if status in set(RecipientStatus) else ""
    found = await recipients.page(
        connection,
        broadcast_id,
        status=chosen or None,
        after_id=read_cursor(cursor) or 0,
        limit=_A_PAGE + 1,
        digits="".join(character for character in q if character.isdecimal()),
    )
    people: dict[str, Any] = page(found, _A_PAGE)
    more = urlencode({"q": q, "status": chosen, "cursor": people["next_cursor"] or ""})
    return render(request, "broadcast/recipients.html", visitor, shown=shown, **people, q=q, chosen=chosen, more=more)


@router.get("/recipients/{recipient_id}")
async def show_story(
    request: Request,
    broadcast_id: Id,
    recipient_id: Id,
    visitor: SignedIn,
    connection: PageTransaction,
    resources: PageResources,
) -> Response:
    """One person's story: every attempt, every report, every answer, in order."""
    shown = await broadcast_json.show(connection, visitor.business_id, broadcast_id)
    version = resources.settings.graph_api_version
    story = await stories.tell(connection, broadcast_id, recipient_id, api_version=version)
    story["entries"] = told_once(story["entries"])
    return render(request, "broadcast/story.html", visitor, shown=shown, **story)


@router.get("/unknowns")
async def list_unknowns(
    request: Request,
    broadcast_id: Id,
    visitor: SignedIn,
    connection: PageTransaction,
    resources: PageResources,
    cursor: str | None = None,
    settled: str = "",
) -> Response:
    """Those of whom nobody knows whether they got it: what the evidence says, and two buttons for each."""
    shown = await broadcast_json.show(connection, visitor.business_id, broadcast_id)
    found = await unknowns.page(
        connection,
        broadcast_id,
        unknowns.Patience.of(resources.settings),
        after_id=read_cursor(cursor) or 0,
        limit=_A_PAGE + 1,
    )
    return render(request, "broadcast/unknowns.html", visitor, shown=shown, settled=settled, **page(found, _A_PAGE))


@router.get("/recipients/{recipient_id}/ask/resend", dependencies=[allowed_to(Permission.SEND)])
async def ask_resend(
    request: Request,
    broadcast_id: Id,
    recipient_id: Id,
    visitor: SignedIn,
    connection: PageTransaction,
) -> Response:
    """Ask once before somebody may get a message twice."""
    shown = await broadcast_json.show(connection, visitor.business_id, broadcast_id)
    person = await recipients.one(connection, broadcast_id, recipient_id)
    is_unknown = person["status"] == RecipientStatus.UNKNOWN
    part = "broadcast/_ask_resend.html" if is_unknown else "broadcast/_ask_nothing.html"
    template = part if is_fragment(request) else "broadcast/ask.html"
    back = f"/broadcasts/{broadcast_id}/unknowns"
    return render(request, template, visitor, shown=shown, person=person, question=part, why_not=_SETTLED, back_to=back)


@router.post("/recipients/{recipient_id}/settle", dependencies=[allowed_to(Permission.SEND)])
async def settle(
    broadcast_id: Id,
    recipient_id: Id,
    visitor: SignedIn,
    connection: PageTransaction,
    as_: Annotated[Settlement, Form(alias="as")],
) -> Response:
    """What a person decides of somebody unknown; it is kept in the history."""
    await broadcast_json.show(connection, visitor.business_id, broadcast_id)
    await settlements.settle(connection, broadcast_id, recipient_id, as_)
    address = f"/broadcasts/{broadcast_id}/unknowns?settled={as_}"
    return RedirectResponse(address, status_code=HTTPStatus.SEE_OTHER)
