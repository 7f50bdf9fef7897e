"""What a business sees first: what runs, what waits, what needs a person, and the month in numbers.

Everything comes from the rows of broadcasts, never from their recipients, so its cost does not grow with audiences.
"""

from datetime import datetime
from typing import Any, Final, NamedTuple

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from server.domain.states import BroadcastStatus
from server.models import WhatsAppBroadcast
from server.services import broadcast_json

_S: Final = BroadcastStatus
UNDER_WAY: Final = (_S.RUNNING, _S.SETTLING, _S.PAUSED, _S.QUEUED, _S.SCHEDULED)
MOST: Final = 20
LATEST: Final = 5
LATEST_AMONG: Final = 50

_MONTH = text("""
    /* overview.month   Cost: the broadcasts that were started in the span. */
    SELECT count(*) AS broadcast_count, coalesce(sum(sent_count), 0) AS sent_count,
           coalesce(sum(delivered_count), 0) AS delivered_count, coalesce(sum(read_count), 0) AS read_count,
           coalesce(sum(failed_count), 0) AS failed_count, coalesce(sum(replied_count), 0) AS replied_count
      FROM whatsapp_broadcasts
     WHERE business_id = :business_id AND started_at >= :since AND started_at < :until
""")

_TROUBLED_TEMPLATES = text("""
    /* overview.troubled_templates   Only those that a broadcast of the last weeks used. */
    SELECT DISTINCT t.id, t.name, t.language, t.status
      FROM templates t JOIN whatsapp_broadcasts b
           ON b.business_id = t.business_id AND b.message #>> '{template,name}' = t.name
          AND b.message #>> '{template,language}' = t.language
     WHERE t.business_id = :business_id AND t.status <> 'APPROVED'
       AND b.created_at > clock_timestamp() - interval '30 days'
     ORDER BY t.name, t.language
""")

_HAS_PEOPLE = text("""
    /* overview.has_people */
    SELECT EXISTS (SELECT FROM contacts WHERE business_id = :business_id)
        OR EXISTS (SELECT FROM whatsapp_broadcasts WHERE business_id = :business_id AND total_recipients > 0)
""")

_HAS_SENT = text("""
    /* overview.has_sent */
    SELECT EXISTS (SELECT FROM whatsapp_broadcasts WHERE business_id = :business_id AND started_at IS NOT NULL)
""")


class Month(NamedTuple):
    """Sums over the broadcasts that were started in a span of time."""

    broadcast_count: int
    sent_count: int
    delivered_count: int
    read_count: int
    failed_count: int
    replied_count: int


async def month(connection: AsyncConnection, business_id: int, since: datetime, until: datetime) -> Month:
    """The sums of a span."""
    values = {"business_id": business_id, "since": since, "until": until}
    row = (await connection.execute(_MONTH, values)).one()
    return Month(*(int(value) for value in row))


async def under_way(connection: AsyncConnection, business_id: int) -> list[dict[str, Any]]:
    """Broadcasts that are not over, what moves first; shaped as `broadcast_json` has them."""
    broadcast = WhatsAppBroadcast
    statement = broadcast_json.rows().where(broadcast.business_id == business_id, broadcast.status.in_([*UNDER_WAY]))
    rows = (await connection.execute(statement.order_by(broadcast.id.desc()).limit(MOST))).all()
    order = {status.value: place for place, status in enumerate(UNDER_WAY)}
    return [broadcast_json.as_json(row) for row in sorted(rows, key=lambda row: order[row.status])]


async def latest(connection: AsyncConnection, business_id: int) -> list[dict[str, Any]]:
    """Of those that are not under way what happened last: what has ended, and what is being written.

    Chosen among the newest few, so that its cost does not grow with how many there are.
    """
    broadcast = WhatsAppBroadcast
    others = select(broadcast.id).where(broadcast.business_id == business_id, broadcast.status.not_in([*UNDER_WAY]))
    newest = others.order_by(broadcast.id.desc()).limit(LATEST_AMONG)
    happened_at = func.coalesce(broadcast.completed_at, broadcast.created_at)
    statement = broadcast_json.rows().where(broadcast.id.in_(newest)).order_by(happened_at.desc(), broadcast.id.desc())
    return [broadcast_json.as_json(row) for row in await connection.execute(statement.limit(LATEST))]


async def has_people(connection: AsyncConnection, business_id: int) -> bool:
    """Whether there is anybody to send to: a contact, or a list of a broadcast."""
    return bool(await connection.scalar(_HAS_PEOPLE, {"business_id": business_id}))


async def has_sent(connection: AsyncConnection, business_id: int) -> bool:
    """Whether a broadcast was ever started."""
    return bool(await connection.scalar(_HAS_SENT, {"business_id": business_id}))


async def with_unknowns(connection: AsyncConnection, business_id: int) -> list[dict[str, Any]]:
    """Broadcasts some of whose people are unknown, the newest first."""
    broadcast = WhatsAppBroadcast
    statement = broadcast_json.rows().where(broadcast.business_id == business_id, broadcast.unknown_count > 0)
    rows = await connection.execute(statement.order_by(broadcast.id.desc()).limit(MOST))
    return [broadcast_json.as_json(row) for row in rows]


async def troubled_templates(connection: AsyncConnection, business_id: int) -> list[dict[str, Any]]:
    """Templates in use that WhatsApp does not let out at present: `id`, `name`, `language`, `status`."""
    rows = await connection.execute(_TROUBLED_TEMPLATES, {"business_id": business_id})
    return [dict(row) for row in rows.mappings()]
