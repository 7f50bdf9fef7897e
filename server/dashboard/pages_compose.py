"""Writing a broadcast: one page in steps. Each step is saved to the draft as it is left, so that one can come back."""

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
from server.dashboard.compose_page import Refusal, Wanted, beside_of, load_sheet, show_new, show_step, to_step
from server.dashboard.compose_view import STEPS, Sheet
from server.dashboard.rendering import is_fragment, render, speech_of
from server.dashboard.visitor import PageTransaction, SignedIn, allowed_to
from server.domain.blanks import carried_over
from server.domain.errors import BadInput
from server.domain.messages import LONGEST_TEXT
from server.domain.roles import Permission
from server.domain.sentences import said
from server.domain.states import BroadcastStatus
from server.parameters import Id
from server.services import compositions
from server.services.drafts import NewBroadcast
from server.services.sessions import Visitor
from server.services.snapshots import Place

router = APIRouter(prefix="/compose", dependencies=[allowed_to(Permission.SEND)])
_SETTINGS: Final = ("default_country", "rate_limit", "canary", "spread_over_days")


# --- the page


@router.get("")
async def show_empty(
    request: Request, wanted: Annotated[Wanted, Query()], visitor: SignedIn, connection: PageTransaction
) -> Response:
    """Nothing is saved yet. `from`: the broadcast whose message and settings are taken, without its people."""
    copied = None
    if wanted.copied_id is not None:
        copied = await compositions.find(connection, visitor.business_id, wanted.copied_id)
    return await show_new(request, visitor, connection, copied, wanted=wanted)


@router.get("/{broadcast_id}")
async def show_draft(
    request: Request,
    broadcast_id: Id,
    wanted: Annotated[Wanted, Query()],
    visitor: SignedIn,
    connection: PageTransaction,
) -> Response:
    """A draft at one of its steps. What is no draft any more has its own page."""
    draft = await compositions.find(connection, visitor.business_id, broadcast_id)
    if draft.status != BroadcastStatus.DRAFT:
        return RedirectResponse(f"/broadcasts/{broadcast_id}", status_code=HTTPStatus.SEE_OTHER)
    step = wanted.step if wanted.step in STEPS else None
    return await show_step(request, visitor, connection, draft, step, wanted=wanted)


@router.get("/{broadcast_id}/preview")
async def show_preview(
    request: Request,
    broadcast_id: Id,
    wanted: Annotated[Wanted, Query()],
    visitor: SignedIn,
    connection: PageTransaction,
) -> Response:
    """The phone of somebody."""
    draft = await compositions.find(connection, visitor.business_id, broadcast_id)
    sheet = await load_sheet(connection, visitor, draft)
    shown = await view.beside(connection, sheet, wanted.place, phone=wanted.phone)
    return render(request, "compose/_beside.html", visitor, **beside_of(sheet, shown, wanted.phone))


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
    token = forms.text_in(form, "token")
    known = await compositions.begun(connection, visitor.business_id, token)
    if known is not None:
        return await save_message(request, known, visitor, connection)
    copied_id = forms.text_in(form, "from")
    copied = None
    if copied_id.isdecimal() and len(copied_id) < 19:
        copied = await compositions.find(connection, visitor.business_id, int(copied_id))
    try:
        sheet = await load_sheet(connection, visitor, copied, _number_in(form))
        message, name = _message_and_name(request, form, sheet)
        settings = {} if copied is None else {key: getattr(copied, key) for key in _SETTINGS}
        canary = settings.pop("canary", None)
        new = NewBroadcast(name, message, sheet.channel_id, canary=forms.bounds_of(canary), **settings)
        broadcast_id = await compositions.begin(connection, visitor.business_id, new, token)
    except BadInput as error:
        return await show_new(request, visitor, connection, copied, refusal=Refusal(form, error.problems))
    return _onward(form, broadcast_id, "people")


@router.post("/{broadcast_id}/message")
async def save_message(request: Request, broadcast_id: Id, visitor: SignedIn, connection: PageTransaction) -> Response:
    """Name, number, and template or text."""
    form = await request.form()
    draft = await compositions.find(connection, visitor.business_id, broadcast_id)
    try:
        sheet = await load_sheet(connection, visitor, draft, _number_in(form))
        message, name = _message_and_name(request, form, sheet)
        changes = {"name": name, "message": message, "channel_id": sheet.channel_id}
        await compositions.change(connection, visitor.business_id, broadcast_id, changes)
    except BadInput as error:
        return await show_step(request, visitor, connection, draft, "message", refusal=Refusal(form, error.problems))
    return _onward(form, broadcast_id, "people")


@router.post("/{broadcast_id}/values")
async def save_values(request: Request, broadcast_id: Id, visitor: SignedIn, connection: PageTransaction) -> Response:
    """What fills the template. Asked for a part of the page: the phone, and how many lack a value."""
    form = await request.form()
    draft = await compositions.find(connection, visitor.business_id, broadcast_id)
    sheet = await load_sheet(connection, visitor, draft)
    try:
        if sheet.template is not None:
            changes = {"message": forms.message_in(form, sheet.blanks, sheet.message)}
            await compositions.change(connection, visitor.business_id, broadcast_id, changes)
    except BadInput as error:
        if is_fragment(request):
            raise
        return await show_step(request, visitor, connection, draft, "values", refusal=Refusal(form, error.problems))
    if not is_fragment(request):
        return _onward(form, broadcast_id, "when")
    draft = await compositions.find(connection, visitor.business_id, broadcast_id)
    sheet = await load_sheet(connection, visitor, draft)
    shown = await view.beside(connection, sheet, _shown_in(form), with_lacks=True)
    columns = await compositions.columns(connection, draft)
    context = {**beside_of(sheet, shown), "columns": columns}
    return render(request, "compose/_after_values.html", visitor, **context)


@router.post("/{broadcast_id}/when")
async def save_when(request: Request, broadcast_id: Id, visitor: SignedIn, connection: PageTransaction) -> Response:
    """Now or later, how fast, and how carefully."""
    form = await request.form()
    draft = await compositions.find(connection, visitor.business_id, broadcast_id)
    try:
        await compositions.change(connection, visitor.business_id, broadcast_id, forms.settings_in(form))
    except BadInput as error:
        return await show_step(request, visitor, connection, draft, "when", refusal=Refusal(form, error.problems))
    return _onward(form, broadcast_id, "review")


@router.post("/{broadcast_id}/stay")
async def leave_review(request: Request, broadcast_id: Id) -> Response:
    """Nothing of the last step is kept; another one is shown."""
    return _onward(await request.form(), broadcast_id, "review")


# --- what several of them need


async def _preview_form(
    request: Request, visitor: Visitor, connection: AsyncConnection, draft: Row[Any] | None
) -> Response:
    form = await request.form()
    sheet = await load_sheet(connection, visitor, draft, _number_in(form))
    try:
        message, _ = _message_and_name(request, form, sheet)
    except BadInput:
        message = sheet.message  # nothing is chosen yet
    sheet = sheet.with_message(message, view.template_in(sheet.templates, message))
    shown = await view.beside(connection, sheet, _shown_in(form))
    return render(request, "compose/_beside.html", visitor, **beside_of(sheet, shown))


def _message_and_name(request: Request, form: FormData, sheet: Sheet) -> tuple[dict[str, Any], str]:
    """What the first step says. Raises `BadInput`."""
    if forms.text_in(form, "kind") == "text":
        body = forms.text_in(form, "body")
        if not body:
            raise BadInput("Write a text.", pointer="/text/body")
        if len(body) > LONGEST_TEXT:
            raise BadInput(
                said("It has %(count)s characters; WhatsApp takes %(most)s.", count=len(body), most=LONGEST_TEXT),
                pointer="/text/body",
            )
        return {"text": {"body": body}}, forms.name_in(form, " ".join(body.split())[:40])
    chosen = forms.text_in(form, "template")
    # A search may have left what was chosen before out of the list.
    template = next((one for one in sheet.templates if str(one["id"]) == chosen), None if chosen else sheet.template)
    if template is None:
        raise BadInput("Choose a template.", pointer="/template/name")
    words = str(template["name"]).replace("_", " ").strip().capitalize()
    today = format_date(datetime.now(UTC), "d MMM", locale=speech_of(request).locale)
    message = carried_over(sheet.message, template["name"], template["language"])
    return message, forms.name_in(form, f"{words}, {today}")


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
