"""Whom of the contacts a broadcast goes to, changed until it starts."""

from sqlalchemy import text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from server.domain.audience import Audience, describe, parse
from server.domain.errors import BadInput, NotFound, NotNow, StateDoesNotAllow
from server.domain.sentences import said
from server.domain.states import Act, Actor, BroadcastStatus
from server.models import WhatsAppBroadcast
from server.services import segments
from server.services.events import add_act

_LOCK = text("""
    /* audience_changes.lock   The steward that would take it at this moment comes before or after. */
    SELECT business_id, status, audience, total_recipients + rejected_count AS rows_count,
           (SELECT approval_over FROM businesses o WHERE o.id = b.business_id) AS approval_over
      FROM whatsapp_broadcasts b WHERE id = :broadcast_id FOR UPDATE OF b
""")


async def change(connection: AsyncConnection, broadcast_id: int, audience: Audience, *, by: Actor) -> None:
    """Let a draft, or a broadcast on its schedule, go to another audience. The history of a scheduled one keeps both.

    Raises `NotFound`; `StateDoesNotAllow` where it has been taken; `BadInput` where the broadcast has a list of its
    own, or there is no such segment; `NotNow` where another person has let it go to those it was to go to.
    """
    row = (await connection.execute(_LOCK, {"broadcast_id": broadcast_id})).one_or_none()
    if row is None:
        raise NotFound(said("There is no broadcast %(number)s.", number=broadcast_id))
    if row.status not in (BroadcastStatus.DRAFT, BroadcastStatus.SCHEDULED):
        raise StateDoesNotAllow(Act.GO_TO_OTHERS, row.status)
    if row.audience is None and (row.rows_count or row.status == BroadcastStatus.SCHEDULED):
        raise BadInput("This broadcast has a list of its own, and takes nobody from the contacts.", pointer="/audience")
    await segments.resolve(connection, row.business_id, audience)
    before = None if row.audience is None else parse(row.audience)
    if before == audience:
        return
    if row.status == BroadcastStatus.SCHEDULED and row.approval_over is not None:
        # Who was asked to let it go has looked at those people and no others.
        raise NotNow(
            "This business wants a second person for large broadcasts, and this one is on its schedule. Take it off "
            "its schedule, change whom it goes to, and start it anew."
        )
    statement = update(WhatsAppBroadcast).where(WhatsAppBroadcast.id == broadcast_id)
    await connection.execute(statement.values(audience=audience.as_json()))
    if before is not None and row.status == BroadcastStatus.SCHEDULED:
        detail = said(
            "It was to go to %(before)s, and is to go to %(now)s.", before=describe(before), now=describe(audience)
        )
        await add_act(connection, broadcast_id, Act.GO_TO_OTHERS, by=by, status=row.status, detail=detail)
