"""What the pre-flight says of the cost, in plain words. Always an info: prices are what a person brought."""

from collections.abc import Iterator, Sequence
from typing import Final

from server.domain.costs import Cost, Counted, CountryCost, rounded, written
from server.domain.preflight import Code, Finding, Level
from server.domain.sentences import counted, said

SHOWN_COUNTRIES: Final = 5
_CATEGORIES: Final = (said("marketing"), said("utility"), said("authentication"))
_NO_COUNTRY: Final = said("numbers of no country")


def of_free_text() -> Finding:
    """A message inside the 24-hour window."""
    return Finding(Level.INFO, Code.COST, said("It costs nothing: WhatsApp charges for template messages alone."))


def of_no_card() -> Finding:
    """A business without prices."""
    detail = said(
        "What it costs is not known: this business has no rate card. `clarion rates import FILE` (or PUT /rates) takes "
        "in Meta's prices."
    )
    return Finding(Level.INFO, Code.NO_RATE_CARD, detail)


def of_cost(cost: Cost) -> Iterator[Finding]:
    """The sum and what it is made of, and for whom there is no price."""
    if cost.by_country:
        shown = [_line(item, cost.category) for item in cost.by_country[:SHOWN_COUNTRIES]]
        rest = len(cost.by_country) - len(shown)
        parts = ", ".join(shown)
        if rest:
            parts = counted("%(parts)s and 1 more country", "%(parts)s and %(n)s more countries", rest, parts=parts)
        detail = said(
            "It costs about %(sum)s if everybody gets it: %(parts)s; prices of %(date)s.",
            sum=f"{cost.currency} {rounded(cost.total)}",
            parts=parts,
            date=cost.prices_date,
        )
        yield Finding(Level.INFO, Code.COST, f"{detail}{_free(cost.by_country)}")
    if cost.missing:
        detail = counted(
            "The rate card has no %(category)s price for %(countries)s: 1 person is not counted in.",
            "The rate card has no %(category)s price for %(countries)s: %(n)s people are not counted in.",
            sum(item.people_count for item in cost.missing),
            category=cost.category,
            countries=_named(cost.missing),
        )
        yield Finding(Level.INFO, Code.NO_PRICE, detail)


def _line(item: CountryCost, category: str) -> str:
    charged = item.people_count - item.free_count
    values = {
        "country": item.country or _NO_COUNTRY,
        "count": f"{charged:,}",
        "price": written(item.price),
    }
    match category:
        case "marketing":
            return said("%(country)s marketing %(count)s x %(price)s", **values)
        case "utility":
            return said("%(country)s utility %(count)s x %(price)s", **values)
        case "authentication":
            return said("%(country)s authentication %(count)s x %(price)s", **values)
        case _:
            return f"{values['country']} {category} {values['count']} x {values['price']}"


def _free(by_country: Sequence[CountryCost]) -> str:
    free = sum(item.free_count for item in by_country)
    if not free:
        return ""
    told = counted(
        "1 person is inside the 24-hour window, where a utility template is free.",
        "%(n)s people are inside the 24-hour window, where a utility template is free.",
        free,
    )
    return f" {told}"


def _named(missing: Sequence[Counted]) -> str:
    names = [item.country or _NO_COUNTRY for item in missing]
    more = len(names) - 4 * SHOWN_COUNTRIES
    shown = ", ".join(names[: 4 * SHOWN_COUNTRIES])
    return said("%(list)s and %(more)s more", list=shown, more=more) if more > 0 else shown
