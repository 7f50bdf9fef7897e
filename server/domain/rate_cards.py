"""A rate card: what WhatsApp charges for a delivered template message, by country and category, from which day on.

Meta may change its prices at the start of each quarter, so none are built in: a person brings them as CSV. A card is
taken as a whole or not at all, because a price that was left out would be missed only on the bill.
"""

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Final

from server.domain.errors import BadInput, Problem
from server.domain.phones import is_country

CATEGORIES: Final = ("marketing", "utility", "authentication")
# A row for every country that has none of its own.
EVERY_OTHER: Final = "*"
COLUMNS: Final = ("country", "category", "price", "currency", "valid_from")
MOST_PRICES: Final = 20_000
_SHOWN_PROBLEMS: Final = 50
_DECIMALS: Final = 6
_DEAREST: Final = Decimal(1000)


@dataclass(frozen=True, slots=True)
class Price:
    """country: ISO 3166, or `*` for every other. price: of one message, in the card's currency."""

    country: str
    category: str
    price: Decimal
    valid_from: date


@dataclass(frozen=True, slots=True)
class RateCard:
    """The prices of a business, all in one currency (ISO 4217)."""

    currency: str
    prices: tuple[Price, ...]

    def price_of(self, country: str | None, category: str, day: date) -> Price | None:
        """What a message costs on a day: the country's own price, else that of every other; None where there is none.

        Of several the latest that is valid by then. country: None for a number of no country.
        """
        for name in (country, EVERY_OTHER):
            valid = [
                price
                for price in self.prices
                if (price.country, price.category) == (name, category) and price.valid_from <= day
            ]
            if valid:
                return max(valid, key=lambda price: price.valid_from)
        return None


def read(text: str) -> RateCard:
    """A card from CSV with the columns country, category, price, currency and valid_from; others are passed over.

    A country is two letters; a region is its countries with spaces between them, and `*` is every other country.
    Raises `BadInput` that names each line that cannot be used.
    """
    try:
        return _read(text.splitlines())
    except csv.Error as error:
        raise BadInput(f"This is no CSV that can be read: {error}.") from error


def _read(lines: Sequence[str]) -> RateCard:
    heading = next((line for line in lines if line.strip()), "")
    rows = csv.reader(lines, delimiter=max(",;\t", key=heading.count))
    places = _places(next((row for row in rows if any(map(str.strip, row))), []))
    prices: dict[tuple[str, str, date], Price] = {}
    currencies: dict[str, int] = {}
    problems: list[Problem] = []
    for row in rows:
        if not any(map(str.strip, row)):
            continue
        cells = {name: row[place].strip() if place < len(row) else "" for name, place in places.items()}
        try:
            currencies.setdefault(_currency(cells["currency"]), rows.line_num)
            for price in _prices(cells):
                _add(prices, price)
        except ValueError as error:
            problems.append(Problem(f"line {rows.line_num}", f"{error}."))
    return _card(tuple(prices.values()), currencies, problems)


def _add(prices: dict[tuple[str, str, date], Price], price: Price) -> None:
    key = (price.country, price.category, price.valid_from)
    if key in prices:
        raise ValueError(f"{price.country} {price.category} from {price.valid_from} has come before")
    prices[key] = price


def _card(prices: tuple[Price, ...], currencies: Mapping[str, int], problems: list[Problem]) -> RateCard:
    if len(currencies) > 1:
        named = ", ".join(f"{currency} (line {line})" for currency, line in currencies.items())
        problems.append(Problem("currency", f"A rate card has one currency; this one has {named}."))
    if problems:
        only = f"{problems[0].pointer}: {problems[0].detail}" if len(problems) == 1 else ""
        detail = only or f"{len(problems)} things keep this rate card out."
        raise BadInput(detail, problems=problems[:_SHOWN_PROBLEMS])
    if not prices:
        raise BadInput("This rate card has no prices.")
    if len(prices) > MOST_PRICES:
        raise BadInput(f"This rate card has {len(prices):,} prices; {MOST_PRICES:,} are taken at most.")
    return RateCard(next(iter(currencies)), prices)


def _places(heading: Sequence[str]) -> dict[str, int]:
    """Where each column stands."""
    names = [name.strip().lower() for name in heading]
    missing = [column for column in COLUMNS if column not in names]
    if missing:
        raise BadInput(f"A rate card has the columns {', '.join(COLUMNS)}; this one has no {', '.join(missing)}.")
    return {column: names.index(column) for column in COLUMNS}


def _prices(cells: Mapping[str, str]) -> Iterator[Price]:
    category = cells["category"].lower()
    if category not in CATEGORIES:
        raise ValueError(f'"{cells["category"][:40]}" is no category; it should be one of {", ".join(CATEGORIES)}')
    price, valid_from = _price(cells["price"]), _day(cells["valid_from"])
    for country in _countries(cells["country"]):
        yield Price(country, category, price, valid_from)


def _countries(cell: str) -> list[str]:
    countries = cell.upper().split()
    if not countries:
        raise ValueError("it names no country")
    for country in countries:
        if country != EVERY_OTHER and not is_country(country):
            raise ValueError(
                f'"{cell[:40]}" is no country: write two letters, such as IL, a region as its countries (AT CH DE), '
                "or * for every other"
            )
    return countries


def _price(cell: str) -> Decimal:
    try:
        price = Decimal(cell.replace(",", "."))
    except InvalidOperation:
        price = Decimal("NaN")
    if not (price.is_finite() and 0 <= price < _DEAREST and price == round(price, _DECIMALS)):
        raise ValueError(f'"{cell[:40]}" is no price; it should be like 0.0353, with six decimals at most')
    return price


def _currency(cell: str) -> str:
    if not (len(cell) == 3 and cell.isascii() and cell.isalpha()):
        raise ValueError(f'"{cell[:40]}" is no currency; it should be three letters, such as EUR')
    return cell.upper()


def _day(cell: str) -> date:
    try:
        return date.fromisoformat(cell)
    except ValueError:
        raise ValueError(f'"{cell[:40]}" is no day; it should be like 2026-10-01') from None
