"""The audit trail of a broadcast: append-only, one row a change, in the transaction of the change."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from server.domain.states import RULES, Actor, Move, Note

_ADD = text("""
    /* events.add */
    INSERT INTO broadcast_events (broadcast_id, business_id, actor, move, from_status, to_status, reason, detail)
    SELECT id, business_id, :actor, :move, :before, :after, :reason, :detail
      FROM whatsapp_broadcasts WHERE id = :broadcast_id
""")


async def add_event(
    connection: AsyncConnection,
    broadcast_id: int,
    move: Move | Note,
    *,
    by: Actor,
    before: str,
    after: str | None = None,
    reason: str | None = None,
    detail: str | None = None,
) -> None:
    """Write down one change: who or what, from which status to which (by default the move's own), and why."""
    values = {
        "broadcast_id": broadcast_id,
        "actor": by,
        "move": move.name.lower(),
        "before": before,
        "after": after or RULES[Move(move)].to,
        "reason": reason,
        "detail": detail,
    }
    await connection.execute(_ADD, values)
