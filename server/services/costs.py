"""What a broadcast would cost: its people counted by country in the database, the sum made in `domain/costs.py`."""

from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Final

from sqlalchemy import Row, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from server.domain.audience import parse
from server.domain.cost_findings import of_cost, of_free_text, of_no_card
from server.domain.costs import UTILITY, Cost, Counted, cost_of
from server.domain.errors import BadInput
from server.domain.messages import columns_of
from server.domain.preflight import Finding
from server.models import Channel
from server.services import rate_cards, snapshots, templates
from server.services.countries import by_country, leading

_OF_LIST = text(f"""
    /* costs.of_list
       Cost: every waiting recipient of the broadcast once: a million in about a second.
       Free are those whose 24-hour window with this number is open now, where that is asked. */
    SELECT min(r.phone COLLATE "C") AS phone, count(*) AS people_count, count(w.phone) AS free_count
      FROM whatsapp_broadcast_recipients r
      LEFT JOIN (SELECT DISTINCT phone FROM inbound_messages
                  WHERE business_id = :business_id AND channel_id = :channel_id AND :in_windows
                    AND at > clock_timestamp() - interval '24 hours') AS w ON w.phone = r.phone
     WHERE r.broadcast_id = :broadcast_id AND r.status = 'queued'
       AND NOT EXISTS (SELECT FROM suppressions s WHERE s.business_id = :business_id AND s.phone = r.phone)
     GROUP BY {leading("r.phone")}
""")  # noqa: S608 - our own expression


@dataclass(frozen=True, slots=True)
class Estimate:
    """What is said of the cost, and the cost itself where it is known."""

    findings: tuple[Finding, ...] = ()
    cost: Cost | None = None


NOTHING_TO_SAY: Final = Estimate()


async def estimate(connection: AsyncConnection, broadcast: Row[Any], channel_id: int) -> Estimate:
    """What a broadcast costs whose people have yet to be sent to.

    broadcast: `id`, `business_id`, `message`, `audience` (where it is yet to be taken) and `scheduled_at`.
    channel_id: it is sent from.
    """
    if "text" in broadcast.message:
        return Estimate((of_free_text(),))
    category = await _category(connection, broadcast, channel_id)
    if category is None:
        return NOTHING_TO_SAY  # that the template is not there is said already
    card = await rate_cards.of_business(connection, broadcast.business_id)
    if card is None:
        return Estimate((of_no_card(),))
    now = datetime.now(UTC)
    starts_later = broadcast.scheduled_at is not None and broadcast.scheduled_at > now
    # Whose window is open on another day cannot be known.
    in_windows = category == UTILITY and not starts_later
    people = await _people(connection, broadcast, channel_id, in_windows=in_windows)
    cost = cost_of(card, category, people, _day(broadcast.scheduled_at if starts_later else now))
    return Estimate(tuple(of_cost(cost)), cost)


def _day(at: datetime) -> date:
    return at.astimezone(UTC).date()


async def _category(connection: AsyncConnection, broadcast: Row[Any], channel_id: int) -> str | None:
    """In small letters. None: there is no such template."""
    waba_id = await connection.scalar(select(Channel.waba_id).where(Channel.id == channel_id))
    try:
        template = await templates.find(connection, broadcast.business_id, str(waba_id), broadcast.message)
    except BadInput:
        return None
    return str(template.category).lower()


async def _people(
    connection: AsyncConnection, broadcast: Row[Any], channel_id: int, *, in_windows: bool
) -> list[Counted]:
    values = {"business_id": broadcast.business_id, "channel_id": channel_id, "in_windows": in_windows}
    if broadcast.audience is None:
        groups = (await connection.execute(_OF_LIST, {**values, "broadcast_id": broadcast.id})).all()
    else:
        audience, columns = parse(broadcast.audience), columns_of(broadcast.message)
        groups = await snapshots.by_leading_digits(connection, broadcast.business_id, audience, columns, values)
    people = by_country((group.phone, group.people_count) for group in groups)
    free = by_country((group.phone, group.free_count) for group in groups)
    return [Counted(country, count, free[country]) for country, count in people.items()]
