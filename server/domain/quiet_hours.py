"""Quiet hours: when a person is left alone, by the clock on their own wall.

A phone number may lie in several zones. It is quiet for as long as it is quiet in any of them. Where that would leave
no time at all (a number of North America that no table knows may be anywhere from Guam to Bermuda), and where no zone
is known, the zone of the business counts.

Hours are whole minutes, and so is the distance of every zone from UTC: what is quiet changes only as a minute of UTC
begins.
"""

import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo, available_timezones

from server.domain.errors import BadInput, Problem
from server.domain.sentences import said
from server.domain.zones import key_of, ranges

_DAYS: Final = (
    said("Monday"),
    said("Tuesday"),
    said("Wednesday"),
    said("Thursday"),
    said("Friday"),
    said("Saturday"),
    said("Sunday"),
)
MONDAY_FIRST: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
# Read once a process: its own cache keeps eight.
zone_named: Final = cache(ZoneInfo)
# Whoever is not left in peace for once within so long never would be.
_LOOKED_AHEAD: Final = timedelta(days=8)
_CLOCK: Final = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")
# What a machine happens to be set to, which is another on the next one, and what says that it is set to nothing.
_NO_ZONES: Final = frozenset(("localtime", "Factory"))
_NO_PLACES: Final = ("Etc/", "SystemV/", "US/", "Canada/", "Brazil/", "Mexico/", "Chile/")
_DAY: Final = timedelta(days=1)
_MINUTE: Final = timedelta(minutes=1)
# What stands in the row of somebody who is put off by them; the statements of `services/ledger.py` know it too.
QUIET: Final = said("quiet hours")


@dataclass(frozen=True, slots=True)
class QuietHours:
    """From when until when nothing is sent, by the clock of whoever would get it.

    begins_at, ends_at: whole minutes, never the same; the end may be on the next day. days_off: weekdays on which
    nothing is sent at all, 0 for Monday; never all seven.
    """

    begins_at: time
    ends_at: time
    days_off: frozenset[int] = frozenset()

    def covers(self, clock: time) -> bool:
        """Whether the clock on the wall shows quiet hours. The last minute ends before `ends_at`."""
        if self.begins_at < self.ends_at:
            return self.begins_at <= clock < self.ends_at
        return clock >= self.begins_at or clock < self.ends_at

    def __str__(self) -> str:
        hours = f"{self.begins_at:%H:%M}-{self.ends_at:%H:%M}"
        off = " and ".join(name.capitalize() for name in self._names_of_days_off)
        return said("%(hours)s and all of %(days)s", hours=hours, days=off) if off else hours

    @property
    def _names_of_days_off(self) -> list[str]:
        return [name for number, name in enumerate(MONDAY_FIRST) if number in self.days_off]

    def as_json(self) -> dict[str, Any]:
        """The shape of docs/api.md."""
        return {
            "from": f"{self.begins_at:%H:%M}",
            "to": f"{self.ends_at:%H:%M}",
            "days_off": self._names_of_days_off,
        }


def parse(raw: Mapping[str, Any], pointer: str = "/quiet_hours") -> QuietHours:
    """Quiet hours as JSON has them: `from`, `to`, `days_off`. Raises `BadInput` that names each wrong field."""
    problems: list[Problem] = []
    clocks = {name: _clock(raw.get(name), f"{pointer}/{name}", problems) for name in ("from", "to")}
    days_off = _days_off(raw.get("days_off") or (), f"{pointer}/days_off", problems)
    if not problems and clocks["from"] == clocks["to"]:
        detail = said("Quiet hours that begin and end at the same time would be no hours, or all. Name two times.")
        problems.append(Problem(f"{pointer}/to", detail))
    if problems:
        raise BadInput(problems[0].detail, problems=problems)
    return QuietHours(clocks["from"], clocks["to"], days_off)


def _clock(raw: object, pointer: str, problems: list[Problem]) -> time:
    found = _CLOCK.fullmatch(str(raw))
    if found is not None:
        return time(int(found[1]), int(found[2]))
    detail = said('"%(text)s" is no time of day; it should be hours and minutes, such as 21:00.', text=str(raw)[:20])
    problems.append(Problem(pointer, detail))
    return time()


def _days_off(raw: Iterable[object], pointer: str, problems: list[Problem]) -> frozenset[int]:
    days_off = set()
    for number, name in enumerate(raw):
        if str(name).lower() in MONDAY_FIRST:
            days_off.add(MONDAY_FIRST.index(str(name).lower()))
        else:
            detail = said(
                '"%(text)s" is no weekday; it should be one of %(days)s.',
                text=str(name)[:20],
                days=", ".join(MONDAY_FIRST),
            )
            problems.append(Problem(f"{pointer}/{number}", detail))
    if len(days_off) == len(MONDAY_FIRST):
        problems.append(Problem(pointer, "With every day off nothing could ever be sent. Leave one of the seven out."))
    return frozenset(days_off)


def known_zone(name: str) -> str:
    """The name itself. Raises `ValueError` with a plain sentence where it is none that IANA lists."""
    if name not in _listed():
        raise ValueError(
            said('"%(name)s" is no time zone; it should be a name such as Europe/Berlin or UTC.', name=name[:40])
        )
    return name


@cache
def zones_to_choose() -> tuple[str, ...]:
    """The names that a person looks for, in their order: places, and UTC; without those kept for old programs."""
    places = (name for name in _listed() if "/" in name and not name.startswith(_NO_PLACES))
    return ("UTC", *sorted(places))


@cache
def _listed() -> frozenset[str]:
    return frozenset(available_timezones()) - _NO_ZONES


def quiet_until(hours: QuietHours, zones: Iterable[ZoneInfo], now: datetime) -> datetime | None:
    """The end of the quiet hours that it is now in any of these zones: then it is quiet in none of them.

    now: aware. None: it is quiet nowhere. Raises `NeverAwake` where it is always quiet somewhere.
    """
    at = now
    everywhere = tuple(zones)
    while True:
        ends = [end for place in everywhere if (end := _end_of(hours, place, at)) is not None]
        if not ends:
            return None if at == now else at
        at = max(ends)
        if at - now > _LOOKED_AHEAD:
            raise NeverAwake


class NeverAwake(Exception):
    """It is quiet in at least one of the zones at any time of the week."""


def _end_of(hours: QuietHours, place: ZoneInfo, at: datetime) -> datetime | None:
    """The end of the day off or of the quiet hours that it is at this instant in one zone, whichever it is."""
    local = at.astimezone(place)
    if local.weekday() in hours.days_off:
        return _next(local.date() + _DAY, time(), place, at)
    clock = local.time()
    if not hours.covers(clock):
        return None
    ends_tomorrow = clock >= hours.ends_at
    return _next(local.date() + _DAY if ends_tomorrow else local.date(), hours.ends_at, place, at)


def _next(day: date, clock: time, place: ZoneInfo, after: datetime) -> datetime:
    """When the clock on the wall shows this, or more, after an instant.

    In autumn it may show it twice, and the first may be over; what it jumps over in spring comes with the jump.
    """
    first, second = (datetime.combine(day, clock, place).replace(fold=fold).astimezone(UTC) for fold in (0, 1))
    if first > second:
        return jump(place, second, first)
    return first if first > after else second


def jump(place: ZoneInfo, before: datetime, behind: datetime) -> datetime:
    """The minute of UTC at which the clock on the wall jumps, between two instants."""
    offset = behind.astimezone(place).utcoffset()
    while behind - before > _MINUTE:
        middle = before + (behind - before) // _MINUTE // 2 * _MINUTE
        if middle.astimezone(place).utcoffset() == offset:
            behind = middle
        else:
            before = middle
    return behind


@dataclass(frozen=True, slots=True)
class Hours:
    """What a broadcast goes by. home: the zone of the business."""

    quiet: QuietHours
    home: str

    def until(self, zones: tuple[str, ...], now: datetime) -> datetime | None:
        """Until when whoever may be in these zones is left alone; None: they may be sent to."""
        try:
            return quiet_until(self.quiet, map(zone_named, zones or (self.home,)), now)
        except NeverAwake:
            return quiet_until(self.quiet, (zone_named(self.home),), now)


class Timetable(NamedTuple):
    """Who is left alone until when, and why: for ranges of numbers, as `domain/zones.py` has them.

    untils: None where they may be sent to; then they have no word in whys, which says what their row says meanwhile.
    """

    lows: tuple[int, ...]
    untils: tuple[datetime | None, ...]
    whys: tuple[str, ...]

    def until(self, phone: str) -> datetime | None:
        """Until when this person is left alone; None: they may be sent to."""
        return self.untils[self._nth(phone)]

    def why(self, phone: str) -> str:
        """Why this person is left alone; empty: they are not."""
        return self.whys[self._nth(phone)]

    def _nth(self, phone: str) -> int:
        return bisect_right(self.lows, key_of(phone)) - 1

    def people_until(self, people: Mapping[int, int]) -> dict[datetime, int]:
        """How many are left alone until when. people: how many are in each range, the first range being 1."""
        counts: dict[datetime, int] = {}
        for nth, count in people.items():
            until = self.untils[nth - 1]
            if until is not None:
                counts[until] = counts.get(until, 0) + count
        return counts


EVERYBODY_AWAKE: Final = Timetable((0,), (None,), ("",))


def timetable(
    until: Callable[[tuple[str, ...]], datetime | None], why: Callable[[tuple[str, ...]], str] = lambda _: QUIET
) -> Timetable:
    """The timetable of all numbers. until, why: of people who may be in these zones; asked once for each set of zones.

    why: asked of those alone who are left alone.
    """
    asked = cache(lambda zones: (found := until(zones), "" if found is None else why(zones)))
    lows: list[int] = []
    waits: list[tuple[datetime | None, str]] = []
    for low, zones in zip(*ranges(), strict=True):
        found = asked(zones)
        if not waits or waits[-1] != found:
            lows.append(low)
            waits.append(found)
    return Timetable(tuple(lows), tuple(until for until, _ in waits), tuple(why for _, why in waits))
