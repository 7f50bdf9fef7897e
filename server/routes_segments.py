"""Audiences over HTTP: how many one is, and those that are saved under a name."""

from http import HTTPStatus

from fastapi import APIRouter
from sqlalchemy.ext.asyncio import AsyncConnection

from server.api_models.audiences import (
    AudienceCount,
    CountRequest,
    SegmentChanges,
    SegmentPage,
    SegmentRequest,
    SegmentShown,
)
from server.cursors import page, read_cursor
from server.domain.errors import BadInput
from server.once import Once
from server.parameters import Cursor, Id, Limit
from server.problems import responses
from server.services import segments, snapshots
from server.web_resources import BusinessId, Transaction

_usual = responses(HTTPStatus.UNAUTHORIZED, HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.SERVICE_UNAVAILABLE)
router = APIRouter(prefix="/segments", tags=["Segments"], responses=_usual)
audiences = APIRouter(prefix="/audiences", tags=["Segments"], responses=_usual)

_gone = responses(HTTPStatus.NOT_FOUND)
_taken = responses(HTTPStatus.CONFLICT)


@audiences.post("/count")
async def count_audience(wanted: CountRequest, connection: Transaction, business_id: BusinessId) -> AudienceCount:
    """How many an audience is now. A broadcast counts again when it starts."""
    look = await snapshots.look(connection, business_id, wanted.audience.audience())
    return AudienceCount(
        description=look.who,
        contacts_count=look.contacts_count,
        opted_out_count=look.opted_out_count,
        recipients=look.recipients,
    )


@router.get("")
async def list_segments(
    connection: Transaction,
    business_id: BusinessId,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> SegmentPage:
    """The segments of the business, in the order in which they were made."""
    found = await segments.page(connection, business_id, after_id=read_cursor(cursor) or 0, limit=limit + 1)
    return SegmentPage.model_validate(page(found, limit))


@router.post("", status_code=HTTPStatus.CREATED, responses=_taken)
async def create_segment(
    wanted: SegmentRequest, connection: Transaction, business_id: BusinessId, once: Once
) -> SegmentShown:
    """Save an audience under a name. 409 where there is a segment of that name."""
    audience = wanted.audience.audience().as_json()
    segment_id = await segments.create(connection, business_id, wanted.name, audience)
    return await once.keep(await _shown(connection, business_id, segment_id))


@router.get("/{segment_id}", responses=_gone)
async def show_segment(segment_id: Id, connection: Transaction, business_id: BusinessId) -> SegmentShown:
    """One segment."""
    return await _shown(connection, business_id, segment_id)


@router.patch("/{segment_id}", responses={**_gone, **_taken})
async def change_segment(
    segment_id: Id, wanted: SegmentChanges, connection: Transaction, business_id: BusinessId
) -> SegmentShown:
    """Change its name or its audience. Broadcasts that have yet to take it take the new one."""
    changes = {name: getattr(wanted, name) for name in sorted(wanted.model_fields_set)}
    for name, value in changes.items():
        if value is None:
            raise BadInput(f"A segment needs its {name}.", pointer=f"/{name}")
    if wanted.audience is not None:
        changes["audience"] = wanted.audience.audience().as_json()
    await segments.change(connection, business_id, segment_id, changes)
    return await _shown(connection, business_id, segment_id)


@router.delete("/{segment_id}", status_code=HTTPStatus.NO_CONTENT, responses={**_gone, **_taken})
async def delete_segment(segment_id: Id, connection: Transaction, business_id: BusinessId) -> None:
    """Delete a segment; its people stay. 409 while a broadcast has yet to take it."""
    await segments.forget(connection, business_id, segment_id)


async def _shown(connection: AsyncConnection, business_id: int, segment_id: int) -> SegmentShown:
    """The segment, if it is the business's own. Raises `NotFound`."""
    return SegmentShown.model_validate(await segments.show(connection, business_id, segment_id))
