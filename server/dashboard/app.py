"""The pages, put together: an application of its own, so that its errors are pages and its headers a browser's."""

from http import HTTPStatus
from typing import Any, Final

import psycopg
from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware.gzip import GZipMiddleware
from starlette.routing import Match, Mount
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server import problems
from server.dashboard import (
    pages_account,
    pages_api,
    pages_approvals,
    pages_audit,
    pages_broadcast,
    pages_broadcasts,
    pages_compose,
    pages_compose_people,
    pages_compose_review,
    pages_consents,
    pages_contacts,
    pages_imports,
    pages_join,
    pages_keys,
    pages_numbers,
    pages_overview,
    pages_people,
    pages_segments,
    pages_settings,
    pages_sign_in,
    pages_team,
    pages_templates,
    pages_webhooks,
)
from server.dashboard.looks import N_
from server.dashboard.rendering import STATIC, is_fragment, render
from server.dashboard.visitor import SignInNeeded, refuse_forgeries, to_sign_in
from server.database import in_words
from server.domain.errors import ClarionError
from server.domain.sentences import said

# What is not for a browser: whoever asks for it is answered in JSON, also where it does not exist.
_FOR_PROGRAMS: Final = ("/api/", "/webhooks/", "/openapi.json", "/healthz", "/readyz", "/metrics")
_PAGES: Final = (
    pages_sign_in,
    pages_join,
    pages_overview,
    pages_broadcasts,
    pages_broadcast,
    pages_approvals,
    pages_people,
    pages_compose,
    pages_compose_people,
    pages_compose_review,
    pages_contacts,
    pages_consents,
    pages_imports,
    pages_segments,
    pages_templates,
    pages_numbers,
    pages_settings,
    pages_account,
    pages_team,
    pages_keys,
    pages_webhooks,
    pages_audit,
    pages_api,
)
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS: Final = {
    "Content-Security-Policy": _POLICY,
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "same-origin",
}
_PHRASES: Final = {
    HTTPStatus.NOT_FOUND: N_("There is no such page."),
    HTTPStatus.METHOD_NOT_ALLOWED: N_("This page is not opened in this way."),
}
_SECONDS_OF_A_YEAR: Final = 365 * 86_400
_SMALLEST_TO_COMPRESS: Final = 500


def create_dashboard(shared_state: Any) -> FastAPI:
    """The pages. shared_state: of the application that they are part of, with its resources."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, dependencies=[Depends(refuse_forgeries)])
    app.state = shared_state
    for module in _PAGES:
        app.include_router(module.router)
    app.mount("/static", _Kept(directory=STATIC))
    app.add_exception_handler(SignInNeeded, _ask_to_sign_in)
    app.add_exception_handler(ClarionError, _show_error)
    app.add_exception_handler(RequestValidationError, _show_bad_request)
    app.add_exception_handler(HTTPException, _show_http_error)
    for outage in (DBAPIError, psycopg.Error, PoolTimeout):
        app.add_exception_handler(outage, _show_outage)
    app.add_middleware(GZipMiddleware, minimum_size=_SMALLEST_TO_COMPRESS)
    app.add_middleware(_Headers)
    return app


class Pages(Mount):
    """The pages at the root, which leave the programs' paths to others."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Everything but what is for programs."""
        if str(scope.get("path", "")).startswith(_FOR_PROGRAMS):
            return Match.NONE, {}
        return super().matches(scope)


class _Kept(StaticFiles):
    """Files whose address changes with what is in them: a browser asks for each once."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        response = super().file_response(*args, **kwargs)
        response.headers["Cache-Control"] = f"public, max-age={_SECONDS_OF_A_YEAR}, immutable"
        return response


class _Headers:
    """What a browser is told with every page; and a part of a page that is led elsewhere takes its whole page there."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # As htmx asks; a script of our own follows where it is led by itself.
        is_part = "HX-Request-Type" in Headers(scope=scope)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                if is_part and message["status"] == HTTPStatus.SEE_OTHER:
                    message["status"] = HTTPStatus.OK.value
                    headers["HX-Redirect"] = headers["Location"]
                    del headers["Location"]
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, send_with_headers)


async def _ask_to_sign_in(request: Request, error: Exception) -> Response:
    return to_sign_in(request)


async def _show_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ClarionError)
    return _page(request, problems.status_of(error), str(error))


async def _show_bad_request(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    if any(item["loc"][0] == "path" for item in error.errors()):
        return _page(request, HTTPStatus.NOT_FOUND, _PHRASES[HTTPStatus.NOT_FOUND])
    fields = ", ".join(dict.fromkeys(str(item["loc"][-1]) for item in error.errors()))
    return _page(
        request, HTTPStatus.UNPROCESSABLE_ENTITY, said('What came in "%(fields)s" cannot be used.', fields=fields)
    )


async def _show_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    status = HTTPStatus(error.status_code)
    return _page(request, status, _PHRASES.get(status) or str(error.detail))


async def _show_outage(request: Request, error: Exception) -> Response:
    """The database is away or busy: nothing was changed, and the page may be loaded again."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(cause, psycopg.OperationalError | psycopg.InterfaceError):
        return _page(request, HTTPStatus.SERVICE_UNAVAILABLE, str(in_words(cause)))
    if isinstance(error, PoolTimeout):
        return _page(request, HTTPStatus.SERVICE_UNAVAILABLE, N_("Clarion is busy. Try again in a moment."))
    raise error


def _page(request: Request, status: HTTPStatus, detail: str) -> Response:
    """What went wrong: as a page; as a notice, where a page of ours asked for a part of itself; or for a program."""
    if not is_fragment(request) and "text/html" not in request.headers.get("Accept", ""):
        return problems.problem(status, detail)
    visitor = getattr(request.state, "visitor", None)
    if is_fragment(request):
        response = render(request, "_notice.html", visitor, status=status, detail=detail)
        response.headers["HX-Retarget"] = "#notices"
        response.headers["HX-Reswap"] = "beforeend"
        return response
    return render(request, "error.html", visitor, status=status, code=status.value, detail=detail)
