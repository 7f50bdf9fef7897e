"""The audit trail of a broadcast: append-only, one row a change, in the transaction of the change.

Each event is chained to the one before it (`domain/history`). The broadcast's row has the head of the chain, and is
locked before the head is read: two who write at once write one after the other, whatever else they hold.
"""

from collections.abc import AsyncIterator
from typing import Any

from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection

from server.domain.history import break_in, instant, link
from server.domain.states import RULES, Act, Actor, Move

_LOCK = text("""
    /* events.lock   The row as it is once it is locked, not as it was when somebody else held it. */
    SELECT business_id, history_head, clock_timestamp() AS at
      FROM whatsapp_broadcasts WHERE id = :broadcast_id FOR UPDATE
""")

_ADD = text("""
    /* events.add   The one writer of this table. */
    WITH added AS (
        INSERT INTO broadcast_events (broadcast_id, business_id, at, actor, move, from_status, to_status, reason,
                                      detail, recipient_id, hash)
        VALUES (:broadcast_id, :business_id, :written_at, :actor, :move, :from_status, :to_status, :reason,
                :detail, :recipient_id, :hash)
    )
    UPDATE whatsapp_broadcasts SET history_head = :hash WHERE id = :broadcast_id
""")

_READ = text("""
    /* events.read */
    SELECT broadcast_id, at, actor, move, from_status, to_status, reason, detail, recipient_id, hash
      FROM broadcast_events WHERE broadcast_id = :broadcast_id ORDER BY id
""")

_IDS = text("""
    /* events.ids */
    SELECT id FROM whatsapp_broadcasts WHERE CAST(:broadcast_id AS bigint) IS NULL OR id = :broadcast_id ORDER BY id
""")

_CHAIN = text("""
    /* events.chain   The head and the events in one snapshot: another event may be written at any moment. */
    SELECT b.history_head, e.broadcast_id, e.at, e.actor, e.move, e.from_status, e.to_status, e.reason, e.detail,
           e.recipient_id, e.hash
      FROM whatsapp_broadcasts b LEFT JOIN broadcast_events e ON e.broadcast_id = b.id
     WHERE b.id = :broadcast_id ORDER BY e.id
""")


async def add_event(
    connection: AsyncConnection,
    broadcast_id: int,
    move: Move,
    *,
    by: Actor,
    before: str,
    after: str | None = None,
    reason: str | None = None,
    detail: str | None = None,
) -> None:
    """Write down one change: who or what, from which status to which (by default the move's own), and why."""
    said = {"reason": None if reason is None else str(reason), "detail": detail, "recipient_id": None}
    statuses = {"from_status": str(before), "to_status": str(after or RULES[move].to)}
    await _add(connection, broadcast_id, {"actor": by.value, "move": move.name.lower(), **statuses, **said})


async def add_act(
    connection: AsyncConnection,
    broadcast_id: int,
    act: Act,
    *,
    by: Actor,
    status: str,
    detail: str,
    recipient_id: int | None = None,
) -> None:
    """Write down what was done.

    status: of the broadcast, which it does not move. recipient_id: whom alone it is about.
    """
    said = {"reason": None, "detail": detail, "recipient_id": recipient_id}
    statuses = {"from_status": str(status), "to_status": str(status)}
    await _add(connection, broadcast_id, {"actor": by.value, "move": act.name.lower(), **statuses, **said})


async def _add(connection: AsyncConnection, broadcast_id: int, said: dict[str, Any]) -> None:
    """A broadcast that is gone has no history."""
    row = (await connection.execute(_LOCK, {"broadcast_id": broadcast_id})).one_or_none()
    if row is None:
        return
    event = {"broadcast_id": broadcast_id, "at": instant(row.at), **said}
    chained = {"hash": link(row.history_head, event), "business_id": row.business_id, "written_at": row.at}
    await connection.execute(_ADD, {**event, **chained})


async def read_events(connection: AsyncConnection, broadcast_id: int) -> list[dict[str, Any]]:
    """Every event of a broadcast with its hash, the oldest first, as the chain has them."""
    rows = await connection.execute(_READ, {"broadcast_id": broadcast_id})
    return [_chained(row) for row in rows.mappings()]


async def breaks(connection: AsyncConnection, broadcast_id: int | None = None) -> AsyncIterator[tuple[int, str]]:
    """The broadcasts whose history was changed, of one or of all: the id, and where the chain is broken."""
    for found_id in (await connection.scalars(_IDS, {"broadcast_id": broadcast_id})).all():
        rows = (await connection.execute(_CHAIN, {"broadcast_id": found_id})).mappings().all()
        events = [_chained(row) for row in rows if row["hash"] is not None]
        broken = break_in(events, rows[0]["history_head"]) if rows else None
        if broken is not None:
            yield found_id, broken


def _chained(row: RowMapping) -> dict[str, Any]:
    return {**row, "at": instant(row["at"])}
