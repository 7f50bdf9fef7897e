"""Joining by a link: whoever holds it chooses a name and a password, and is signed in."""

from http import HTTPStatus
from typing import Annotated, Final

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from server.dashboard.forms import WHOLE, problems_of
from server.dashboard.pages_sign_in import begin_session
from server.dashboard.rendering import render
from server.dashboard.sign_in_limit import count_try
from server.domain.errors import BadInput, LimitReached
from server.services import invites
from server.services.passwords import SHORTEST
from server.services.passwords import SignedIn as Known
from server.web_resources import ProcessResources, WebResources, address_of

router = APIRouter(prefix="/join")
_LONGEST_TOKEN: Final = 200


@router.get("/{token}")
async def join_page(request: Request, token: str, resources: ProcessResources) -> Response:
    """What the link opens, and the form."""
    return await _page(request, resources, token)


@router.post("/{token}")
async def join(
    request: Request,
    token: str,
    resources: ProcessResources,
    name: Annotated[str, Form(max_length=1_000)] = "",
    password: Annotated[str, Form(max_length=1_000)] = "",
) -> Response:
    """Join, and begin a session. The link opens nothing any more."""
    place = address_of(request)
    try:
        # A password is hashed for whoever asks, so asking is counted.
        await count_try(resources.call_limit, f"join {token[:_LONGEST_TOKEN]}", place)
        joined = await invites.accept(resources.engine, token, name, password, address=place)
    except LimitReached as error:
        problems = {WHOLE: str(error)}
        return await _page(request, resources, token, HTTPStatus.TOO_MANY_REQUESTS, name=name, problems=problems)
    except BadInput as error:
        problems = problems_of(error)
        return await _page(request, resources, token, HTTPStatus.UNPROCESSABLE_ENTITY, name=name, problems=problems)
    if joined is None:
        return await _page(request, resources, token)
    return await begin_session(request, resources, Known(joined.user_id, joined.business_id, joined.name), "/")


async def _page(
    request: Request,
    resources: WebResources,
    token: str,
    status: HTTPStatus = HTTPStatus.OK,
    *,
    name: str = "",
    problems: dict[str, str] | None = None,
) -> Response:
    async with resources.engine.connect() as connection:
        invited = await invites.look(connection, token)
    if invited is None:
        status = HTTPStatus.NOT_FOUND
    return render(
        request,
        "join.html",
        status=status,
        invited=invited,
        name=name,
        problems=problems or {},
        shortest=SHORTEST,
    )
