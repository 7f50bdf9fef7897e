"""What a person has of their own: name and language, password, second step, and where they are signed in."""

from http import HTTPStatus
from typing import Annotated, Any, Final

import segno
from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response
from markupsafe import Markup

from server.dashboard.forms import problems_of
from server.dashboard.languages import LANGUAGES
from server.dashboard.rendering import LANGUAGE_COOKIE, render
from server.dashboard.sign_in_limit import count_guess
from server.dashboard.visitor import PageResources, PageTransaction, SignedIn
from server.domain.audit import AuditAct
from server.domain.errors import BadInput, LimitReached, NotFound
from server.domain.sentences import said
from server.parameters import Id
from server.services import audit, passwords, second_steps, sessions, team
from server.services.sessions import Visitor
from server.web_resources import WebResources

router = APIRouter(prefix="/settings/account")
_PAGE: Final = "/settings/account"
_SAVED: Final = frozenset(("profile", "password", "second_step_off", "sessions"))
_Secret = Annotated[str, Form(max_length=1_000)]


@router.get("")
async def show_account(request: Request, visitor: SignedIn, resources: PageResources, saved: str = "") -> Response:
    """Everything that is one's own. saved: what was just changed."""
    return await _page(request, visitor, resources, saved=saved if saved in _SAVED else "")


@router.post("/profile")
async def change_profile(
    request: Request,
    visitor: SignedIn,
    resources: PageResources,
    name: Annotated[str, Form(max_length=1_000)] = "",
    language: Annotated[str, Form(max_length=20)] = "",
) -> Response:
    """Another name, and another language, in this browser and every other."""
    chosen = language if language in LANGUAGES else None
    try:
        async with resources.engine.begin() as connection:
            await team.change_profile(connection, visitor.user_id, name, chosen)
    except BadInput as error:
        return await _page(request, visitor, resources, problems=problems_of(error))
    response = _back("profile")
    response.delete_cookie(LANGUAGE_COOKIE)  # what was chosen in this browser gives way to what was chosen now
    return response


@router.post("/password")
async def change_password(
    request: Request,
    visitor: SignedIn,
    resources: PageResources,
    old: _Secret = "",
    new: _Secret = "",
) -> Response:
    """Another password, for whoever knows the old one. Every other session of theirs ends."""
    try:
        await _prove(visitor, resources, old, "/old")
        passwords.check_new(new, pointer="/new")
        async with resources.engine.begin() as connection:
            await passwords.change(connection, visitor.user_id, new)
            await sessions.end_all(connection, visitor.user_id, but_session_id=visitor.session_id)
            await audit.add(connection, visitor.business_id, resources.who, AuditAct.PASSWORD_CHANGED)
    except BadInput as error:
        return await _page(request, visitor, resources, problems=problems_of(error))
    return _back("password")


# --- the second step


@router.post("/second-step/begin")
async def begin_second_step(request: Request, visitor: SignedIn, resources: PageResources) -> Response:
    """Show the secret, as a QR code and in letters; nothing is asked for yet."""
    return await _setup(request, visitor, resources, {})


@router.post("/second-step/confirm")
async def confirm_second_step(
    request: Request,
    visitor: SignedIn,
    resources: PageResources,
    code: Annotated[str, Form(max_length=100)] = "",
) -> Response:
    """Switch it on with a first code. The recovery codes are on this page and nowhere else."""
    try:
        await _count(visitor, resources, "/code")
        async with resources.engine.begin() as connection:
            codes = await second_steps.confirm(connection, resources.vault, visitor.user_id, visitor.business_id, code)
            await audit.add(connection, visitor.business_id, resources.who, AuditAct.SECOND_STEP_ON)
    except BadInput as error:
        return await _setup(request, visitor, resources, problems_of(error))
    return render(request, "settings/recovery_codes.html", visitor, codes=codes)


@router.post("/second-step/off")
async def switch_second_step_off(
    request: Request, visitor: SignedIn, resources: PageResources, password: _Secret = ""
) -> Response:
    """Ask for no code any more, for whoever knows the password."""
    try:
        await _prove(visitor, resources, password, "/password")
    except BadInput as error:
        return await _page(request, visitor, resources, problems=problems_of(error))
    async with resources.engine.begin() as connection:
        await second_steps.switch_off(connection, visitor.user_id)
        await audit.add(connection, visitor.business_id, resources.who, AuditAct.SECOND_STEP_OFF)
    return _back("second_step_off")


# --- sessions


@router.post("/sessions/{session_id}/end")
async def end_session(
    session_id: Id, visitor: SignedIn, connection: PageTransaction, resources: PageResources
) -> Response:
    """Sign out in another browser."""
    if not await sessions.end_one(connection, visitor.user_id, session_id):
        raise NotFound(said("There is no session %(number)s.", number=session_id))
    await audit.add(connection, visitor.business_id, resources.who, AuditAct.SESSIONS_ENDED)
    return _back("sessions")


@router.post("/sessions/end")
async def end_other_sessions(visitor: SignedIn, connection: PageTransaction, resources: PageResources) -> Response:
    """Sign out everywhere but here."""
    await sessions.end_all(connection, visitor.user_id, but_session_id=visitor.session_id)
    await audit.add(connection, visitor.business_id, resources.who, AuditAct.SESSIONS_ENDED)
    return _back("sessions")


async def _prove(visitor: Visitor, resources: WebResources, password: str, pointer: str) -> None:
    """Raises `BadInput` where it is not their password, or was tried too often."""
    await _count(visitor, resources, pointer)
    if not await passwords.is_right(resources.engine, visitor.user_id, password):
        raise BadInput("This is not your password.", pointer=pointer)


async def _count(visitor: Visitor, resources: WebResources, pointer: str) -> None:
    try:
        await count_guess(resources.call_limit, visitor.user_id, resources.who.address or "unknown")
    except LimitReached as error:
        raise BadInput(str(error), pointer=pointer) from error


async def _page(
    request: Request,
    visitor: Visitor,
    resources: WebResources,
    *,
    problems: dict[str, str] | None = None,
    saved: str = "",
) -> Response:
    async with resources.engine.begin() as connection:
        person = await team.find(connection, visitor.business_id, visitor.user_id)
        found: dict[str, Any] = {
            "person": person,
            "sessions": await sessions.listed(connection, visitor.user_id),
            "codes_left": await second_steps.count_recovery_codes(connection, visitor.user_id),
        }
    status = HTTPStatus.UNPROCESSABLE_ENTITY if problems else HTTPStatus.OK
    return render(
        request,
        "settings/account.html",
        visitor,
        status=status,
        problems=problems or {},
        saved=saved,
        shortest=passwords.SHORTEST,
        **found,
    )


async def _setup(request: Request, visitor: Visitor, resources: WebResources, problems: dict[str, str]) -> Response:
    try:
        async with resources.engine.begin() as connection:
            secret = await second_steps.begin_setup(connection, resources.vault, visitor.user_id)
    except BadInput:
        return RedirectResponse(_PAGE, status_code=HTTPStatus.SEE_OTHER)  # it is on already
    address = second_steps.address_of(secret, visitor.email, visitor.business_name)
    drawn = segno.make(address, error="m").svg_inline(
        omitsize=True, border=4, dark="#000", light="#fff", svgclass="qr", lineclass=None
    )
    status = HTTPStatus.UNPROCESSABLE_ENTITY if problems else HTTPStatus.OK
    return render(
        request,
        "settings/second_step.html",
        visitor,
        status=status,
        qr=Markup(drawn),  # noqa: S704 - drawn by segno: paths and numbers
        secret=" ".join(secret[at : at + 4] for at in range(0, len(secret), 4)),
        problems=problems,
    )


def _back(saved: str) -> Response:
    return RedirectResponse(f"{_PAGE}?saved={saved}", status_code=HTTPStatus.SEE_OTHER)
