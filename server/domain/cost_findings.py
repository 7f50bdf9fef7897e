"""What the pre-flight says of the cost, in plain words. Always an info: prices are what a person brought."""

from collections.abc import Iterator, Sequence
from typing import Final

from server.domain.costs import Cost, Counted, CountryCost, rounded, written
from server.domain.preflight import Code, Finding, Level

SHOWN_COUNTRIES: Final = 5
_NO_COUNTRY: Final = "numbers of no country"


def of_free_text() -> Finding:
    """A message inside the 24-hour window."""
    return Finding(Level.INFO, Code.COST, "It costs nothing: WhatsApp charges for template messages alone.")


def of_no_card() -> Finding:
    """A business without prices."""
    detail = (
        "What it costs is not known: this business has no rate card. `clarion rates import FILE` (or PUT /rates) takes "
        "in Meta's prices."
    )
    return Finding(Level.INFO, Code.NO_RATE_CARD, detail)


def of_cost(cost: Cost) -> Iterator[Finding]:
    """The sum and what it is made of, and for whom there is no price."""
    if cost.by_country:
        shown = [_line(item, cost.category) for item in cost.by_country[:SHOWN_COUNTRIES]]
        rest = len(cost.by_country) - len(shown)
        others = f" and {rest} more {'country' if rest == 1 else 'countries'}" if rest else ""
        detail = (
            f"It costs about {cost.currency} {rounded(cost.total)} if everybody gets it: {', '.join(shown)}{others}; "
            f"prices of {cost.prices_date}."
        )
        yield Finding(Level.INFO, Code.COST, f"{detail}{_free(cost.by_country)}")
    if cost.missing:
        people = sum(item.people_count for item in cost.missing)
        who = "1 person is" if people == 1 else f"{people:,} people are"
        detail = f"The rate card has no {cost.category} price for {_named(cost.missing)}: {who} not counted in."
        yield Finding(Level.INFO, Code.NO_PRICE, detail)


def _line(item: CountryCost, category: str) -> str:
    charged = item.people_count - item.free_count
    return f"{item.country or _NO_COUNTRY} {category} {charged:,} x {written(item.price)}"


def _free(by_country: Sequence[CountryCost]) -> str:
    free = sum(item.free_count for item in by_country)
    if not free:
        return ""
    who = "1 person is" if free == 1 else f"{free:,} people are"
    return f" {who} inside the 24-hour window, where a utility template is free."


def _named(missing: Sequence[Counted]) -> str:
    names = [item.country or _NO_COUNTRY for item in missing]
    more = len(names) - 4 * SHOWN_COUNTRIES
    return ", ".join(names[: 4 * SHOWN_COUNTRIES]) + (f" and {more} more" if more > 0 else "")
