"""Signing in, in one step or two, and out.

After the first step of two nobody is signed in: the browser holds the name of a row that only the page for the code
takes. A session begins with the last step, and always anew.
"""

from http import HTTPStatus
from typing import Annotated, Final
from urllib.parse import urlencode, urlsplit

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.background import BackgroundTask

from server.dashboard.languages import LANGUAGES
from server.dashboard.looks import N_
from server.dashboard.rendering import LANGUAGE_COOKIE, render
from server.dashboard.sign_in_limit import count_guess, count_try
from server.dashboard.visitor import SESSION_COOKIE, STEP_COOKIE, MaybeVisitor, SignedIn, keep_session, keep_step
from server.domain.audit import AuditAct, Who
from server.domain.errors import LimitReached
from server.services import audit, passwords, second_steps, sessions
from server.services.passwords import SignedIn as Known
from server.web_resources import ProcessResources, WebResources, address_of

router = APIRouter()

_WRONG: Final = N_("This address and password do not belong together.")
_WRONG_CODE: Final = N_("This code is wrong, or it was used already. Wait for the next one.")
_SLOW: Final = N_("That took too long. Sign in again.")


def local(address: str) -> str:
    """Where to go on: a page of ours, whatever the address says."""
    parts = urlsplit(address)
    is_elsewhere = bool(parts.scheme or parts.netloc) or address.startswith(("//", "/\\"))
    return address if address.startswith("/") and not is_elsewhere else "/"


@router.get("/sign-in")
async def sign_in_page(request: Request, visitor: MaybeVisitor, next: str = "/") -> Response:  # noqa: A002
    """The form; somebody who is signed in goes on."""
    if visitor is not None:
        return RedirectResponse(local(next), status_code=HTTPStatus.SEE_OTHER)
    return render(request, "sign_in.html", next=local(next), email="", problem=None)


@router.post("/sign-in")
async def sign_in(
    request: Request,
    resources: ProcessResources,
    email: Annotated[str, Form(max_length=320)] = "",
    password: Annotated[str, Form(max_length=1_000)] = "",
    next: Annotated[str, Form()] = "/",  # noqa: A002 - the name of the field
) -> Response:
    """Check the password, and begin a session, or ask for the code."""

    def again(status: HTTPStatus, problem: str) -> Response:
        return render(request, "sign_in.html", status=status, next=local(next), email=email, problem=problem)

    place = address_of(request)
    try:
        await count_try(resources.call_limit, email, place)
    except LimitReached as error:
        return again(HTTPStatus.TOO_MANY_REQUESTS, str(error))
    tried = await passwords.try_sign_in(resources.engine, email.strip(), password)
    if tried is None or not tried.is_right:
        refused = again(HTTPStatus.UNPROCESSABLE_ENTITY, _WRONG)
        if tried is not None:
            # After the answer: how long that takes must not tell whether the address is somebody's.
            refused.background = BackgroundTask(_note_failure, resources, tried.person, place)
        return refused
    known = tried.person
    async with resources.engine.begin() as connection:
        if await second_steps.is_on(connection, known.user_id):
            step = await second_steps.begin(connection, known.user_id, known.business_id)
            response: Response = RedirectResponse(_code_page(next), status_code=HTTPStatus.SEE_OTHER)
            keep_step(request, response, step)
            return response
        return await _begin_session(request, connection, known, next)


@router.get("/sign-in/code")
async def code_page(request: Request, resources: ProcessResources, next: str = "/") -> Response:  # noqa: A002
    """The form for the code of somebody whose password was right."""
    if await _owed(request, resources) is None:
        return RedirectResponse("/sign-in", status_code=HTTPStatus.SEE_OTHER)
    return render(request, "sign_in_code.html", next=local(next), problem=None)


@router.post("/sign-in/code")
async def give_code(
    request: Request,
    resources: ProcessResources,
    code: Annotated[str, Form(max_length=100)] = "",
    next: Annotated[str, Form()] = "/",  # noqa: A002 - the name of the field
) -> Response:
    """Check the code, and begin a session."""
    owed = await _owed(request, resources)
    if owed is None:
        status = HTTPStatus.UNPROCESSABLE_ENTITY
        return render(request, "sign_in.html", status=status, next=local(next), email="", problem=_SLOW)

    def again(status: HTTPStatus, problem: str) -> Response:
        return render(request, "sign_in_code.html", status=status, next=local(next), problem=problem)

    place = address_of(request)
    try:
        await count_guess(resources.call_limit, owed.user_id, place)
    except LimitReached as error:
        return again(HTTPStatus.TOO_MANY_REQUESTS, str(error))
    known = Known(*owed)
    async with resources.engine.begin() as connection:
        is_right = await second_steps.take_code(connection, resources.vault, owed.user_id, code)
        if not is_right and await second_steps.take_recovery_code(connection, owed.user_id, code):
            is_right = True
            who = Who(owed.name, user_id=owed.user_id, address=place)
            await audit.add(connection, owed.business_id, who, AuditAct.RECOVERY_CODE_USED)
        if is_right and await second_steps.end(connection, request.cookies[STEP_COOKIE]):
            return await _begin_session(request, connection, known, next)
    await _note_failure(resources, known, place)
    return again(HTTPStatus.UNPROCESSABLE_ENTITY, _WRONG_CODE)


@router.post("/sign-out")
async def sign_out(visitor: SignedIn, resources: ProcessResources) -> Response:
    """End this session."""
    async with resources.engine.begin() as connection:
        await sessions.end(connection, visitor.session_id)
    response = RedirectResponse("/sign-in", status_code=HTTPStatus.SEE_OTHER)
    response.delete_cookie(SESSION_COOKIE)
    return response


@router.post("/language")
async def choose_language(code: Annotated[str, Form()], back: Annotated[str, Form()] = "/") -> Response:
    """Show the pages in another language, in this browser."""
    response = RedirectResponse(local(back), status_code=HTTPStatus.SEE_OTHER)
    if code in LANGUAGES:
        response.set_cookie(LANGUAGE_COOKIE, code, max_age=365 * 86_400, samesite="lax")
    return response


async def begin_session(request: Request, resources: WebResources, known: Known, next_page: str) -> Response:
    """Sign somebody in who has just proven who they are."""
    async with resources.engine.begin() as connection:
        return await _begin_session(request, connection, known, next_page)


async def _begin_session(request: Request, connection: AsyncConnection, known: Known, next_page: str) -> Response:
    place, browser = address_of(request), request.headers.get("User-Agent", "")
    token = await sessions.begin(connection, known.user_id, known.business_id, address=place, browser=browser)
    who = Who(known.name, user_id=known.user_id, address=place)
    await audit.add(connection, known.business_id, who, AuditAct.SIGN_IN)
    response = RedirectResponse(local(next_page), status_code=HTTPStatus.SEE_OTHER)
    keep_session(request, response, token)
    response.delete_cookie(STEP_COOKIE, path="/sign-in")
    return response


async def _owed(request: Request, resources: WebResources) -> second_steps.Owed | None:
    token = request.cookies.get(STEP_COOKIE)
    if not token:
        return None
    async with resources.engine.connect() as connection:
        return await second_steps.owed(connection, token)


async def _note_failure(resources: WebResources, person: Known, place: str) -> None:
    who = Who(person.name, user_id=person.user_id, address=place)
    async with resources.engine.begin() as connection:
        await audit.add(connection, person.business_id, who, AuditAct.SIGN_IN_FAILED)


def _code_page(next_page: str) -> str:
    wanted = local(next_page)
    return "/sign-in/code" if wanted == "/" else f"/sign-in/code?{urlencode({'next': wanted})}"
