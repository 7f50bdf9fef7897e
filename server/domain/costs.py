"""What a broadcast would cost: a sum of people by country and the prices of a rate card. Exact, in decimals.

Meta charges for each template message that is delivered, by its category and the country of the number (since July
2025). Free for certain: messages that are no template, and utility templates to people inside their 24-hour window.
Marketing and authentication are always charged, but for free entry points, which nobody knows beforehand: so this is
what it costs if everybody gets it, and the bill may be lower.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from server.domain.rate_cards import RateCard

UTILITY = "utility"
_CENT = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class Counted:
    """People of one country. country: ISO 3166, None for numbers of none. free_count: of them, who cost nothing."""

    country: str | None
    people_count: int
    free_count: int = 0


@dataclass(frozen=True, slots=True)
class CountryCost:
    """What the people of one country cost. price: of one message."""

    country: str | None
    people_count: int
    free_count: int
    price: Decimal
    cost: Decimal


@dataclass(frozen=True, slots=True)
class Cost:
    """What everybody costs who has a price, the dearest country first; `missing` has none.

    prices_date: since when the newest of the prices used is valid.
    """

    currency: str
    category: str
    total: Decimal
    by_country: tuple[CountryCost, ...]
    missing: tuple[Counted, ...]
    prices_date: date | None

    def as_json(self) -> dict[str, object]:
        """The shape of docs/api.md. Amounts are decimals as text: no float has them exactly."""
        return {
            "currency": self.currency,
            "total": written(self.total),
            "by_country": [
                {
                    "country": item.country,
                    "category": self.category,
                    "recipients": item.people_count,
                    "free": item.free_count,
                    "price": written(item.price),
                    "cost": written(item.cost),
                }
                for item in self.by_country
            ],
            "missing": [{"country": item.country, "recipients": item.people_count} for item in self.missing],
            "prices_date": None if self.prices_date is None else self.prices_date.isoformat(),
        }


def cost_of(card: RateCard, category: str, people: Iterable[Counted], day: date) -> Cost:
    """The sum. category: in small letters. day: on which it is sent; prices are those of that day."""
    found: list[CountryCost] = []
    missing: list[Counted] = []
    dates: set[date] = set()
    for counted in people:
        price = card.price_of(counted.country, category, day)
        if price is None:
            missing.append(counted)
            continue
        dates.add(price.valid_from)
        cost = price.price * (counted.people_count - counted.free_count)
        found.append(CountryCost(counted.country, counted.people_count, counted.free_count, price.price, cost))
    return Cost(
        currency=card.currency,
        category=category,
        total=sum((item.cost for item in found), Decimal(0)),
        by_country=tuple(sorted(found, key=lambda item: (-item.cost, -item.people_count, item.country or ""))),
        missing=tuple(sorted(missing, key=lambda item: (-item.people_count, item.country or ""))),
        prices_date=max(dates, default=None),
    )


def written(amount: Decimal) -> str:
    """An amount with what decimals it needs, and two at least: 431.20, 0.0353."""
    exact = amount.normalize()
    return format(exact if exact.as_tuple().exponent < -2 else exact.quantize(_CENT), "f")  # type: ignore[operator]


def rounded(amount: Decimal) -> str:
    """An amount for people, to the cent: 1,431.20."""
    return f"{amount.quantize(_CENT):,}"
