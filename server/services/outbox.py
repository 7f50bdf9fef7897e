"""The outbox: events are written in the transaction of what they tell, and delivered later by others.

So a crash loses none, and none is told of what never happened. Where no endpoint of the business wants a kind of event,
telling it is one look-up in a small index. Statements that change many recipients carry a piece of SQL from here and
tell of all in the same statement; the rest is told by the functions. Who delivers: `deliveries.py`.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from server.domain.states import Actor
from server.domain.webhook_events import EventKind
from server.services import broadcast_json
from server.services.outbox_sql import recipients_told

# Of a broadcast's row, what may be a thousand entries long and is asked for where it is wanted.
_LEFT_OUT = frozenset({"rejected", "retried_by"})

_WANTS = text("""
    /* outbox.wants */
    SELECT EXISTS (SELECT FROM webhook_endpoints
                    WHERE business_id = :business_id AND disabled_at IS NULL AND :event = ANY(events))
""")

_TELL = text("""
    /* outbox.tell   Once for each endpoint that wants it. */
    INSERT INTO webhook_deliveries (business_id, endpoint_id, event, data)
    SELECT business_id, id, :event, CAST(:data AS json) FROM webhook_endpoints
     WHERE business_id = :business_id AND disabled_at IS NULL AND :event = ANY(events)
""")


_RECIPIENTS = text(f"""
    /* outbox.recipients   Cost: one look-up a recipient, where somebody wants to know. */
    WITH failed AS (
        SELECT id, status, phone, message_id, error_code, error_message FROM whatsapp_broadcast_recipients
         WHERE broadcast_id = :broadcast_id AND id = ANY(:ids)
    ), {recipients_told("failed", ":broadcast_id", ":business_id")}
    SELECT count(*) FROM failed
""")  # noqa: S608 - names of our own statements

_OWNER = text("SELECT business_id FROM whatsapp_broadcasts WHERE id = :broadcast_id")

_OPTED_IN = text("SELECT id FROM contacts WHERE business_id = :business_id AND phone = :phone")


class Change(NamedTuple):
    """A broadcast that changed: what is told, who did it, and the status before."""

    business_id: int
    broadcast_id: int
    kind: EventKind
    actor: Actor
    before: str


async def tell(connection: AsyncConnection, business_id: int, kind: EventKind, data: Mapping[str, Any]) -> None:
    """Tell every endpoint that wants this kind of event."""
    encoded = msgspec.json.encode(data).decode()
    await connection.execute(_TELL, {"business_id": business_id, "event": kind.value, "data": encoded})


async def broadcast_changed(connection: AsyncConnection, change: Change) -> None:
    """Tell of a broadcast's new status, with the broadcast as it is in this transaction."""
    if not await _wants(connection, change.business_id, change.kind):
        return
    shown = await broadcast_json.show(connection, change.business_id, change.broadcast_id)
    broadcast = {name: value for name, value in shown.items() if name not in _LEFT_OUT}
    data = {"broadcast": broadcast, "from_status": change.before, "actor": change.actor.value}
    await tell(connection, change.business_id, change.kind, data)


async def recipients_failed(connection: AsyncConnection, broadcast_id: int, ids: Sequence[int] | None) -> None:
    """Tell of recipients of one broadcast who have failed in this transaction. Nobody: None or empty."""
    if not ids:
        return
    business_id = int(await connection.scalar(_OWNER, {"broadcast_id": broadcast_id}) or 0)
    if await _wants(connection, business_id, EventKind.RECIPIENT_FAILED):
        values = {"broadcast_id": broadcast_id, "business_id": business_id, "ids": list(ids)}
        await connection.execute(_RECIPIENTS, values)


async def opted_in(connection: AsyncConnection, business_id: int, phone: str, reason: str) -> None:
    """Tell that somebody gets messages again."""
    if await _wants(connection, business_id, EventKind.CONTACT_OPTED_IN):
        contact_id = await connection.scalar(_OPTED_IN, {"business_id": business_id, "phone": phone})
        data = {"phone": phone, "reason": reason, "contact_id": contact_id}
        await tell(connection, business_id, EventKind.CONTACT_OPTED_IN, data)


async def _wants(connection: AsyncConnection, business_id: int, kind: EventKind) -> bool:
    return bool(await connection.scalar(_WANTS, {"business_id": business_id, "event": kind.value}))
