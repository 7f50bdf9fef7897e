"""Errors become problem details (RFC 9457). The only file that knows HTTP statuses.

The framework's own errors come out in the same shape: an unknown path, a wrong method, a body that is no JSON, a field
of the wrong type.
"""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, Final

import psycopg
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from server.database import in_words
from server.domain.errors import (
    BadInput,
    ClarionError,
    Denied,
    Forbidden,
    LimitReached,
    NotFound,
    NotNow,
    Problem,
    TooLarge,
    Unreachable,
)
from server.domain.invalid_values import in_plain_words
from server.once import AnsweredBefore

CONTENT_TYPE: Final = "application/problem+json"
MOST_ERRORS: Final = 1_000
# When to ask again for something that was away, in seconds; WhatsApp has a plan of its own for webhooks.
_LATER_SECONDS: Final = "5"

# The first that fits: the more particular ones stand first.
_STATUSES: Final[tuple[tuple[type[ClarionError], HTTPStatus], ...]] = (
    (NotFound, HTTPStatus.NOT_FOUND),
    (TooLarge, HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
    (BadInput, HTTPStatus.UNPROCESSABLE_ENTITY),
    (Denied, HTTPStatus.UNAUTHORIZED),
    (Forbidden, HTTPStatus.FORBIDDEN),
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
        body["errors"] = [error._asdict() for error in errors[:MOST_ERRORS]]
    return JSONResponse(body, status.value, headers, media_type=CONTENT_TYPE)


def describe(openapi: dict[str, Any]) -> dict[str, Any]:
    """Leave in an OpenAPI description the one media type that problems come in."""
    for operation in (operation for path in openapi["paths"].values() for operation in path.values()):
        for response in operation["responses"].values():
            if CONTENT_TYPE in response.get("content", {}):
                response["content"].pop("application/json", None)
    return openapi


def install(app: FastAPI) -> None:
    """Let every error of the application come out as problem details."""
    app.add_exception_handler(AnsweredBefore, _as_before)
    app.add_exception_handler(ClarionError, _of_ours)
    app.add_exception_handler(RequestValidationError, _of_validation)
    app.add_exception_handler(HTTPException, _of_the_framework)
    app.add_exception_handler(DBAPIError, _of_the_database)
    app.add_exception_handler(psycopg.Error, _of_the_database)
    app.add_exception_handler(PoolTimeout, _of_too_many)
    app.add_exception_handler(Exception, _of_a_mistake)


def status_of(error: ClarionError) -> HTTPStatus:
    """What an error of ours is in HTTP."""
    return next((status for kind, status in _STATUSES if isinstance(error, kind)), HTTPStatus.INTERNAL_SERVER_ERROR)


async def _as_before(_: Request, error: Exception) -> Response:
    assert isinstance(error, AnsweredBefore)
    return Response(error.answer.body, error.answer.status, media_type="application/json")


async def _of_ours(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ClarionError)
    status = status_of(error)
    headers = {"WWW-Authenticate": "Bearer"} if status is HTTPStatus.UNAUTHORIZED else None
    if isinstance(error, LimitReached):
        headers = {"Retry-After": str(error.retry_after)}
    if status is HTTPStatus.SERVICE_UNAVAILABLE:
        headers = {"Retry-After": _LATER_SECONDS}
    return problem(status, str(error), error.problems if isinstance(error, BadInput) else (), headers)


async def _of_validation(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    if any(item["loc"][0] == "path" for item in error.errors()):
        return problem(HTTPStatus.NOT_FOUND, "There is nothing of that number.")
    errors = [Problem(_pointer(item), _plain(item)) for item in error.errors()]
    first = errors[0].detail if len(errors) == 1 else f"{len(errors)} fields cannot be used."
    return problem(HTTPStatus.UNPROCESSABLE_ENTITY, first, errors)


def _pointer(item: dict[str, Any]) -> str:
    """A JSON pointer into the body; a query parameter or header is named with what it is."""
    where, *path = item["loc"]
    if where != "body":
        return f"{where}: {path[0] if path else ''}"
    if item["type"] == "json_invalid":
        return ""  # what follows is a place in the text, not a field
    fields = (str(part) for part in path if part != "[key]")
    return "".join(f"/{field.replace('~', '~0').replace('/', '~1')}" for field in fields)


def _plain(item: dict[str, Any]) -> str:
    if item["type"] == "json_invalid":
        return f"The body is not JSON: {item.get('ctx', {}).get('error', item['msg'])}."
    if (
        item["type"] == "model_attributes_type"
        and tuple(item["loc"]) == ("body",)
        and not isinstance(item["input"], list)
    ):
        # Most often a body that came as a form, which is what curl says where nobody names another type.
        return "The body should be a JSON object, with the header Content-Type: application/json."
    return in_plain_words(item["type"], item.get("ctx", {}), str(item["msg"]))


async def _of_the_framework(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    status, said = HTTPStatus(error.status_code), str(error.detail)
    if status is HTTPStatus.BAD_REQUEST:
        # So the framework calls a body in which it does not even find where JSON goes wrong.
        return problem(HTTPStatus.UNPROCESSABLE_ENTITY, _NOT_JSON, [Problem("", _NOT_JSON)])
    return problem(status, said if said != status.phrase else f"{status.phrase}.", (), dict(error.headers or {}))


_NOT_JSON: Final = "The body is not JSON in UTF-8, or it is nested too deep."


async def _of_the_database(_: Request, error: Exception) -> JSONResponse:
    cause = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(cause, psycopg.OperationalError | psycopg.InterfaceError):
        return problem(HTTPStatus.SERVICE_UNAVAILABLE, str(in_words(cause)), (), {"Retry-After": _LATER_SECONDS})
    raise error


async def _of_too_many(_: Request, __: Exception) -> JSONResponse:
    busy = "Clarion is answering too many requests at once. Try again in a moment."
    return problem(HTTPStatus.SERVICE_UNAVAILABLE, busy, (), {"Retry-After": "1"})


async def _of_a_mistake(_: Request, __: Exception) -> JSONResponse:
    """A mistake of ours: the log has it, the client learns only that it is ours."""
    return problem(HTTPStatus.INTERNAL_SERVER_ERROR, "Something went wrong in Clarion; its log says what.")
