"""Errors become problem details (RFC 9457). The only file that knows HTTP statuses.

The framework's own errors come out in the same shape: an unknown path, a wrong method, a body that is no JSON, a field
of the wrong type.
"""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from sqlalchemy.exc import DBAPIError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from server.database import in_words
from server.domain.errors import (
    BadInput,
    ClarionError,
    Denied,
    LimitReached,
    NotFound,
    NotNow,
    Problem,
    TooLarge,
    Unreachable,
)

CONTENT_TYPE: Final = "application/problem+json"

# The first that fits: the more particular ones stand first.
_STATUSES: Final[tuple[tuple[type[ClarionError], HTTPStatus], ...]] = (
    (NotFound, HTTPStatus.NOT_FOUND),
    (TooLarge, HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
    (BadInput, HTTPStatus.UNPROCESSABLE_ENTITY),
    (Denied, HTTPStatus.UNAUTHORIZED),
    (LimitReached, HTTPStatus.TOO_MANY_REQUESTS),
    (NotNow, HTTPStatus.CONFLICT),
    (Unreachable, HTTPStatus.SERVICE_UNAVAILABLE),
)


class ProblemItem(BaseModel):
    """One thing wrong with the input."""

    pointer: str = Field(description="JSON pointer to the field, such as /template/variables/1")
    detail: str


class ProblemDetails(BaseModel):
    """What went wrong, as RFC 9457 has it."""

    type: str = Field(description="a URI for the kind of problem; about:blank where the title says it all")
    title: str
    status: int
    detail: str
    errors: list[ProblemItem] | None = None


def responses(*statuses: HTTPStatus) -> dict[int | str, dict[str, Any]]:
    """What a route may answer with besides success, for its OpenAPI description."""
    return {
        status.value: {
            "model": ProblemDetails,
            "description": status.phrase,
            "content": {CONTENT_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDetails"}}},
        }
        for status in statuses
    }


def problem(
    status: HTTPStatus, detail: str, errors: Sequence[Problem] = (), headers: dict[str, str] | None = None
) -> JSONResponse:
    """A problem as a response."""
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": status.phrase,
        "status": status.value,
        "detail": detail,
    }
    if errors:
        body["errors"] = [error._asdict() for error in errors]
    return JSONResponse(body, status.value, headers, media_type=CONTENT_TYPE)


def install(app: FastAPI) -> None:
    """Let every error of the application come out as problem details."""
    app.add_exception_handler(ClarionError, _of_ours)
    app.add_exception_handler(RequestValidationError, _of_validation)
    app.add_exception_handler(HTTPException, _of_the_framework)
    app.add_exception_handler(DBAPIError, _of_the_database)


async def _of_ours(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ClarionError)
    status = next((status for kind, status in _STATUSES if isinstance(error, kind)), HTTPStatus.INTERNAL_SERVER_ERROR)
    headers = {"WWW-Authenticate": "Bearer"} if status is HTTPStatus.UNAUTHORIZED else None
    if isinstance(error, LimitReached):
        headers = {"Retry-After": "60"}
    return problem(status, str(error), error.problems if isinstance(error, BadInput) else (), headers)


async def _of_validation(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    if any(item["loc"][0] == "path" for item in error.errors()):
        return problem(HTTPStatus.NOT_FOUND, "There is nothing of that number.")
    errors = [Problem(_pointer(item["loc"]), _plain(item)) for item in error.errors()]
    first = errors[0].detail if len(errors) == 1 else f"{len(errors)} fields cannot be used."
    return problem(HTTPStatus.UNPROCESSABLE_ENTITY, first, errors)


def _pointer(loc: Sequence[int | str]) -> str:
    """A JSON pointer into the body; a query parameter or header is named with what it is."""
    where, *path = loc
    if where == "body":
        return "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in path)
    return f"{where}: {path[0] if path else ''}"


def _plain(item: dict[str, Any]) -> str:
    message = str(item["msg"]).removeprefix("Value error, ")
    if item["type"] == "json_invalid":
        return f"The body is not JSON: {item.get('ctx', {}).get('error', message)}."
    if item["type"] == "missing":
        return "It is missing."
    if item["type"] == "extra_forbidden":
        return "There is no such field."
    return message


async def _of_the_framework(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    status = HTTPStatus(error.status_code)
    said = str(error.detail)
    return problem(status, said if said != status.phrase else f"{status.phrase}.", (), dict(error.headers or {}))


async def _of_the_database(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, DBAPIError)
    if error.connection_invalidated or type(error).__name__ in {"OperationalError", "InterfaceError"}:
        return problem(HTTPStatus.SERVICE_UNAVAILABLE, str(in_words(error.orig or error)))
    raise error
