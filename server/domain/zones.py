"""Which time zones a phone number may be in, by its first digits.

The tables are those of `phonenumbers` (`time_zones_for_number`), read as ranges of numbers, so that the database can
find the range of a million people by one binary search each, and Python finds the same one.

The library knows areas of fixed lines inside a country, and WhatsApp is mostly on mobiles, whose numbers say nothing
of a place in most countries. So areas count only where mobile numbers belong to one too (`_BY_AREA`); everywhere else
a number may be in any zone of its country. A person who took a number along to another zone is nobody's to know.
"""

from bisect import bisect_right
from collections.abc import Mapping
from functools import cache
from typing import Final, NamedTuple

import phonenumbers
from phonenumbers.tzdata import TIMEZONE_DATA

# E.164 has 15 digits at most; a shorter number is filled up with zeros, which keeps the order of prefixes.
DIGITS: Final = 15
# Country codes whose mobile numbers carry an area code: by the library's own list, and North America's.
_BY_AREA: Final = frozenset({"1", "52", "54", "55", "62", "86"})
# Two countries behind one code: Kazakhstan's numbers are those of +7 that go on with a 7.
_COUNTRIES_WITHIN: Final = frozenset({"77"})


class Ranges(NamedTuple):
    """The whole space of numbers in neighbouring ranges.

    lows: the first number of each, as `key_of` has numbers, in ascending order from 0. zones: IANA names of each, in
    which its numbers may be; empty where nobody knows, such as for satellites (+870).
    """

    lows: tuple[int, ...]
    zones: tuple[tuple[str, ...], ...]


def key_of(phone: str) -> int:
    """An E.164 number as the whole number that ranges go by; 0 for what is none."""
    digits = phone[1:]
    is_number = phone[:1] == "+" and digits.isascii() and digits.isdecimal() and len(digits) <= DIGITS
    return int(digits.ljust(DIGITS, "0")) if is_number else 0


def prefix_of(low: int) -> str:
    """The shortest text that numbers from here on begin with or come after: where an index by phone begins to look."""
    return f"+{str(low).zfill(DIGITS).rstrip('0')}" if low else ""


def zones_of(phone: str) -> tuple[str, ...]:
    """The zones that a number may be in; empty where nobody knows."""
    found = ranges()
    return found.zones[bisect_right(found.lows, key_of(phone)) - 1]


@cache
def ranges() -> Ranges:
    """All ranges, neighbours with the same zones taken together. Read once a process, in 20 ms."""
    by_prefix = {prefix: tuple(zones) for prefix, zones in TIMEZONE_DATA.items() if _counts(prefix)}
    edges = sorted({0} | {edge for prefix in by_prefix for edge in (_first(prefix), _first(prefix) + _width(prefix))})
    lows: list[int] = []
    zones: list[tuple[str, ...]] = []
    for edge in edges:
        found = _longest(by_prefix, str(edge).zfill(DIGITS))
        if not zones or zones[-1] != found:
            lows.append(edge)
            zones.append(found)
    return Ranges(tuple(lows), tuple(zones))


def _first(prefix: str) -> int:
    return int(prefix.ljust(DIGITS, "0"))


def _width(prefix: str) -> int:
    width: int = 10 ** (DIGITS - len(prefix))
    return width


def _longest(by_prefix: Mapping[str, tuple[str, ...]], digits: str) -> tuple[str, ...]:
    for end in range(DIGITS, 0, -1):
        found = by_prefix.get(digits[:end])
        if found is not None:
            return found
    return ()


def _counts(prefix: str) -> bool:
    code = _country_code(prefix)
    return prefix == code or code in _BY_AREA or prefix in _COUNTRIES_WITHIN


def _country_code(prefix: str) -> str:
    """No country code begins with another one, so the first that exists is the right one."""
    for end in (1, 2, 3):
        if int(prefix[:end]) in phonenumbers.COUNTRY_CODE_TO_REGION_CODE:
            return prefix[:end]
    return ""
