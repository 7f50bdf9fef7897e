"""Who comes to a page: the session in their cookie, what they may do, and the token that their forms carry.

A request that changes something needs three things: a session whose role allows it, an origin that is ours, and the
form's token, which only a page of ours can know. Cross-site pages have none of them.
"""

import hmac
import secrets
from collections.abc import AsyncIterator
from dataclasses import replace
from hashlib import sha256
from typing import Annotated, Any, Final

from fastapi import Depends, Request
from fastapi.responses import RedirectResponse, Response
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from server.domain.audit import Who
from server.domain.errors import Forbidden
from server.domain.roles import Permission
from server.services import second_steps, sessions
from server.services.sessions import LONGEST, Visitor
from server.tenancy import BusinessEngine
from server.web_resources import ProcessResources, WebResources, address_of

SESSION_COOKIE: Final = "clarion_session"
# Whoever is not signed in yet has a form to protect as well: the sign-in.
FORM_COOKIE: Final = "clarion_form"
# Of somebody whose password was right and who owes a code: no session.
STEP_COOKIE: Final = "clarion_step"
CSRF_FIELD: Final = "csrf"
CSRF_HEADER: Final = "X-CSRF-Token"
_SAFE: Final = frozenset(("GET", "HEAD"))
_FORMS: Final = ("application/x-www-form-urlencoded", "multipart/form-data")


class SignInNeeded(Exception):
    """Nobody is signed in, or no longer."""


async def _visitor(request: Request, resources: ProcessResources) -> Visitor | None:
    token = request.cookies.get(SESSION_COOKIE)
    if not token:
        return None
    async with resources.engine.begin() as connection:
        return await sessions.visitor(connection, token)


MaybeVisitor = Annotated[Visitor | None, Depends(_visitor)]


async def _signed_in(request: Request, visitor: MaybeVisitor) -> Visitor:
    """Raises `SignInNeeded`."""
    if visitor is None:
        raise SignInNeeded
    request.state.visitor = visitor
    return visitor


SignedIn = Annotated[Visitor, Depends(_signed_in)]


def allowed_to(needed: Permission) -> Any:
    """What a page lists among its dependencies. Raises `Forbidden` for a role that may not."""

    async def check(visitor: SignedIn) -> None:
        if not visitor.may(needed):
            raise Forbidden("Your role does not allow this. The owner of the business can change it.")

    return Depends(check)


async def _resources_of_visitor(request: Request, resources: ProcessResources, visitor: SignedIn) -> WebResources:
    assert isinstance(resources.engine, AsyncEngine)
    who = Who(visitor.name, user_id=visitor.user_id, address=address_of(request))
    return replace(resources, engine=BusinessEngine(resources.engine, visitor.business_id), who=who)


# As `web_resources.Resources`, for whoever comes with a cookie in place of a key.
PageResources = Annotated[WebResources, Depends(_resources_of_visitor)]


async def _transaction(resources: PageResources) -> AsyncIterator[AsyncConnection]:
    async with resources.engine.begin() as connection:
        yield connection


PageTransaction = Annotated[AsyncConnection, Depends(_transaction, scope="function")]


def csrf_token(request: Request) -> str:
    """What the forms of this visitor carry: known to whoever has the cookie, and to our pages."""
    secret = request.cookies.get(SESSION_COOKIE) or request.cookies.get(FORM_COOKIE) or _new_form_secret(request)
    return hmac.new(secret.encode(), b"csrf", sha256).hexdigest()


async def refuse_forgeries(request: Request) -> None:
    """Raises `Forbidden` for a change that another site's page asked for."""
    if request.method in _SAFE:
        return
    if request.headers.get("Sec-Fetch-Site", "same-origin") not in {"same-origin", "none"}:
        raise Forbidden("This came from another site.")
    sent = request.headers.get(CSRF_HEADER)
    if sent is None and request.headers.get("Content-Type", "").startswith(_FORMS):
        sent = str((await request.form()).get(CSRF_FIELD, ""))
    has_secret = SESSION_COOKIE in request.cookies or FORM_COOKIE in request.cookies
    if not has_secret or not hmac.compare_digest((sent or "").encode(), csrf_token(request).encode()):
        raise Forbidden("This page was open for too long, or in another sign-in. Load it again and try once more.")


def keep_form_secret(request: Request, response: Response) -> None:
    """Give a visitor who is not signed in what their form's token is made from."""
    secret = getattr(request.state, "form_secret", None)
    if secret is not None:
        response.set_cookie(FORM_COOKIE, secret, httponly=True, samesite="strict", secure=_is_secure(request))


def keep_session(request: Request, response: Response, token: str) -> None:
    """Sign a browser in."""
    response.set_cookie(
        SESSION_COOKIE,
        token,
        max_age=int(LONGEST.total_seconds()),
        httponly=True,
        samesite="lax",
        secure=_is_secure(request),
    )


def keep_step(request: Request, response: Response, token: str) -> None:
    """Remember in a browser that the password was right, for as long as the code may take."""
    response.set_cookie(
        STEP_COOKIE,
        token,
        max_age=int(second_steps.WAITS.total_seconds()),
        path="/sign-in",
        httponly=True,
        samesite="strict",
        secure=_is_secure(request),
    )


def to_sign_in(request: Request) -> Response:
    """Send somebody to the sign-in, and afterwards to where they wanted; a fragment of a page makes the page go."""
    wanted = request.url.path if request.method in _SAFE and "HX-Request" not in request.headers else "/"
    address = "/sign-in" if wanted == "/" else f"/sign-in?next={wanted}"
    if "HX-Request" in request.headers:
        return Response(status_code=200, headers={"HX-Redirect": address})
    return RedirectResponse(address, status_code=303)


def _new_form_secret(request: Request) -> str:
    secret = secrets.token_urlsafe(24)
    request.state.form_secret = secret
    return secret


def _is_secure(request: Request) -> bool:
    return request.url.scheme == "https"
