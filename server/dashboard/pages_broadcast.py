"""One broadcast: its live page, why people did not get it, its history, and what a person can do to it."""

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Any, Final

from fastapi import APIRouter, Form, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response, StreamingResponse
from sqlalchemy.ext.asyncio import AsyncConnection

from server import steering
from server.csv_export import recipients_csv
from server.cursors import page, read_cursor
from server.dashboard.acts import told_once
from server.dashboard.compose_view import beside, sheet_of, who
from server.dashboard.live import stream
from server.dashboard.looks import N_
from server.dashboard.rendering import is_fragment, render, text_of
from server.dashboard.visitor import PageResources, PageTransaction, SignedIn, allowed_to
from server.domain.errors import NotFound
from server.domain.meanings import MEANINGS
from server.domain.roles import Permission
from server.domain.states import FINAL, BroadcastStatus, Move, RecipientStatus, allows
from server.parameters import Id
from server.services import approvals, broadcast_json, compositions, numbers, recipients, samples, unknowns
from server.web_resources import WebResources

router = APIRouter(prefix="/broadcasts/{broadcast_id}")
_SENDS: Final = [allowed_to(Permission.SEND)]
_HISTORY_SHOWN: Final = 200
_QUESTIONS: Final = frozenset(("cancel", "delete", "retry"))
_NO_DRAFT: Final = (N_("There is no draft to delete"), N_("It has been started. What was sent stays in the list."))
_NOT_OVER: Final = (N_("It is not over yet"), N_("Whoever fails can be tried again when it has ended."))
_NOBODY_FAILED: Final = (N_("There is nobody to try again"), N_("Nobody of this broadcast failed."))
_NOTHING_BEGUN: Final = (N_("There is nothing to cancel"), N_("It is a draft, and nothing of it has been sent."))
_BEING_CANCELLED: Final = (
    N_("It is being cancelled already"),
    N_("What is in flight is finished; nothing more leaves."),
)
_NOTHING_LEFT: Final = (N_("There is nothing to cancel"), N_("Nothing more of it is sent."))


@router.get("")
async def show_broadcast(
    request: Request, broadcast_id: Id, visitor: SignedIn, connection: PageTransaction, resources: PageResources
) -> Response:
    """The line, the bar, the plot, the funnel; reasons and history come after the page."""
    shown = await broadcast_json.show(connection, visitor.business_id, broadcast_id)
    is_draft = shown["status"] == BroadcastStatus.DRAFT
    request_made = await approvals.request_of(connection, broadcast_id) if is_draft else None
    approved = {} if request_made is None else await _to_approve(connection, visitor.business_id, broadcast_id)
    decided_by = await _decided_by(connection, shown, resources)
    return render(
        request,
        "broadcast/page.html",
        visitor,
        shown=shown,
        decided_by=decided_by,
        approval=request_made,
        **approved,
    )


async def _decided_by(
    connection: AsyncConnection, shown: Mapping[str, Any], resources: WebResources
) -> datetime | None:
    """When the unknown ones of a broadcast that waits for nothing else are decided at the latest."""
    if shown["status"] != BroadcastStatus.SETTLING:
        return None
    patience = unknowns.Patience.of(resources.settings)
    waiting = (await unknowns.waiting(connection, [shown["id"]], patience)).get(shown["id"])
    return waiting.decided_by if waiting is not None and waiting.decided_by > datetime.now(UTC) else None


async def _to_approve(connection: AsyncConnection, business_id: int, broadcast_id: int) -> dict[str, Any]:
    """What a second person looks at before they let it go: the message as it is read, from where, and to whom."""
    draft = await compositions.find(connection, business_id, broadcast_id)
    sheet = await sheet_of(connection, business_id, draft)
    known = await numbers.listed(connection, business_id)
    return {
        "beside": await beside(connection, sheet) if sheet is not None else None,
        "who": await who(connection, draft) if draft.audience is not None else "",
        "number_row": next((one for one in known if one["id"] == draft.channel_id), None),
    }


@router.get("/stream")
async def follow_broadcast(
    request: Request, broadcast_id: Id, visitor: SignedIn, resources: PageResources
) -> StreamingResponse:
    """The part of the page that moves, again and again."""
    return await _stream(request, broadcast_id, visitor, resources, "broadcast/_live.html")


@router.get("/live")
async def show_live(
    request: Request, broadcast_id: Id, visitor: SignedIn, connection: PageTransaction, resources: PageResources
) -> Response:
    """The part of the page that moves, once: how a page goes on after the end, when its stream is over."""
    shown = await broadcast_json.show(connection, visitor.business_id, broadcast_id)
    decided_by = await _decided_by(connection, shown, resources)
    response = render(request, "broadcast/_live.html", visitor, shown=shown, decided_by=decided_by)
    if shown["status"] not in FINAL:
        response.headers["HX-Refresh"] = "true"  # somebody may be sent to again: the page follows its stream anew
    return response


@router.get("/card-stream")
async def follow_card(
    request: Request, broadcast_id: Id, visitor: SignedIn, resources: PageResources
) -> StreamingResponse:
    """The card of the overview, again and again."""
    return await _stream(request, broadcast_id, visitor, resources, "broadcast/_card.html")


async def _stream(
    request: Request, broadcast_id: int, visitor: SignedIn, resources: PageResources, template: str
) -> StreamingResponse:
    async with resources.engine.connect() as connection:
        await broadcast_json.show(connection, visitor.business_id, broadcast_id)

    decided_by: datetime | None = None

    async def draw(shown: dict[str, Any]) -> str:
        nonlocal decided_by
        if shown["status"] != BroadcastStatus.SETTLING:
            decided_by = None
        elif decided_by is None:  # read once for all the news of a settling: nobody becomes unknown in it
            async with resources.engine.connect() as connection:
                decided_by = await _decided_by(connection, shown, resources)
        return text_of(request, template, {"shown": shown, "decided_by": decided_by}, visitor)

    return stream(resources.progress, broadcast_id, draw)


@router.get("/plot.json")
async def show_plot(broadcast_id: Id, visitor: SignedIn, connection: PageTransaction) -> JSONResponse:
    """Five columns: seconds since 1970, and the counts of sent, delivered, read and failed at each.

    now: by this clock, so that what a page hears in between stands at its place.
    """
    shown = await broadcast_json.show(connection, visitor.business_id, broadcast_id)
    found = await samples.of_broadcast(connection, broadcast_id)
    columns: Sequence[Sequence[float]] = [
        [sample.at.timestamp() for sample in found],
        [sample.sent_count for sample in found],
        [sample.delivered_count for sample in found],
        [sample.read_count for sample in found],
        [sample.failed_count for sample in found],
    ]
    is_over = shown["completed_at"] is not None
    found_now = {"columns": columns, "is_over": is_over, "now": time.time()}
    return JSONResponse(found_now, headers={"Cache-Control": "no-store"})


@router.get("/reasons")
async def show_reasons(request: Request, broadcast_id: Id, visitor: SignedIn, connection: PageTransaction) -> Response:
    """Why people did not get it, the most first, and what to do about each."""
    shown = await broadcast_json.show(connection, visitor.business_id, broadcast_id)
    found = await recipients.reasons(connection, broadcast_id)
    for reason in found:
        meaning = MEANINGS.get(reason["error_code"])
        reason["to_do"] = meaning.to_do if meaning else ""
    most = max((reason["people_count"] for reason in found), default=1)
    return render(request, "broadcast/_reasons.html", visitor, shown=shown, reasons=found, most=most)


@router.get("/history")
async def show_history(
    request: Request, broadcast_id: Id, visitor: SignedIn, connection: PageTransaction, cursor: str | None = None
) -> Response:
    """Who or what changed it, when, and why; the latest first."""
    shown = await broadcast_json.show(connection, visitor.business_id, broadcast_id)
    before_id = read_cursor(cursor)
    found = await recipients.latest_history(connection, broadcast_id, before_id=before_id, limit=_HISTORY_SHOWN + 1)
    part = page(found, _HISTORY_SHOWN)
    history = told_once(reversed(part["items"]))
    template = "broadcast/_history.html" if is_fragment(request) else "broadcast/history.html"
    return render(request, template, visitor, shown=shown, history=history, next_cursor=part["next_cursor"])


@router.get("/recipients.csv")
async def export_recipients(
    broadcast_id: Id, visitor: SignedIn, resources: PageResources, status: RecipientStatus | None = None
) -> Response:
    """Everybody as a file."""
    async with resources.engine.connect() as connection:
        await broadcast_json.show(connection, visitor.business_id, broadcast_id)
    return recipients_csv(resources.engine, broadcast_id, status)


# --- what a person can do to it


@router.get("/ask/{question}", dependencies=_SENDS)
async def ask(
    request: Request, broadcast_id: Id, question: str, visitor: SignedIn, connection: PageTransaction
) -> Response:
    """Ask once, in words and with the number of people, before something that cannot be undone."""
    if question not in _QUESTIONS:
        raise NotFound("There is no such question.")
    shown = await broadcast_json.show(connection, visitor.business_id, broadcast_id)
    why_not = _why_not(question, shown)
    part = "broadcast/_ask_nothing.html" if why_not else f"broadcast/_ask_{question}.html"
    template = part if is_fragment(request) else "broadcast/ask.html"
    return render(
        request, template, visitor, shown=shown, question=part, why_not=why_not, back_to=f"/broadcasts/{broadcast_id}"
    )


def _why_not(question: str, shown: Mapping[str, Any]) -> tuple[str, str] | None:
    """What there is to say, and why, where nothing can be asked: its buttons were not shown, or it has moved on."""
    status = BroadcastStatus(shown["status"])
    if question == "delete":
        return None if status is BroadcastStatus.DRAFT else _NO_DRAFT
    if question == "retry":
        if status not in FINAL:
            return _NOT_OVER
        return None if shown["failed_count"] else _NOBODY_FAILED
    if status is BroadcastStatus.DRAFT:
        return _NOTHING_BEGUN
    if shown["cancel_requested"] and status not in FINAL:
        return _BEING_CANCELLED
    return None if allows(Move.CANCEL, status) else _NOTHING_LEFT


@router.post("/pause", dependencies=_SENDS)
async def pause(broadcast_id: Id, visitor: SignedIn, resources: PageResources) -> Response:
    """Pause it; it can go on at any time."""
    await steering.pause(resources, visitor.business_id, broadcast_id)
    return _to(broadcast_id)


@router.post("/resume", dependencies=_SENDS)
async def resume(broadcast_id: Id, visitor: SignedIn, resources: PageResources) -> Response:
    """Go on after a pause."""
    await steering.resume(resources, visitor.business_id, broadcast_id)
    return _to(broadcast_id)


@router.post("/cancel", dependencies=_SENDS)
async def cancel(broadcast_id: Id, visitor: SignedIn, resources: PageResources) -> Response:
    """Stop it for good."""
    await steering.cancel(resources, visitor.business_id, broadcast_id)
    return _to(broadcast_id)


@router.post("/delete", dependencies=_SENDS)
async def delete_draft(broadcast_id: Id, visitor: SignedIn, resources: PageResources) -> Response:
    """Take a draft away, with its list."""
    await steering.delete_draft(resources, visitor.business_id, broadcast_id)
    return RedirectResponse("/broadcasts", status_code=HTTPStatus.SEE_OTHER)


@router.post("/retry", dependencies=_SENDS)
async def retry(
    broadcast_id: Id,
    visitor: SignedIn,
    resources: PageResources,
    include: Annotated[list[RecipientStatus] | None, Form()] = None,
) -> Response:
    """A new broadcast to those who failed; its page is shown."""
    wanted = [str(status) for status in include or [RecipientStatus.FAILED]]
    again = await steering.retry(resources, visitor.business_id, broadcast_id, wanted)
    return _to(again.id)


def _to(broadcast_id: int) -> Response:
    return RedirectResponse(f"/broadcasts/{broadcast_id}", status_code=HTTPStatus.SEE_OTHER)
