"""Audiences that a business has saved under a name. Who is in one is looked up whenever it is used."""

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import func, insert, select, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from server.domain.audience import Audience, parse
from server.domain.errors import BadInput, NotFound, Taken
from server.domain.sentences import said
from server.models import Segment

_SHOWN: Final = (Segment.id, Segment.name, Segment.audience, Segment.created_at, Segment.updated_at)

_IN_USE = text("""
    /* segments.in_use   Broadcasts that have yet to take it. */
    SELECT id FROM whatsapp_broadcasts
     WHERE business_id = :business_id AND status IN ('draft', 'scheduled')
       AND audience @> jsonb_build_object('segment_id', CAST(:segment_id AS bigint)) ORDER BY id LIMIT 1
""")


async def create(connection: AsyncConnection, business_id: int, name: str, audience: Mapping[str, Any]) -> int:
    """Save an audience. Returns its id. Raises `BadInput`, or `Taken` where the name is."""
    values = {"business_id": business_id, "name": name, "audience": _audience(audience)}
    try:
        async with connection.begin_nested():
            return int(await connection.scalar(insert(Segment).values(values).returning(Segment.id)) or 0)
    except IntegrityError as error:
        raise Taken(said('There is a segment "%(name)s" already.', name=name)) from error


async def show(connection: AsyncConnection, business_id: int, segment_id: int) -> dict[str, Any]:
    """One segment. Raises `NotFound`, for another business's as well."""
    statement = select(*_SHOWN).where(Segment.id == segment_id, Segment.business_id == business_id)
    row = (await connection.execute(statement)).mappings().one_or_none()
    if row is None:
        raise NotFound(said("There is no segment %(number)s.", number=segment_id))
    return dict(row)


async def page(connection: AsyncConnection, business_id: int, *, after_id: int, limit: int) -> list[dict[str, Any]]:
    """At most `limit` segments with larger ids than `after_id`."""
    statement = select(*_SHOWN).where(Segment.business_id == business_id, Segment.id > after_id)
    return [dict(row) for row in (await connection.execute(statement.order_by(Segment.id).limit(limit))).mappings()]


async def change(connection: AsyncConnection, business_id: int, segment_id: int, changes: Mapping[str, Any]) -> None:
    """Change what is named: `name`, `audience`. Broadcasts that have yet to take it take the new one.

    Raises `NotFound`, `BadInput`, or `Taken` where the name is.
    """
    values = dict(changes)
    if "audience" in values:
        values["audience"] = _audience(values["audience"])
    statement = update(Segment).where(Segment.id == segment_id, Segment.business_id == business_id)
    try:
        async with connection.begin_nested():
            done = await connection.scalar(statement.values(**values, updated_at=func.now()).returning(Segment.id))
    except IntegrityError as error:
        raise Taken(said('There is a segment "%(name)s" already.', name=values.get("name"))) from error
    if done is None:
        raise NotFound(said("There is no segment %(number)s.", number=segment_id))


async def forget(connection: AsyncConnection, business_id: int, segment_id: int) -> None:
    """Delete a segment; its people stay. Raises `NotFound`, or `Taken` while a broadcast has yet to take it."""
    await show(connection, business_id, segment_id)
    which = {"business_id": business_id, "segment_id": segment_id}
    broadcast_id = await connection.scalar(_IN_USE, which)
    if broadcast_id is not None:
        raise Taken(
            said(
                "Broadcast %(number)s has yet to take this segment. Cancel it first, or let it start.",
                number=broadcast_id,
            )
        )
    await connection.execute(text("DELETE FROM segments WHERE business_id = :business_id AND id = :segment_id"), which)


async def resolve(connection: AsyncConnection, business_id: int, audience: Audience) -> Audience:
    """What a saved segment stands for; every other audience is itself. Raises `BadInput` where there is no such one."""
    if audience.segment_id is None:
        return audience
    saved = await connection.scalar(
        select(Segment.audience).where(Segment.id == audience.segment_id, Segment.business_id == business_id)
    )
    if saved is None:
        raise BadInput(f"There is no segment {audience.segment_id}.", pointer="/audience/segment_id")
    return parse(saved)


def _audience(raw: Mapping[str, Any]) -> dict[str, Any]:
    audience = parse(raw)
    if audience.segment_id is not None:
        raise BadInput("A segment cannot be made of another one.", pointer="/audience/segment_id")
    return audience.as_json()
