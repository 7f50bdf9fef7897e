"""The settings of a business: its name, what happens to unknowns, its own words, a second person."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response
from pydantic import BaseModel, Field
from sqlalchemy.ext.asyncio import AsyncConnection

from server.dashboard.forms import problems_of
from server.dashboard.rendering import render
from server.dashboard.visitor import PageResources, PageTransaction, SignedIn, allowed_to
from server.domain.audit import AuditAct
from server.domain.errors import BadInput
from server.domain.evidence import UnknownPolicy
from server.domain.roles import Permission
from server.services import audit, business_settings, team
from server.services.business_settings import Choices
from server.services.sessions import Visitor

router = APIRouter()
_Text = Annotated[str, Field(max_length=10_000)]


class SettingsForm(BaseModel):
    """The form as it was typed: words one on each line, a number of people or nothing."""

    name: _Text = ""
    unknown_policy: UnknownPolicy = UnknownPolicy.EVIDENCE
    stop_words: _Text = ""
    start_words: _Text = ""
    approval_over: _Text = ""

    def choices(self) -> Choices:
        """What it asks for. Raises `BadInput`."""
        over = _whole_number(self.approval_over)
        words = (self.stop_words.splitlines(), self.start_words.splitlines())
        return Choices(self.name, self.unknown_policy, *words, over)


@router.get("/settings")
async def show_settings(
    request: Request, visitor: SignedIn, connection: PageTransaction, saved: bool = False
) -> Response:
    """What the business has chosen; whoever may not change it has settings of their own."""
    if not visitor.may(Permission.MANAGE):
        return RedirectResponse("/settings/account", status_code=HTTPStatus.SEE_OTHER)
    chosen = await business_settings.read(connection, visitor.business_id)
    typed = SettingsForm(
        name=chosen.name,
        unknown_policy=chosen.unknown_policy,
        stop_words="\n".join(chosen.stop_words),
        start_words="\n".join(chosen.start_words),
        approval_over="" if chosen.approval_over is None else str(chosen.approval_over),
    )
    return await _form(request, visitor, connection, typed, {}, saved=saved)


@router.post("/settings", dependencies=[allowed_to(Permission.MANAGE)])
async def change_settings(
    request: Request,
    visitor: SignedIn,
    connection: PageTransaction,
    resources: PageResources,
    typed: Annotated[SettingsForm, Form()],
) -> Response:
    """Choose anew."""
    try:
        changed = await business_settings.change(connection, visitor.business_id, typed.choices())
    except BadInput as error:
        return await _form(request, visitor, connection, typed, dict(problems_of(error)))
    if changed:
        act = AuditAct.SETTINGS_CHANGED
        await audit.add(connection, visitor.business_id, resources.who, act, detail=", ".join(changed))
    return RedirectResponse("/settings?saved=true", status_code=HTTPStatus.SEE_OTHER)


def _whole_number(text: str) -> int | None:
    digits = text.strip().replace(",", "")
    if not digits:
        return None
    if not (digits.isascii() and digits.isdecimal()):
        raise BadInput("This is not a number of people. Leave it empty for never.", pointer="/approval_over")
    return int(digits)


async def _form(
    request: Request,
    visitor: Visitor,
    connection: AsyncConnection,
    typed: SettingsForm,
    problems: dict[str, str],
    *,
    saved: bool = False,
) -> Response:
    approvers = await team.count_approvers(connection, visitor.business_id)
    status = HTTPStatus.UNPROCESSABLE_ENTITY if problems else HTTPStatus.OK
    return render(
        request,
        "settings/business.html",
        visitor,
        status=status,
        typed=typed,
        problems=problems,
        approvers=approvers,
        saved=saved,
    )
