"""The messaging limit of a business, counted from its own rows (`domain/messaging_limit.py`).

A business is taken for one portfolio. Where Meta has not told the limit, there is none of ours.
"""

from datetime import UTC, datetime
from typing import Final, NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from server.domain.messaging_limit import UNLIMITED, enough_to_go_on
from server.domain.sending_plan import Day, Freed, Plan, plan_days

_REMEMBER = text("""
    /* messaging_limits.remember */
    UPDATE businesses SET messaging_limit = :limit
     WHERE id = :business_id AND messaging_limit IS DISTINCT FROM :limit
""")
_LIMIT = text("SELECT messaging_limit FROM businesses WHERE id = :business_id")

# Whoever is `sending` or unknown may have got it. Cost: the recipients of the broadcasts of the last day, read once.
_REACHED: Final = """
    SELECT r.phone, min(coalesce(r.sent_at, r.claimed_at)) AS at
      FROM whatsapp_broadcasts b JOIN whatsapp_broadcast_recipients r ON r.broadcast_id = b.id
     WHERE b.business_id = :business_id AND b.started_at IS NOT NULL
       AND coalesce(b.completed_at, 'infinity') > clock_timestamp() - interval '1 day'
       AND coalesce(r.sent_at, r.claimed_at) > clock_timestamp() - interval '1 day'
       AND r.status IN ('sending', 'unknown', 'sent', 'delivered', 'read')
       AND NOT EXISTS (SELECT FROM inbound_messages i
                        WHERE i.business_id = r.business_id AND i.phone = r.phone
                          AND i.at BETWEEN coalesce(r.sent_at, r.claimed_at) - interval '1 day'
                                       AND coalesce(r.sent_at, r.claimed_at))
     GROUP BY r.phone
"""
_USED = text(f"/* messaging_limits.used */ SELECT count(*) FROM ({_REACHED}) AS reached")  # noqa: S608 - our own text
_FREES_AT = text(f"""
    /* messaging_limits.frees_at   When so many places are free: the oldest of the day leave it first. */
    SELECT at + interval '1 day' FROM ({_REACHED}) AS reached ORDER BY at OFFSET :nth LIMIT 1
""")  # noqa: S608 - our own text


_TAKEN = text(f"""
    /* messaging_limits.taken   When taken places come free, an hour's together at its last. */
    SELECT max(at) + interval '1 day' AS at, count(*) AS people FROM ({_REACHED}) AS reached
     GROUP BY date_trunc('hour', at) ORDER BY 1
""")  # noqa: S608 - our own text


class Room(NamedTuple):
    """How many people may be reached a day, and how many of them still can be now."""

    limit: int
    left: int


async def remember(connection: AsyncConnection, business_id: int, limit: int) -> None:
    """What Meta says that the limit is; `UNLIMITED` for none."""
    await connection.execute(_REMEMBER, {"business_id": business_id, "limit": limit})


async def known_limit(connection: AsyncConnection, business_id: int) -> int | None:
    """What Meta last said that the limit is, `UNLIMITED` for none; None where it has said nothing."""
    limit = await connection.scalar(_LIMIT, {"business_id": business_id})
    return None if limit is None else int(limit)


async def room(connection: AsyncConnection, business_id: int) -> Room | None:
    """How many can be reached now; None where there is no limit, or nobody knows one."""
    limit = await known_limit(connection, business_id)
    if limit is None or limit == UNLIMITED:
        return None
    used = int(await connection.scalar(_USED, {"business_id": business_id}) or 0)
    return Room(limit, max(limit - used, 0))


async def frees_at(connection: AsyncConnection, business_id: int, waiting_count: int) -> datetime | None:
    """When enough people can be reached again for a broadcast to go on that still has so many to reach."""
    now = await room(connection, business_id)
    if now is None:
        return None
    missing = enough_to_go_on(now.limit, waiting_count) - now.left
    if missing <= 0:
        return None
    found: datetime | None = await connection.scalar(_FREES_AT, {"business_id": business_id, "nth": missing - 1})
    return found


async def plan(connection: AsyncConnection, business_id: int, people: int) -> tuple[Room | None, Plan]:
    """The days, in UTC, that so many people take, and the room that it was made by; without a limit all are today's."""
    now = datetime.now(UTC)
    found = await room(connection, business_id)
    if found is None:
        return None, Plan((Day(now.date(), people),) if people else (), 0)
    taken = [Freed(row.at, row.people) for row in await connection.execute(_TAKEN, {"business_id": business_id})]
    return found, plan_days(people, found.limit, taken, now)
