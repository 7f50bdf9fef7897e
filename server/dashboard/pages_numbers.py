"""The numbers that a business sends from: how each is, at once and as WhatsApp says it now, and its set-up."""

import secrets
from http import HTTPStatus
from typing import Annotated, Any, Final

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response
from pydantic import BaseModel, StringConstraints
from sqlalchemy.ext.asyncio import AsyncConnection

from server.dashboard import number_words
from server.dashboard.forms import WHOLE, problems_of
from server.dashboard.looks import N_
from server.dashboard.rendering import render
from server.dashboard.visitor import PageResources, PageTransaction, SignedIn, allowed_to
from server.domain.audit import AuditAct
from server.domain.errors import BadInput, NotNow, Problem
from server.domain.number_setup import State, Subject
from server.domain.roles import Permission
from server.parameters import Id
from server.secrets import Vault
from server.services import audit, channels, messaging_limits, numbers
from server.services.channels import NewChannel
from server.services.sessions import Visitor
from server.web_resources import WebResources

router = APIRouter(prefix="/numbers")
_MANAGES: Final = [allowed_to(Permission.MANAGE)]
_LONGEST_SECRET: Final = 4_096
_LARGEST_RATE: Final = 1_000_000
_LONGEST_ID: Final = 32
_NO_ID: Final = N_("It should be the digits that Meta shows.")
_Text = Annotated[str, StringConstraints(strip_whitespace=True, max_length=10_000)]


class NumberForm(BaseModel):
    """The form as it was typed."""

    phone_number_id: _Text = ""
    waba_id: _Text = ""
    token: _Text = ""
    app_secret: _Text = ""
    rate: _Text = ""

    def check(self, *, may_be_empty: bool = False) -> None:
        """Raises `BadInput` with everything that is wrong. may_be_empty: of token and secret, which then stay."""
        problems = []
        for name in ("phone_number_id", "waba_id"):
            value = getattr(self, name)
            if not (value.isascii() and value.isdecimal() and len(value) <= _LONGEST_ID):
                problems.append(Problem(f"/{name}", _NO_ID))
        for name in ("token", "app_secret"):
            value = getattr(self, name)
            if not (value or may_be_empty) or len(value) > _LONGEST_SECRET or "\x00" in value:
                problems.append(Problem(f"/{name}", "Paste the whole of it here, as Meta shows it."))
        if problems:
            raise BadInput(problems[0].detail, problems=problems)

    def rate_per_second(self) -> int | None:
        """Messages a second; None for what WhatsApp allows. Raises `BadInput`."""
        digits = self.rate.replace(",", "")
        if not digits:
            return None
        if not (digits.isascii() and digits.isdecimal() and int(digits) <= _LARGEST_RATE):
            detail = N_("This is not a number of messages a second. Leave it empty for what WhatsApp allows.")
            raise BadInput(detail, pointer="/rate")
        return int(digits)


@router.get("")
async def list_numbers(request: Request, visitor: SignedIn, connection: PageTransaction) -> Response:
    """Every number as it is known here; what WhatsApp says of each comes after the page."""
    return render(
        request,
        "numbers/list.html",
        visitor,
        numbers=await numbers.listed(connection, visitor.business_id),
        room=await messaging_limits.room(connection, visitor.business_id),
        limit=await messaging_limits.known_limit(connection, visitor.business_id),
        words=number_words,
    )


@router.get("/new", dependencies=_MANAGES)
async def new_number(request: Request, visitor: SignedIn) -> Response:
    """What a number is set up with, and where each of it is found."""
    return _new(request, visitor, NumberForm(), {})


@router.post("/new", dependencies=_MANAGES)
async def add_number(
    request: Request,
    visitor: SignedIn,
    connection: PageTransaction,
    resources: PageResources,
    typed: Annotated[NumberForm, Form()],
) -> Response:
    """Add it; its own page then checks it. The verify token is ours to choose, and made here."""
    try:
        typed.check()
        new = NewChannel(
            phone_number_id=typed.phone_number_id,
            waba_id=typed.waba_id,
            token=typed.token,
            app_secret=typed.app_secret,
            verify_token=secrets.token_urlsafe(24),
        )
        channel_id = await channels.add(connection, resources.vault, visitor.business_id, new)
    except BadInput as error:
        return _new(request, visitor, typed, problems_of(error))
    about = {"subject": typed.phone_number_id}
    await audit.add(connection, visitor.business_id, resources.who, AuditAct.NUMBER_ADDED, **about)
    return _to(channel_id)


@router.get("/{channel_id}")
async def show_number(
    request: Request, channel_id: Id, visitor: SignedIn, resources: PageResources, saved: bool = False
) -> Response:
    """How it is, the five checks, and the form that changes it; WhatsApp is asked after the page."""
    return await _page(request, visitor, resources, channel_id, saved=saved)


@router.get("/{channel_id}/live")
async def show_live(request: Request, channel_id: Id, visitor: SignedIn, resources: PageResources) -> Response:
    """What WhatsApp says of it now, for the list."""
    live = await numbers.look(resources.engine, resources.settings, resources.vault, visitor.business_id, channel_id)
    async with resources.engine.begin() as connection:
        known = await numbers.show(connection, visitor.business_id, channel_id)
    worst = [check for check in live.checks if check.state in (State.WRONG, State.UNSURE)]
    return render(request, "numbers/_live.html", visitor, number_row=known, live=live, worst=worst, words=number_words)


@router.get("/{channel_id}/checks")
async def show_checks(
    request: Request, channel_id: Id, visitor: SignedIn, resources: PageResources, again: bool = False
) -> Response:
    """The five checks, as they stand now. again: somebody has mended something at Meta, and asks anew."""
    live = await numbers.look(
        resources.engine,
        resources.settings,
        resources.vault,
        visitor.business_id,
        channel_id,
        may_be_kept=not again,
    )
    async with resources.engine.begin() as connection:
        known = await numbers.show(connection, visitor.business_id, channel_id)
    return render(
        request,
        "numbers/_checks.html",
        visitor,
        checks=live.checks,
        number_row=known,
        **await _to_copy(request, visitor, resources, channel_id),
    )


@router.post("/{channel_id}", dependencies=_MANAGES)
async def change_number(
    request: Request,
    channel_id: Id,
    visitor: SignedIn,
    resources: PageResources,
    typed: Annotated[NumberForm, Form()],
) -> Response:
    """Mend its ids, renew its token or app secret, choose its rate. What is left empty stays."""
    try:
        async with resources.engine.begin() as connection:
            known = await numbers.show(connection, visitor.business_id, channel_id)
            changed = await _change(connection, resources.vault, known, typed)
            if changed:
                about = {"subject": typed.phone_number_id, "detail": ", ".join(changed)}
                await audit.add(connection, visitor.business_id, resources.who, AuditAct.NUMBER_CHANGED, **about)
    except BadInput as error:
        return await _page(request, visitor, resources, channel_id, typed=typed, problems=problems_of(error))
    except NotNow as error:
        return await _page(request, visitor, resources, channel_id, typed=typed, problems={WHOLE: str(error)})
    return RedirectResponse(f"/numbers/{channel_id}?saved=true", status_code=HTTPStatus.SEE_OTHER)


async def _change(connection: AsyncConnection, vault: Vault, known: dict[str, Any], typed: NumberForm) -> list[str]:
    """Returns the names of what is different now. Raises `BadInput` or `NotNow`."""
    typed.check(may_be_empty=True)
    given = {"token": typed.token, "app_secret": typed.app_secret}
    changes: dict[str, Any] = {name: value for name, value in given.items() if value}
    chosen = typed.rate_per_second()
    if chosen != (known["rate_per_second"] if known["rate_is_chosen"] else None):
        changes["rate_per_second"] = chosen
    await channels.change(connection, vault, known["id"], changes)
    ids = (typed.phone_number_id, typed.waba_id)
    if ids == (known["phone_number_id"], known["waba_id"]):
        return list(changes)
    await channels.correct_ids(connection, known["business_id"], known["id"], *ids)
    return [*changes, "ids"]


@router.post("/{channel_id}/remove", dependencies=_MANAGES)
async def remove_number(
    channel_id: Id, visitor: SignedIn, connection: PageTransaction, resources: PageResources
) -> Response:
    """Take it away and forget its token. What it sent stays, and what WhatsApp still reports of that is heard."""
    known = await numbers.show(connection, visitor.business_id, channel_id)
    await channels.remove(connection, resources.vault, channel_id)
    about = {"subject": known["phone_number_id"]}
    await audit.add(connection, visitor.business_id, resources.who, AuditAct.NUMBER_REMOVED, **about)
    return RedirectResponse("/numbers", status_code=HTTPStatus.SEE_OTHER)


def _new(request: Request, visitor: Visitor, typed: NumberForm, problems: dict[str, str]) -> Response:
    status = HTTPStatus.UNPROCESSABLE_ENTITY if problems else HTTPStatus.OK
    return render(
        request,
        "numbers/new.html",
        visitor,
        status=status,
        typed=typed,
        problems=problems,
        words=number_words,
        subjects=Subject,
    )


async def _to_copy(request: Request, visitor: Visitor, resources: WebResources, channel_id: int) -> dict[str, Any]:
    """What goes into Meta's pages, for whoever may set numbers up."""
    verify_token = ""
    if visitor.may(Permission.MANAGE):
        async with resources.engine.begin() as connection:
            await numbers.show(connection, visitor.business_id, channel_id)
            try:
                verify_token = await channels.verify_token(connection, resources.vault, channel_id)
            except BadInput:
                verify_token = ""
    address = str(request.base_url.replace(path="/webhooks/whatsapp"))
    return {"callback_url": address, "verify_token": verify_token, "words": number_words, "subjects": Subject}


async def _page(
    request: Request,
    visitor: Visitor,
    resources: WebResources,
    channel_id: int,
    *,
    typed: NumberForm | None = None,
    problems: dict[str, str] | None = None,
    saved: bool = False,
) -> Response:
    async with resources.engine.begin() as connection:
        known = await numbers.show(connection, visitor.business_id, channel_id)
        room = await messaging_limits.room(connection, visitor.business_id)
        limit = await messaging_limits.known_limit(connection, visitor.business_id)
    chosen = str(known["rate_per_second"]) if known["rate_is_chosen"] else ""
    as_it_is = NumberForm(phone_number_id=known["phone_number_id"], waba_id=known["waba_id"], rate=chosen)
    return render(
        request,
        "numbers/page.html",
        visitor,
        status=HTTPStatus.UNPROCESSABLE_ENTITY if problems else HTTPStatus.OK,
        number_row=known,
        room=room,
        limit=limit,
        typed=typed or as_it_is,
        problems=problems or {},
        saved=saved,
        checks=None,
        **await _to_copy(request, visitor, resources, channel_id),
    )


def _to(channel_id: int) -> Response:
    return RedirectResponse(f"/numbers/{channel_id}", status_code=HTTPStatus.SEE_OTHER)
