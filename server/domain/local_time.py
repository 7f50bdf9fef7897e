"""A broadcast by each person's local time: what the clock on their wall shows when they get it.

A phone number may lie in several zones (`domain/zones.py`): then it waits until it is that time in the last of them.
Where no zone is known, the zone of the business counts. In autumn a clock may show a time twice: the first counts. What
it jumps over in spring comes with the jump.

Where quiet hours hold as well, the later of both counts: nobody is sent to before their time, nor in quiet hours.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from server.domain.errors import BadInput
from server.domain.quiet_hours import QUIET, Hours, Timetable, jump, timetable, zone_named
from server.domain.sentences import said

# What stands in the row of somebody whose time has not come; the statements of `services/ledger.py` know it too.
LOCAL: Final = said("local time")
# Where the day begins first; nobody can be sent to before it is their time there.
EASTERNMOST: Final = timezone(timedelta(hours=14))
WESTERNMOST: Final = timezone(timedelta(hours=-12))
_NEEDS_SCHEDULE: Final = said(
    "By each person's local time needs to know which time: give scheduled_at, such as 2026-12-01T10:00:00+02:00."
)
_NOT_OVER_DAYS: Final = said(
    "A broadcast by each person's local time goes to everybody at that time, and one that is spread over days does "
    "not. Choose one of the two."
)


@dataclass(frozen=True, slots=True)
class LocalTime:
    """What a broadcast goes by. wall: a date and a time without a zone. home: the zone of the business."""

    wall: datetime
    home: str

    def comes_at(self, zones: tuple[str, ...]) -> datetime:
        """When it is that time for whoever may be in these zones: in the last of them."""
        return _comes_at(self.wall, zones or (self.home,))

    @property
    def comes_first_at(self) -> datetime:
        """When it is that time for the first people on earth."""
        return self.wall.replace(tzinfo=EASTERNMOST).astimezone(UTC)


def comes_at(wall: datetime, zones: Iterable[ZoneInfo]) -> datetime:
    """The instant from which on clocks in all of these zones have shown this date and time, or a later one.

    wall: without a zone. zones: one at least.
    """
    return max(_shown_at(wall, place) for place in zones)


@lru_cache(maxsize=4096)
def _comes_at(wall: datetime, zones: tuple[str, ...]) -> datetime:
    return comes_at(wall, map(zone_named, zones))


def _shown_at(wall: datetime, place: ZoneInfo) -> datetime:
    first, second = (wall.replace(tzinfo=place, fold=fold).astimezone(UTC) for fold in (0, 1))
    if first <= second:
        return first
    return jump(place, second.replace(second=0, microsecond=0), first)


def later_of(local: LocalTime | None, hours: Hours | None, zones: tuple[str, ...], now: datetime) -> datetime | None:
    """Until when whoever may be in these zones is left alone; None: they may be sent to.

    local, hours: None where the broadcast has none. now: aware.
    """
    time_at = now if local is None else max(now, local.comes_at(zones))
    until = time_at if hours is None else hours.until(zones, time_at) or time_at
    return until if until > now else None


def waiting_times(local: LocalTime | None, hours: Hours | None, now: datetime) -> Timetable:
    """Who is left alone until when at this instant, by both."""
    if local is None:
        return timetable(lambda zones: later_of(None, hours, zones, now))

    def why(zones: tuple[str, ...]) -> str:
        return LOCAL if later_of(local, hours, zones, now) == local.comes_at(zones) else QUIET

    return timetable(lambda zones: later_of(local, hours, zones, now), why)


def times_of(local: LocalTime) -> Timetable:
    """When it is that time for whom, passed or not."""
    return timetable(local.comes_at, lambda _: LOCAL)


def last_leaves_at(people_at: Mapping[datetime, int], now: datetime, seconds_each: float) -> datetime:
    """When the last of these will have been sent to, never before their time. seconds_each: between two messages."""
    found, count = now, 0
    for at in sorted(people_at, reverse=True):
        count += people_at[at]
        found = max(found, max(at, now) + timedelta(seconds=seconds_each * count))
    return found


def is_over(wall: datetime, now: datetime) -> bool:
    """Whether it has been that time everywhere on earth."""
    return wall.replace(tzinfo=WESTERNMOST) <= now


def wall_of(written: datetime) -> datetime:
    """What an instant reads, in the offset that it was written in, without it; whole seconds."""
    return written.replace(tzinfo=None, microsecond=0)


def in_words(wall: datetime) -> str:
    """Such as `2026-12-01 10:00`; with seconds where there are any."""
    return f"{wall:%Y-%m-%d %H:%M:%S}" if wall.second else f"{wall:%Y-%m-%d %H:%M}"


def refuse_odd(*, by_local_time: bool, has_schedule: bool, spread_over_days: bool) -> None:
    """Raises `BadInput` for a broadcast by local time that names no time, or is meant to take days."""
    if by_local_time and not has_schedule:
        raise BadInput(_NEEDS_SCHEDULE, pointer="/scheduled_at")
    if by_local_time and spread_over_days:
        raise BadInput(_NOT_OVER_DAYS, pointer="/spread_over_days")
