"""Signing in and out."""

from http import HTTPStatus
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response

from server.dashboard.languages import LANGUAGES
from server.dashboard.looks import N_
from server.dashboard.rendering import LANGUAGE_COOKIE, render
from server.dashboard.sign_in_limit import count_try
from server.dashboard.visitor import SESSION_COOKIE, MaybeVisitor, SignedIn, keep_session
from server.domain.errors import LimitReached
from server.services import passwords, sessions
from server.web_resources import ProcessResources

router = APIRouter()
_WRONG = N_("This address and password do not belong together.")


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
    """Check the password, and begin a session."""

    def again(status: HTTPStatus, problem: str) -> Response:
        return render(request, "sign_in.html", status=status, next=local(next), email=email, problem=problem)

    place = request.client.host if request.client else "unknown"
    try:
        await count_try(resources.call_limit, email, place)
    except LimitReached as error:
        return again(HTTPStatus.TOO_MANY_REQUESTS, str(error))
    known = await passwords.sign_in(resources.engine, email.strip(), password)
    if known is None:
        return again(HTTPStatus.UNPROCESSABLE_ENTITY, _WRONG)
    browser = request.headers.get("User-Agent", "")
    async with resources.engine.begin() as connection:
        token = await sessions.begin(connection, known.user_id, known.business_id, address=place, browser=browser)
    response = RedirectResponse(local(next), status_code=HTTPStatus.SEE_OTHER)
    keep_session(request, response, token)
    return response


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
