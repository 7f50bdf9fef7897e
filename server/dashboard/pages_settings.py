"""The settings of a business: its name, what happens to unknowns, a second person, its hours, its words and replies."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated, Any, Final, Self

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response
from pydantic import BaseModel, Field

from server.dashboard.forms import whole_number
from server.dashboard.looks import N_
from server.dashboard.rendering import render
from server.dashboard.visitor import PageResources, SignedIn, allowed_to
from server.domain.errors import BadInput
from server.domain.evidence import UnknownPolicy
from server.domain.quiet_hours import MONDAY_FIRST, zones_to_choose
from server.domain.roles import Permission
from server.services import businesses, team
from server.services.sessions import Visitor
from server.web_resources import WebResources

router = APIRouter()
_Text = Annotated[str, Field(max_length=10_000)]
# Where a setting has several fields: which of them is meant, by the pointer of what is wrong.
_FIELDS: Final = {
    "quiet_hours/from": "quiet_from",
    "quiet_hours/to": "quiet_to",
    "quiet_hours/days_off": "days_off",
    "frequency_cap/messages": "cap_messages",
    "frequency_cap/days": "cap_days",
}
# What a person is told in place of what a program is.
_WORDS: Final = {
    "quiet_from": N_("A time of day, such as 21:00. Without hours and days, nobody is left alone."),
    "quiet_to": N_("A time of day, such as 08:00, other than the one at which they begin."),
    "cap_messages": N_("A whole number from 1 to 1,000. Both fields empty: no cap."),
    "cap_days": N_("A whole number from 1 to 365. Both fields empty: no cap."),
    "approval_over": N_("This is not a number of people. Leave it empty for never."),
}


class SettingsForm(BaseModel):
    """The form as it was typed: words one on each line; hours, numbers and replies, or nothing."""

    name: _Text = ""
    unknown_policy: UnknownPolicy = UnknownPolicy.EVIDENCE
    approval_over: _Text = ""
    quiet_from: _Text = ""
    quiet_to: _Text = ""
    days_off: Annotated[list[_Text], Field(max_length=20)] = []
    time_zone: _Text = ""
    cap_messages: _Text = ""
    cap_days: _Text = ""
    stop_words: _Text = ""
    start_words: _Text = ""
    opt_out_reply: _Text = ""
    opt_in_reply: _Text = ""

    @classmethod
    def of(cls, chosen: Mapping[str, Any]) -> Self:
        """The form as it is before somebody types. chosen: as `businesses.show` has it."""
        hours, cap, over = (chosen[name] for name in ("quiet_hours", "frequency_cap", "approval_over"))
        hours, cap = hours or {}, cap or {}
        return cls(
            name=chosen["name"],
            unknown_policy=chosen["unknown_policy"],
            approval_over="" if over is None else str(over),
            quiet_from=hours.get("from", ""),
            quiet_to=hours.get("to", ""),
            days_off=hours.get("days_off", []),
            time_zone=chosen["time_zone"],
            cap_messages=str(cap.get("messages", "")),
            cap_days=str(cap.get("days", "")),
            stop_words="\n".join(chosen["stop_words"]),
            start_words="\n".join(chosen["start_words"]),
            opt_out_reply=chosen["opt_out_reply"] or "",
            opt_in_reply=chosen["opt_in_reply"] or "",
        )

    def changes(self) -> dict[str, Any]:
        """What it asks for, for `businesses.change`, which says what is wrong with it."""
        hours = {"from": self.quiet_from.strip(), "to": self.quiet_to.strip(), "days_off": self.days_off}
        cap = {"messages": whole_number(self.cap_messages), "days": whole_number(self.cap_days)}
        over = whole_number(self.approval_over)
        return {
            "name": self.name,
            "unknown_policy": self.unknown_policy,
            "approval_over": None if over == "" else over,
            "quiet_hours": hours if any(hours.values()) else None,
            "time_zone": self.time_zone.strip(),
            "frequency_cap": None if cap == {"messages": "", "days": ""} else cap,
            "stop_words": _lines(self.stop_words),
            "start_words": _lines(self.start_words),
            # A form ends its lines as the network does, a message as everybody else.
            "opt_out_reply": self.opt_out_reply.replace("\r\n", "\n"),
            "opt_in_reply": self.opt_in_reply.replace("\r\n", "\n"),
        }


@router.get("/settings")
async def show_settings(request: Request, visitor: SignedIn, resources: PageResources, saved: bool = False) -> Response:
    """What the business has chosen; whoever may not change it has settings of their own."""
    if not visitor.may(Permission.MANAGE):
        return RedirectResponse("/settings/account", status_code=HTTPStatus.SEE_OTHER)
    async with resources.engine.begin() as connection:
        typed = SettingsForm.of(await businesses.show(connection, visitor.business_id))
    return await _form(request, visitor, resources, typed, {}, saved=saved)


@router.post("/settings", dependencies=[allowed_to(Permission.MANAGE)])
async def change_settings(
    request: Request, visitor: SignedIn, resources: PageResources, typed: Annotated[SettingsForm, Form()]
) -> Response:
    """Choose anew. Broadcasts that run obey at once."""
    try:
        await businesses.change(resources.engine, visitor.business_id, typed.changes(), resources.who)
    except BadInput as error:
        return await _form(request, visitor, resources, typed, _problems(error))
    return RedirectResponse("/settings?saved=true", status_code=HTTPStatus.SEE_OTHER)


def _lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.strip()]


def _problems(error: BadInput) -> dict[str, str]:
    """What to say at each field; the first thing that is wrong with it."""
    found: dict[str, str] = {}
    for problem in error.problems:
        field = _field_of(problem.pointer.strip("/"))
        found.setdefault(field, _WORDS.get(field, problem.detail))
    return found


def _field_of(path: str) -> str:
    return next((field for start, field in _FIELDS.items() if path.startswith(start)), path.partition("/")[0])


async def _form(
    request: Request,
    visitor: Visitor,
    resources: WebResources,
    typed: SettingsForm,
    problems: dict[str, str],
    *,
    saved: bool = False,
) -> Response:
    async with resources.engine.begin() as connection:
        approvers = await team.count_approvers(connection, visitor.business_id)
    return render(
        request,
        "settings/business.html",
        visitor,
        status=HTTPStatus.UNPROCESSABLE_ENTITY if problems else HTTPStatus.OK,
        typed=typed,
        problems=problems,
        approvers=approvers,
        saved=saved,
        weekdays=MONDAY_FIRST,
        zones=zones_to_choose(),
        longest_reply=businesses.LONGEST_REPLY,
    )
