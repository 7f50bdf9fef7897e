"""The rate card of a business: taken in as a whole, read, taken away."""

from typing import Any, NamedTuple

from sqlalchemy import delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from server.domain.costs import written
from server.domain.errors import BadInput, TooLarge
from server.domain.rate_cards import Price, RateCard, read
from server.models import RateCardPrice
from server.services.csv_lists import SAMPLE_BYTES
from server.services.encodings import encoding_of, marked_encoding

MOST_BYTES = 2 * 1024 * 1024


class Taken(NamedTuple):
    """A card that came in. countries_count: with a price of their own, `*` among them."""

    currency: str
    prices_count: int
    countries_count: int


async def replace(connection: AsyncConnection, business_id: int, body: bytes) -> Taken:
    """Take in a card as CSV, in place of the one there was. Raises `BadInput`, and then nothing has changed."""
    card = read(_text(body))
    await forget(connection, business_id)
    rows = [
        {
            "business_id": business_id,
            "country": price.country,
            "category": price.category,
            "valid_from": price.valid_from,
            "price": price.price,
            "currency": card.currency,
        }
        for price in card.prices
    ]
    await connection.execute(insert(RateCardPrice), rows)
    return Taken(card.currency, len(rows), len({price.country for price in card.prices}))


async def forget(connection: AsyncConnection, business_id: int) -> None:
    """Take the card of a business away."""
    await connection.execute(delete(RateCardPrice).where(RateCardPrice.business_id == business_id))


async def of_business(connection: AsyncConnection, business_id: int) -> RateCard | None:
    """The card of a business, if it has one."""
    found = await _rows(connection, business_id)
    if not found:
        return None
    prices = (Price(row["country"], row["category"], row["price"], row["valid_from"]) for row in found)
    return RateCard(found[0]["currency"], tuple(prices))


async def show(connection: AsyncConnection, business_id: int) -> dict[str, Any]:
    """The card as the API shows it: `currency` and `imported_at` (None where there is no card), and `items`."""
    found = await _rows(connection, business_id)
    first = found[0] if found else {}
    names = ("country", "category", "price", "valid_from")
    return {
        "currency": first.get("currency"),
        "imported_at": first.get("imported_at"),
        "items": [{**{name: row[name] for name in names}, "price": written(row["price"])} for row in found],
    }


async def _rows(connection: AsyncConnection, business_id: int) -> list[dict[str, Any]]:
    table = RateCardPrice
    columns = (table.country, table.category, table.price, table.currency, table.valid_from, table.imported_at)
    statement = select(*columns).where(table.business_id == business_id)
    ordered = statement.order_by(table.country, table.category, table.valid_from)
    return [dict(row) for row in (await connection.execute(ordered)).mappings()]


def _text(body: bytes) -> str:
    if len(body) > MOST_BYTES:
        raise TooLarge(f"A rate card has {MOST_BYTES // 1024 // 1024} MB at most.")
    encoding = marked_encoding(body[:4]) or encoding_of(body[:SAMPLE_BYTES])
    text = "\x00" if encoding is None else body.decode(encoding, "replace")
    if "\x00" in text:
        raise BadInput("This is no text that can be read. Save the rate card as CSV in UTF-8.")
    return text
