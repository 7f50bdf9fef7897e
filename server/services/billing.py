"""What WhatsApp billed of a broadcast: messages by category, kind of price and country, as its statuses say.

Meta charges for a delivered template message by its category and the country of the recipient; only the price type
`regular` costs anything. Amounts are not here: Meta's price lists change each quarter.
"""

from collections import Counter
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from server.domain.phones import country_of
from server.services.countries import leading

_PRICED = text(f"""
    /* billing.priced   Cost: the recipients of one broadcast, read through once. The first digits of a phone tell the
       country: one phone of each group stands for it. */
    SELECT price_category, price_type, min(phone) AS phone, count(*) AS people_count
      FROM whatsapp_broadcast_recipients
     WHERE broadcast_id = :broadcast_id AND price_category IS NOT NULL
     GROUP BY price_category, price_type, {leading("phone")}
""")  # noqa: S608 - our own expression


async def of_broadcast(connection: AsyncConnection, broadcast_id: int) -> list[dict[str, Any]]:
    """`category`, `type`, `country` (ISO 3166, null where a number has none) and `count`, the largest first."""
    counts: Counter[tuple[str, str, str | None]] = Counter()
    for row in await connection.execute(_PRICED, {"broadcast_id": broadcast_id}):
        counts[row.price_category, row.price_type or "regular", country_of(row.phone)] += row.people_count
    return [
        {"category": category, "type": kind, "country": country, "count": count}
        for (category, kind, country), count in counts.most_common()
    ]
