"""A broadcast spread over days: how many people WhatsApp's 24-hour messaging limit lets it reach on each of them.

Whoever was reached counts for 24 hours, and their place is free then for somebody else. So the plan follows the places
as they come free: those of yesterday's people first, and then those of the broadcast's own, a day after each.
"""

import heapq
from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from typing import Final, NamedTuple

from server.domain.sentences import counted, said

WINDOW: Final = timedelta(days=1)
# Beyond a season nobody plans by the day; what is left then is said as a number.
MOST_DAYS: Final = 92
SHOWN_DAYS: Final = 4


class Freed(NamedTuple):
    """Places that come free: so many people were reached a day before."""

    at: datetime
    people: int


class Day(NamedTuple):
    """How many people are reached on a day."""

    date: date
    people: int


class Plan(NamedTuple):
    """The days on which anybody is reached, the first first. later_count: people who come after the last of them."""

    days: tuple[Day, ...]
    later_count: int


def plan_days(people: int, limit: int, freed: Iterable[Freed], now: datetime) -> Plan:
    """The days that so many people take.

    limit: people a day, in all. freed: places that are taken now, and when they come free, within a day. The days are
    those of `now`'s time zone. It is a plan, not a promise: who wrote within a day takes no place, and who was reached
    already takes none twice, so it may be quicker; other broadcasts of the business take places too.
    """
    waiting = people
    places = _places(limit, sorted(freed), now)
    reached: dict[date, int] = {}
    while waiting and places:
        at, free = heapq.heappop(places)
        day = max(at, now).astimezone(now.tzinfo).date()
        if (day - now.date()).days >= MOST_DAYS:
            break
        sent = min(free, waiting)
        if sent:
            waiting -= sent
            reached[day] = reached.get(day, 0) + sent
            heapq.heappush(places, Freed(max(at, now) + WINDOW, sent))
    return Plan(tuple(Day(day, count) for day, count in reached.items()), waiting)


def _places(limit: int, taken: Sequence[Freed], now: datetime) -> list[Freed]:
    """What is free now, and what comes free; a heap. Where a limit was lowered, the first who leave free nothing."""
    left = limit - sum(place.people for place in taken)
    places = [Freed(now, max(left, 0))]
    for at, people in taken:
        left += people
        places.append(Freed(at, min(max(left, 0), people)))
    return places  # in the order of time, which is a heap


def in_words(plan: Plan, today: date) -> str:
    """The first days, and how far it goes: `1,000 today, 1,000 on Thu 26 Nov and 500 on Fri 27 Nov`."""
    days = [_on(day, today) for day in plan.days[:SHOWN_DAYS]]
    more = plan.days[SHOWN_DAYS:]
    if more:
        last = written(more[-1].date)
        days.append(counted("1 more day up to %(day)s", "%(n)s more days up to %(day)s", len(more), day=last))
    if plan.later_count:
        days.append(counted("1 later", "%(n)s later", plan.later_count))
    return _listed(days)


def _on(day: Day, today: date) -> str:
    if day.date == today:
        return counted("1 today", "%(n)s today", day.people)
    return counted("1 on %(day)s", "%(n)s on %(day)s", day.people, day=written(day.date))


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}" if words else said("nobody")


def written(day: date) -> str:
    """A day as `Thu 26 Nov`. Not by strftime: its words change with the locale of the process."""
    return f"{_WEEKDAYS[day.weekday()]} {day.day} {_MONTHS[day.month - 1]}"


def read(text: str) -> date | None:
    """A day of which `written` makes this text, in some year; None where there is none such."""
    match text.split(" "):
        case [weekday, day, month] if weekday in _WEEKDAYS and month in _MONTHS and day.isdecimal() and len(day) < 3:
            days = (_day_of(year, _MONTHS.index(month) + 1, int(day)) for year in _EVERY_CALENDAR)
            return next((found for found in days if found and found.weekday() == _WEEKDAYS.index(weekday)), None)
        case _:
            return None


def _day_of(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None


# The days of the week fall on the same dates every 28 years.
_EVERY_CALENDAR: Final = range(2000, 2028)
_WEEKDAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
