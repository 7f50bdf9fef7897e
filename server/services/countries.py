"""People by the country of their phone: grouped in the database by the digits that tell it, named here."""

from collections import Counter
from collections.abc import Iterable
from typing import Final

from server.domain.phones import SHARED_CODES, country_of

_NORTH_AMERICA: Final = "+1"
_SHARED: Final = ", ".join(f"'{code}'" for code in SHARED_CODES if code != _NORTH_AMERICA)
# No country code begins with another, and the longest has three digits. Under +1 the area code tells the country; five
# digits more do under every other code that several countries share. A million phones are some hundreds of groups.
LEADING: Final = f"""
    left({{phone}}, CASE WHEN left({{phone}}, 2) = '{_NORTH_AMERICA}' THEN 5
                         WHEN left({{phone}}, 2) IN ({_SHARED}) OR left({{phone}}, 3) IN ({_SHARED})
                              OR left({{phone}}, 4) IN ({_SHARED}) THEN 8
                         ELSE 4 END)
"""


def leading(phone: str) -> str:
    """SQL to group by: the first digits of a phone, as many as tell its country. phone: a column."""
    return LEADING.format(phone=phone)


def by_country(groups: Iterable[tuple[str, int]]) -> Counter[str | None]:
    """How many people each country has. groups: any phone of a group, and how many are in it."""
    counts: Counter[str | None] = Counter()
    for phone, count in groups:
        counts[country_of(phone)] += count
    return counts
