"""Writing a broadcast: one page in steps. Each step is saved to the draft as it is left, so that one can come back."""

import secrets
from collections.abc import Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Any, Final

from babel.dates import format_date
from fastapi import APIRouter, Query, Request
from fastapi.responses import RedirectResponse, Response
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.datastructures import FormData

from server.dashboard import compose_forms as forms
from server.dashboard import compose_view as view
from server.dashboard.compose_view import STEPS, Sheet
from server.dashboard.rendering import is_fragment, render, speech_of
from server.dashboard.visitor import PageTransaction, SignedIn, allowed_to
from server.domain.blanks import carried_over
from server.domain.errors import BadInput, NotFound, Problem
from server.domain.messages import LONGEST_TEXT
from server.domain.phones import countries
from server.domain.roles import Permission
from server.domain.states import BroadcastStatus
from server.parameters import Id
from server.services import compositions, idempotency, vocabulary
from server.services.drafts import NewBroadcast
from server.services.sessions import Visitor
from server.services.snapshots import Place

router = APIRouter(prefix="/compose", dependencies=[allowed_to(Permission.SEND)])
_ROWS_SHOWN: Final = 100
_SETTINGS: Final = ("default_country", "rate_limit", "canary", "spread_over_days")

Channel = Annotated[int | None, Query(ge=1, lt=2**63)]
Around = Annotated[int | None, Query(ge=0, lt=2**63)]
Words = Annotated[str, Query(max_length=200)]
Phone = Annotated[str, Query(max_length=64)]


# --- the page


@router.get("")
async def show_new(
    request: Request,
    visitor: SignedIn,
    connection: PageTransaction,
    from_: Annotated[int | None, Query(alias="from", ge=1, lt=2**63)] = None,
    channel: Channel = None,
    q: Words = "",
) -> Response:
    """Nothing is saved yet. `from`: the broadcast whose message and settings are taken, without its people."""
    copied = None if from_ is None else await compositions.find(connection, visitor.business_id, from_)
    return await _new(request, visitor, connection, copied, channel_id=channel, q=q)


@router.get("/{broadcast_id}")
async def show_draft(
    request: Request,
    broadcast_id: Id,
    visitor: SignedIn,
    connection: PageTransaction,
    step: str = "",
    channel: Channel = None,
    q: Words = "",
    after: Around = None,
    before: Around = None,
    phone: Phone = "",
) -> Response:
    """A draft at one of its steps. What is no draft any more has its own page."""
    draft = await compositions.find(connection, visitor.business_id, broadcast_id)
    if draft.status != BroadcastStatus.DRAFT:
        return RedirectResponse(f"/broadcasts/{broadcast_id}", status_code=HTTPStatus.SEE_OTHER)
    chosen = step if step in STEPS else None
    place = place_of(after, before)
    return await show_step(
        request, visitor, connection, draft, chosen, channel_id=channel, q=q, place=place, phone=phone
    )


@router.get("/{broadcast_id}/preview")
async def show_preview(
    request: Request,
    broadcast_id: Id,
    visitor: SignedIn,
    connection: PageTransaction,
    after: Around = None,
    before: Around = None,
    phone: Phone = "",
) -> Response:
    """The phone of somebody."""
    draft = await compositions.find(connection, visitor.business_id, broadcast_id)
    sheet = await _sheet(connection, visitor, draft)
    shown = await view.beside(connection, sheet, place_of(after, before), phone=phone)
    return render(request, "compose/_beside.html", visitor, sheet=sheet, beside=shown, step="", phone=phone)


@router.post("/preview")
async def preview_choice(request: Request, visitor: SignedIn, connection: PageTransaction) -> Response:
    """The phone with what is chosen in the form and not saved."""
    return await _preview_form(request, visitor, connection, None)


@router.post("/{broadcast_id}/preview")
async def preview_change(
    request: Request, broadcast_id: Id, visitor: SignedIn, connection: PageTransaction
) -> Response:
    """The same for a draft."""
    draft = await compositions.find(connection, visitor.business_id, broadcast_id)
    return await _preview_form(request, visitor, connection, draft)


# --- the steps, saved


@router.post("")
async def begin(request: Request, visitor: SignedIn, connection: PageTransaction) -> Response:
    """The first step makes the draft; the same form again finds the one that it made."""
    form = await request.form()
    token = f"compose {forms.text_in(form, 'token')}"[:200]
    known = await idempotency.find(connection, visitor.business_id, token, _NO_BODY)
    if known is not None:
        return await save_message(request, known, visitor, connection)
    copied_id = forms.text_in(form, "from")
    copied = None
    if copied_id.isdecimal() and len(copied_id) < 19:
        copied = await compositions.find(connection, visitor.business_id, int(copied_id))
    try:
        sheet = await _sheet(connection, visitor, copied, _number_in(form))
        message, name = _message_and_name(request, form, sheet)
        settings = {} if copied is None else {key: getattr(copied, key) for key in _SETTINGS}
        canary = settings.pop("canary", None)
        new = NewBroadcast(name, message, sheet.channel_id, canary=forms.bounds_of(canary), **settings)
        broadcast_id = await compositions.begin(connection, visitor.business_id, new)
    except BadInput as error:
        return await _new(request, visitor, connection, copied, typed=form, problems=error.problems)
    if not await idempotency.keep(connection, visitor.business_id, token, _NO_BODY, broadcast_id):
        await connection.rollback()  # the same form was quicker
        known = await idempotency.find(connection, visitor.business_id, token, _NO_BODY)
        return to_step(known or broadcast_id, "people")
    return _onward(form, broadcast_id, "people")


@router.post("/{broadcast_id}/message")
async def save_message(request: Request, broadcast_id: Id, visitor: SignedIn, connection: PageTransaction) -> Response:
    """Name, number, and template or text."""
    form = await request.form()
    draft = await compositions.find(connection, visitor.business_id, broadcast_id)
    try:
        sheet = await _sheet(connection, visitor, draft, _number_in(form))
        message, name = _message_and_name(request, form, sheet)
        changes = {"name": name, "message": message, "channel_id": sheet.channel_id}
        await compositions.change(connection, visitor.business_id, broadcast_id, changes)
    except BadInput as error:
        return await show_step(request, visitor, connection, draft, "message", typed=form, problems=error.problems)
    return _onward(form, broadcast_id, "people")


@router.post("/{broadcast_id}/values")
async def save_values(request: Request, broadcast_id: Id, visitor: SignedIn, connection: PageTransaction) -> Response:
    """What fills the template. Asked for a part of the page: the phone, and how many lack a value."""
    form = await request.form()
    draft = await compositions.find(connection, visitor.business_id, broadcast_id)
    sheet = await _sheet(connection, visitor, draft)
    try:
        if sheet.template is not None:
            changes = {"message": forms.message_in(form, sheet.blanks, sheet.message)}
            await compositions.change(connection, visitor.business_id, broadcast_id, changes)
    except BadInput as error:
        if is_fragment(request):
            raise
        return await show_step(request, visitor, connection, draft, "values", typed=form, problems=error.problems)
    if not is_fragment(request):
        return _onward(form, broadcast_id, "when")
    draft = await compositions.find(connection, visitor.business_id, broadcast_id)
    sheet = await _sheet(connection, visitor, draft)
    shown = await view.beside(connection, sheet, _shown_in(form), with_lacks=True)
    columns = await compositions.columns(connection, draft)
    return render(
        request, "compose/_after_values.html", visitor, sheet=sheet, beside=shown, step="values", phone="",
        columns=columns,
    )  # fmt: skip


@router.post("/{broadcast_id}/when")
async def save_when(request: Request, broadcast_id: Id, visitor: SignedIn, connection: PageTransaction) -> Response:
    """Now or later, how fast, and how carefully."""
    form = await request.form()
    draft = await compositions.find(connection, visitor.business_id, broadcast_id)
    try:
        await compositions.change(connection, visitor.business_id, broadcast_id, forms.settings_in(form))
    except BadInput as error:
        return await show_step(request, visitor, connection, draft, "when", typed=form, problems=error.problems)
    return _onward(form, broadcast_id, "review")


# --- what the steps share


async def show_step(
    request: Request,
    visitor: Visitor,
    connection: AsyncConnection,
    draft: Row[Any],
    step: str | None,
    *,
    channel_id: int | None = None,
    q: str = "",
    place: Place | None = None,
    phone: str = "",
    typed: FormData | None = None,
    problems: Sequence[Problem] = (),
    notice: str = "",
) -> Response:
    """The page of a draft. step: None for the first that is not done. typed: a form that could not be taken."""
    sheet = await _sheet(connection, visitor, draft, channel_id)
    done = view.done_steps(sheet)
    step = step or next((one for one in STEPS if one not in done), "review")
    shown = await view.beside(connection, sheet, place, phone=phone, with_lacks=step == "values")
    needs_words = step == "people"
    words = await vocabulary.of_business(connection, visitor.business_id) if needs_words else None
    status = HTTPStatus.UNPROCESSABLE_ENTITY if problems or notice else HTTPStatus.OK
    return render(
        request,
        "compose/page.html",
        visitor,
        status=status,
        sheet=sheet,
        draft=draft,
        step=step,
        steps=STEPS,
        done=done,
        beside=shown,
        q=q,
        phone=phone,
        templates=_matching(sheet, q),
        columns=await compositions.columns(connection, draft) if step in ("values", "message") else [],
        words=words,
        countries=_countries(request, visitor) if needs_words else [],
        counts=view.counts_of(draft),
        left_out=view.left_out(draft),
        rows_shown=_ROWS_SHOWN,
        who=await view.who(connection, draft) if draft.audience is not None else "",
        has_list=compositions.has_list(draft),
        typed=typed,
        wrong=view.by_pointer(problems),
        problems=problems[: view.LONGEST_PROBLEMS],
        problems_count=len(problems),
        notice=notice,
        as_whatsapp=view.as_whatsapp,
        token="",
        copied_id=None,
    )


async def _new(
    request: Request,
    visitor: Visitor,
    connection: AsyncConnection,
    copied: Row[Any] | None,
    *,
    channel_id: int | None = None,
    q: str = "",
    typed: FormData | None = None,
    problems: Sequence[Problem] = (),
) -> Response:
    if channel_id is None and copied is not None:
        channel_id = copied.channel_id
    message = None if copied is None else copied.message
    sheet = await view.sheet_of(connection, visitor.business_id, None, channel_id=channel_id, message=message)
    if sheet is None:
        return render(request, "compose/no_number.html", visitor)
    name = "" if copied is None else copied.name
    return render(
        request,
        "compose/page.html",
        visitor,
        status=HTTPStatus.UNPROCESSABLE_ENTITY if problems else HTTPStatus.OK,
        sheet=sheet,
        draft=None,
        step="message",
        steps=STEPS,
        done=set(),
        beside=await view.beside(connection, sheet),
        q=q,
        phone="",
        templates=_matching(sheet, q),
        columns=[],
        typed=typed,
        wrong=view.by_pointer(problems),
        problems=problems[: view.LONGEST_PROBLEMS],
        problems_count=len(problems),
        notice="",
        as_whatsapp=view.as_whatsapp,
        token=forms.text_in(typed, "token") if typed is not None else secrets.token_urlsafe(16),
        copied_id=None if copied is None else copied.id,
        name=name,
    )


async def _preview_form(
    request: Request, visitor: Visitor, connection: AsyncConnection, draft: Row[Any] | None
) -> Response:
    form = await request.form()
    sheet = await _sheet(connection, visitor, draft, _number_in(form))
    try:
        message, _ = _message_and_name(request, form, sheet)
    except BadInput:
        message = sheet.message  # nothing is chosen yet
    sheet = sheet.with_message(message, view.template_in(sheet.templates, message))
    shown = await view.beside(connection, sheet, _shown_in(form))
    return render(request, "compose/_beside.html", visitor, sheet=sheet, beside=shown, step="", phone="")


async def _sheet(
    connection: AsyncConnection, visitor: Visitor, draft: Row[Any] | None, channel_id: int | None = None
) -> Sheet:
    """Raises `NotFound` where there is no number to send from."""
    sheet = await view.sheet_of(connection, visitor.business_id, draft, channel_id=channel_id)
    if sheet is None:
        raise NotFound("There is no number to send from. Add one first.")
    return sheet


def _message_and_name(request: Request, form: FormData, sheet: Sheet) -> tuple[dict[str, Any], str]:
    """What the first step says. Raises `BadInput`."""
    if forms.text_in(form, "kind") == "text":
        body = forms.text_in(form, "body")
        if not body:
            raise BadInput("Write a text.", pointer="/text/body")
        if len(body) > LONGEST_TEXT:
            raise BadInput(f"It has {len(body)} characters; WhatsApp takes {LONGEST_TEXT}.", pointer="/text/body")
        return {"text": {"body": body}}, forms.name_in(form, " ".join(body.split())[:40])
    chosen = forms.text_in(form, "template")
    template = next((one for one in sheet.templates if str(one["id"]) == chosen), None)
    if template is None:
        raise BadInput("Choose a template.", pointer="/template/name")
    words = str(template["name"]).replace("_", " ").strip().capitalize()
    today = format_date(datetime.now(UTC), "d MMM", locale=speech_of(request).locale)
    message = carried_over(sheet.message, template["name"], template["language"])
    return message, forms.name_in(form, f"{words}, {today}")


def _matching(sheet: Sheet, q: str) -> list[dict[str, Any]]:
    """The templates that have every word of a search in their name, language, category or status."""
    words = q.casefold().replace("_", " ").split()
    return [
        one
        for one in sheet.templates
        if all(
            word in f"{one['name']} {one['language']} {one['category']} {one['status']}".casefold().replace("_", " ")
            for word in words
        )
    ]


def _countries(request: Request, visitor: Visitor) -> list[tuple[str, str]]:
    """Codes and names, in the order of the reader's language."""
    names = speech_of(request, visitor).locale.territories
    return sorted(((code, names.get(code, code)) for code in countries()), key=lambda country: country[1])


def place_of(after: int | None, before: int | None) -> Place:
    """Beside whom to look."""
    if before is not None:
        return Place(before_id=before)
    return Place(after_id=after or 0)


def _shown_in(form: FormData) -> Place:
    """Whoever was shown stays."""
    shown = forms.text_in(form, "shown")
    return Place(after_id=max(int(shown) - 1, 0)) if shown.isdecimal() and len(shown) < 19 else Place()


def _number_in(form: FormData) -> int | None:
    written = forms.text_in(form, "channel")
    return int(written) if written.isdecimal() and len(written) < 19 else None


def _onward(form: FormData, broadcast_id: int, usual: str) -> Response:
    wanted = forms.text_in(form, "to")
    return to_step(broadcast_id, wanted if wanted in STEPS else usual)


def to_step(broadcast_id: int, step: str) -> Response:
    """Show a step of a draft."""
    return RedirectResponse(f"/compose/{broadcast_id}?step={step}", status_code=HTTPStatus.SEE_OTHER)


_NO_BODY: Final = idempotency.body_hash(b"compose")
