"""Who agreed to messages and who does not want them: one person's wish, and the list of those who opted out."""

from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Any, Final
from urllib.parse import urlencode

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import RedirectResponse, Response
from sqlalchemy.ext.asyncio import AsyncConnection

from server.cursors import read_place, write_place
from server.dashboard.forms import problems_of
from server.dashboard.rendering import is_fragment, render
from server.dashboard.visitor import PageTransaction, SignedIn, allowed_to
from server.domain.contacts import instant_of, one_way
from server.domain.errors import BadInput, NotFound
from server.domain.roles import Permission
from server.domain.wishes import Wish
from server.parameters import Id
from server.services import consents, contacts, opt_outs
from server.services.consents import WishTold
from server.services.opt_outs import Place
from server.services.sessions import Visitor

router = APIRouter(prefix="/contacts")
_KEEPS: Final = [allowed_to(Permission.SEND)]
_A_PAGE: Final = 50
_QUESTIONS: Final = {"opt-out": Wish.STOP, "opt-in": Wish.START}
_LONGEST_SOURCE: Final = 200
Short = Annotated[str, Form(max_length=1_000)]
Note = Annotated[str, Form(max_length=2_000)]


@router.get("/{contact_id:int}/ask/{question}", dependencies=_KEEPS)
async def ask_wish(
    request: Request, contact_id: Id, question: str, visitor: SignedIn, connection: PageTransaction
) -> Response:
    """Ask what proves it."""
    if question not in _QUESTIONS:
        raise NotFound("There is no such question.")
    contact = await contacts.show(connection, visitor.business_id, contact_id)
    return _ask(request, visitor, contact, question, {"source": "", "at": "", "note": ""}, {})


@router.post("/{contact_id:int}/opt-out", dependencies=_KEEPS)
async def opt_out(
    request: Request, contact_id: Id, visitor: SignedIn, connection: PageTransaction, note: Note = ""
) -> Response:
    """Send this person nothing more, in broadcasts that run as well."""
    contact = await contacts.show(connection, visitor.business_id, contact_id)
    now = datetime.now(UTC)
    await _tell(connection, visitor, contact["phone"], Wish.STOP, f"told to {visitor.name}", now, note)
    return _to(f"/contacts/{contact_id}")


@router.post("/{contact_id:int}/opt-in", dependencies=_KEEPS)
async def opt_in(
    request: Request,
    contact_id: Id,
    visitor: SignedIn,
    connection: PageTransaction,
    source: Short = "",
    at: Short = "",
    note: Note = "",
) -> Response:
    """This person agreed to messages: how and when is kept. The latest wish by its own time holds."""
    contact = await contacts.show(connection, visitor.business_id, contact_id)
    typed = {"source": source, "at": at, "note": note}
    try:
        cleaned, instant = _source(source), _instant(at)
    except BadInput as error:
        return _ask(request, visitor, contact, "opt-in", typed, problems_of(error, "source"))
    await _tell(connection, visitor, contact["phone"], Wish.START, cleaned, instant, note)
    return _to(f"/contacts/{contact_id}")


# --- everybody who opted out


@router.get("/opt-outs")
async def list_opt_outs(
    request: Request,
    visitor: SignedIn,
    connection: PageTransaction,
    q: Annotated[str, Query(max_length=40)] = "",
    cursor: str | None = None,
) -> Response:
    """Who gets nothing, since when, and by which word or source."""
    return await _list(request, visitor, connection, q, cursor, {"phone": "", "note": ""}, {})


@router.post("/opt-outs", dependencies=_KEEPS)
async def add_opt_out(
    request: Request, visitor: SignedIn, connection: PageTransaction, phone: Short = "", note: Note = ""
) -> Response:
    """Opt somebody out by their phone, whether they are a contact or not."""
    try:
        number = contacts.phone_of(phone, None)
    except BadInput as error:
        typed = {"phone": phone, "note": note}
        return await _list(request, visitor, connection, "", None, typed, problems_of(error, "phone"))
    await _tell(connection, visitor, number, Wish.STOP, f"told to {visitor.name}", datetime.now(UTC), note)
    return _to("/contacts/opt-outs")


# --- what several of them need


async def _tell(
    connection: AsyncConnection, visitor: Visitor, phone: str, wish: Wish, source: str, at: datetime, note: str
) -> None:
    await consents.in_turn(connection, visitor.business_id)
    kept = one_way(note.replace("\x00", "")) or None
    await consents.tell(connection, WishTold(visitor.business_id, phone, wish, source, at, note=kept))


def _ask(
    request: Request,
    visitor: Visitor,
    contact: dict[str, Any],
    question: str,
    typed: dict[str, str],
    problems: dict[str, str],
) -> Response:
    is_done = question == "opt-out" and contact["opted_out"]
    part = "contacts/_ask_nothing.html" if is_done else f"contacts/_ask_{question.replace('-', '_')}.html"
    return render(
        request,
        part if is_fragment(request) else "contacts/ask.html",
        visitor,
        status=HTTPStatus.UNPROCESSABLE_ENTITY if problems else HTTPStatus.OK,
        contact=contact,
        question=part,
        typed=typed,
        problems=problems,
        today=datetime.now(UTC).date().isoformat(),
    )


async def _list(
    request: Request,
    visitor: Visitor,
    connection: AsyncConnection,
    q: str,
    cursor: str | None,
    typed: dict[str, str],
    problems: dict[str, str],
) -> Response:
    before = None
    if cursor is not None:
        at, _, number = read_place(cursor, (opt_outs.KIND,))
        before = Place(at, number)
    digits = "".join(character for character in q if character.isdecimal()).lstrip("0")
    found = await opt_outs.page(connection, visitor.business_id, digits=digits, before=before, limit=_A_PAGE + 1)
    last = found[_A_PAGE - 1] if len(found) > _A_PAGE else None
    next_cursor = None if last is None else write_place(last["created_at"], opt_outs.KIND, int(last["phone"][1:]))
    return render(
        request,
        "contacts/opt_outs.html",
        visitor,
        status=HTTPStatus.UNPROCESSABLE_ENTITY if problems else HTTPStatus.OK,
        items=found[:_A_PAGE],
        count=await opt_outs.count(connection, visitor.business_id),
        q=q,
        next_cursor=next_cursor,
        more=urlencode({"q": q, "cursor": next_cursor or ""}),
        typed=typed,
        problems=problems,
    )


def _source(written: str) -> str:
    source = " ".join(written.replace("\x00", "").split())
    if not 1 <= len(source) <= _LONGEST_SOURCE:
        raise BadInput("Say how they agreed, in a few words: a form, a call, at the counter.", pointer="/source")
    return source


def _instant(written: str) -> datetime:
    now = datetime.now(UTC)
    if not written.strip() or written.strip() == now.date().isoformat():
        return now
    try:
        return instant_of(written, now)
    except ValueError as error:
        raise BadInput(f"{error}.".capitalize(), pointer="/at") from error


def _to(address: str) -> Response:
    return RedirectResponse(address, status_code=HTTPStatus.SEE_OTHER)
