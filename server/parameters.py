"""Parameters that many routes take: an id in the path, and a page of a list. One that no route takes is refused."""

from typing import Annotated

from fastapi import Path, Query, Request, params
from fastapi.dependencies.utils import get_flat_params
from fastapi.routing import APIRoute

from server.domain.errors import BadInput, Problem

Id = Annotated[int, Path(ge=1, lt=2**63)]
Limit = Annotated[int, Query(ge=1, le=500)]
Cursor = Annotated[str | None, Query(description="`next_cursor` of the page before")]


async def refuse_unknown_parameters(request: Request) -> None:
    """Raises `BadInput` for a query parameter that a route does not have: `?stauts=failed` must not mean everybody."""
    route = request.scope["route"]
    assert isinstance(route, APIRoute)
    fields = get_flat_params(route.dependant)
    # The fields of a model that stands for a whole query are of no kind of parameter themselves.
    others = (params.Path, params.Header, params.Cookie)
    known = {field.alias for field in fields if not isinstance(field.field_info, others)}
    unknown = [name for name in request.query_params if name not in known]
    if unknown:
        there_are = f"There is: {', '.join(sorted(known))}." if known else "There is none here."
        problems = [Problem(f"query: {name}", "It is not known.") for name in unknown]
        raise BadInput(f'There is no query parameter "{unknown[0]}". {there_are}', problems=problems)
