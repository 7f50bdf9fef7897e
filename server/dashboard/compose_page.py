"""The page on which a broadcast is written, put together: a draft at one of its steps, or what is not saved yet."""

import secrets
from collections.abc import Sequence
from http import HTTPStatus
from typing import Annotated, Any, Final, NamedTuple

from fastapi import Request
from fastapi.responses import RedirectResponse, Response
from pydantic import BaseModel, Field
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.datastructures import FormData

from server.dashboard import compose_forms as forms
from server.dashboard import compose_view as view
from server.dashboard.compose_view import STEPS, Beside, Sheet
from server.dashboard.rendering import render, speech_of
from server.domain.errors import NotFound, Problem
from server.domain.phones import countries
from server.domain.preflight import APPROVED
from server.services import businesses, compositions, vocabulary
from server.services.sessions import Visitor
from server.services.snapshots import Place

_ROWS_SHOWN: Final = 100
# What a business chooses from is seen at a glance; of hundreds the others open when they are asked for.
_TEMPLATES_SHOWN: Final = 20
_Id = Annotated[int | None, Field(ge=1, lt=2**63)]


class Wanted(BaseModel):
    """What stands in the address of the page.

    copied_id (`from`): the broadcast that is copied. q: words of a template. after, before: ids of somebody, beside
    whom the phone is to look; phone: of whom.
    """

    step: str = ""
    copied_id: Annotated[_Id, Field(alias="from")] = None
    channel: _Id = None
    q: Annotated[str, Field(max_length=200)] = ""
    after: Annotated[int | None, Field(ge=0, lt=2**63)] = None
    before: Annotated[int | None, Field(ge=0, lt=2**63)] = None
    phone: Annotated[str, Field(max_length=64)] = ""

    @property
    def place(self) -> Place:
        """Beside whom."""
        return Place(after_id=self.after or 0) if self.before is None else Place(before_id=self.before)


class Refusal(NamedTuple):
    """A form that could not be taken: what was typed stays. notice: what is said above the step."""

    typed: FormData | None = None
    problems: Sequence[Problem] = ()
    notice: str = ""


async def show_step(
    request: Request,
    visitor: Visitor,
    connection: AsyncConnection,
    draft: Row[Any],
    step: str | None,
    *,
    wanted: Wanted | None = None,
    refusal: Refusal | None = None,
) -> Response:
    """The page of a draft. step: None for the first that is not done."""
    wanted = wanted or Wanted()
    sheet = await load_sheet(connection, visitor, draft, wanted.channel)
    is_anybody_refused = await compositions.is_anybody_refused(connection, draft)
    done = view.done_steps(sheet, is_anybody_refused=is_anybody_refused)
    step = step or next((one for one in STEPS if one not in done), "review")
    columns = await compositions.columns(connection, draft)
    if step == "values":
        sheet = sheet.guessed(columns)
    shown = await view.beside(connection, sheet, wanted.place, phone=wanted.phone, with_lacks=step == "values")
    context = _context(sheet, shown, wanted, step, refusal or Refusal())
    context |= {
        "done": done,
        "is_anybody_refused": is_anybody_refused,
        "columns": columns,
        "counts": view.counts_of(draft),
        "left_out": view.left_out(draft),
        "who": await view.who(connection, draft) if draft.audience is not None else "",
        "has_list": compositions.has_list(draft),
    }
    if step == "when":
        hours = await businesses.hours_of(connection, visitor.business_id) if sheet.is_marketing else None
        context["quiet_hours"] = str(hours.quiet) if hours is not None else ""
    if step == "people":
        context["words"] = await vocabulary.of_business(connection, visitor.business_id)
        context["countries"] = _countries(request, visitor)
    return render(request, "compose/page.html", visitor, status=_status(refusal), **context)


async def show_new(
    request: Request,
    visitor: Visitor,
    connection: AsyncConnection,
    copied: Row[Any] | None,
    *,
    wanted: Wanted | None = None,
    refusal: Refusal | None = None,
) -> Response:
    """The page before anything is saved. copied: whose message, name and settings it begins with."""
    wanted = wanted or Wanted()
    channel_id = wanted.channel or (None if copied is None else copied.channel_id)
    message = None if copied is None else copied.message
    sheet = await view.sheet_of(connection, visitor.business_id, None, channel_id=channel_id, message=message)
    if sheet is None:
        return render(request, "compose/no_number.html", visitor)
    typed = None if refusal is None else refusal.typed
    context = _context(sheet, await view.beside(connection, sheet), wanted, "message", refusal or Refusal())
    context |= {
        "done": set(),
        "columns": [],
        "token": secrets.token_urlsafe(16) if typed is None else forms.text_in(typed, "token"),
        "copied": copied,
    }
    return render(request, "compose/page.html", visitor, status=_status(refusal), **context)


async def load_sheet(
    connection: AsyncConnection, visitor: Visitor, draft: Row[Any] | None, channel_id: int | None = None
) -> Sheet:
    """Raises `NotFound` where there is no number to send from."""
    sheet = await view.sheet_of(connection, visitor.business_id, draft, channel_id=channel_id)
    if sheet is None:
        raise NotFound("There is no number to send from. Add one first.")
    return sheet


def beside_of(sheet: Sheet, shown: Beside, phone: str = "") -> dict[str, Any]:
    """What the phone beside the steps is drawn from."""
    return {"sheet": sheet, "draft": sheet.draft, "beside": shown, "phone": phone}


def to_step(broadcast_id: int, step: str) -> Response:
    """Show a step of a draft."""
    return RedirectResponse(f"/compose/{broadcast_id}?step={step}", status_code=HTTPStatus.SEE_OTHER)


def _context(sheet: Sheet, shown: Beside, wanted: Wanted, step: str, refusal: Refusal) -> dict[str, Any]:
    return {
        **beside_of(sheet, shown, wanted.phone),
        "step": step,
        "steps": STEPS,
        "q": wanted.q,
        "templates": _matching(sheet, wanted.q),
        "templates_shown": _TEMPLATES_SHOWN,
        "typed": refusal.typed,
        "wrong": view.by_pointer(refusal.problems),
        "problems": refusal.problems[: view.MOST_PROBLEMS],
        "problems_count": len(refusal.problems),
        "notice": refusal.notice,
        "rows_shown": _ROWS_SHOWN,
        "token": "",
        "copied": None,
    }


def _status(refusal: Refusal | None) -> HTTPStatus:
    return HTTPStatus.OK if refusal is None else HTTPStatus.UNPROCESSABLE_ENTITY


def _matching(sheet: Sheet, q: str) -> list[dict[str, Any]]:
    """The templates that have every word of a search, those that can be sent first."""
    words = q.casefold().replace("_", " ").split()
    found = [one for one in sheet.templates if all(word in _searched(one) for word in words)]
    return sorted(found, key=lambda one: bool(one["status"] != APPROVED))


def _searched(template: dict[str, Any]) -> str:
    said = (template["name"], template["language"], template["category"], template["status"])
    return " ".join(said).casefold().replace("_", " ")


def _countries(request: Request, visitor: Visitor) -> list[tuple[str, str]]:
    """Codes and names, in the order of the reader's language."""
    names = speech_of(request, visitor).locale.territories
    return sorted(((code, names.get(code, code)) for code in countries()), key=lambda country: country[1])
