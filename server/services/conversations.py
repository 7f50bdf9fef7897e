"""What went to one person and what came from them, across broadcasts.

No index on the phone of recipients: it would cost every import, and a business has a few thousand broadcasts at most,
each of which is asked by its own unique index on (broadcast_id, phone).
"""

from datetime import datetime
from typing import Any, Final, NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from server.domain.phones import ways_of_writing

OUT: Final = "out"
IN: Final = "in"

_MESSAGES = text("""
    /* conversations.messages   Cost: one look-up for each broadcast of the business, and what the person wrote. */
    SELECT m.*, named.name AS broadcast_name, named.message #>> '{template,name}' AS template
      FROM (SELECT 'out' AS direction, r.id, coalesce(r.sent_at, r.failed_at, r.claimed_at) AS at, r.broadcast_id,
                   r.status, r.message_id, NULL AS kind, NULL AS body, r.error_code, r.error_message,
                   r.delivered_at, r.read_at
              FROM whatsapp_broadcasts b
              JOIN whatsapp_broadcast_recipients r ON r.broadcast_id = b.id AND r.phone = :phone
             WHERE b.business_id = :business_id AND coalesce(r.sent_at, r.failed_at, r.claimed_at) IS NOT NULL
            UNION ALL
            SELECT 'in', i.id, i.at, i.broadcast_id, 'received', i.message_id, i.kind, i.body, NULL, NULL, NULL, NULL
              FROM inbound_messages i WHERE i.business_id = :business_id AND i.phone = ANY(:written)
            UNION ALL
            SELECT 'out', w.id, w.claimed_at, NULL, w.status, w.message_id, 'text', w.body, w.error_code,
                   w.error_message, NULL, NULL
              FROM wish_replies w
             WHERE w.business_id = :business_id AND w.phone = :phone AND w.claimed_at IS NOT NULL) AS m
      LEFT JOIN whatsapp_broadcasts named ON named.id = m.broadcast_id AND named.business_id = :business_id
     WHERE CAST(:at AS timestamptz) IS NULL
        OR (m.at, m.direction, m.id) < (CAST(:at AS timestamptz), CAST(:direction AS text), CAST(:id AS bigint))
     ORDER BY m.at DESC, m.direction DESC, m.id DESC LIMIT :limit
""")

_ACROSS = text("""
    /* conversations.across   Cost: one look-up for each broadcast of the business. */
    SELECT r.id, r.broadcast_id, b.name AS broadcast_name, r.phone, r.status, r.attempts, r.message_id, r.error_code,
           r.error_message, r.variables, r.sent_at, r.delivered_at, r.read_at, r.failed_at
      FROM whatsapp_broadcasts b
      JOIN whatsapp_broadcast_recipients r ON r.broadcast_id = b.id AND r.phone = :phone
     WHERE b.business_id = :business_id AND (CAST(:before_id AS bigint) IS NULL OR b.id < :before_id)
     ORDER BY b.id DESC LIMIT :limit
""")


class Place(NamedTuple):
    """Where a page of messages ended."""

    at: datetime
    direction: str
    id: int


async def messages(
    connection: AsyncConnection, business_id: int, phone: str, *, before: Place | None, limit: int
) -> list[dict[str, Any]]:
    """At most `limit` messages to and from a person, the newest first."""
    place = before._asdict() if before is not None else {"at": None, "direction": None, "id": None}
    written = list(ways_of_writing(phone))  # WhatsApp may call the sender by the other way
    values = {"business_id": business_id, "phone": phone, "written": written, "limit": limit, **place}
    return [dict(row) for row in (await connection.execute(_MESSAGES, values)).mappings()]


async def across(
    connection: AsyncConnection, business_id: int, phone: str, *, before_id: int | None, limit: int
) -> list[dict[str, Any]]:
    """What became of a person in each broadcast of the business, the newest first. before_id: of a broadcast."""
    values = {"business_id": business_id, "phone": phone, "before_id": before_id, "limit": limit}
    return [dict(row) for row in (await connection.execute(_ACROSS, values)).mappings()]
