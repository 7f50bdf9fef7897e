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
    """The first days, and how far it goes: `Today 1,000, Thu 26 Nov 1,000 and Fri 27 Nov 500`."""
    days = [f"{_name(day.date, today)} {day.people:,}" for day in plan.days[:SHOWN_DAYS]]
    more = plan.days[SHOWN_DAYS:]
    if more:
        last = _name(more[-1].date, today)
        days.append(
            counted(
                "1 more day, the last of them %(day)s", "%(n)s more days, the last of them %(day)s", len(more), day=last
            )
        )
    if plan.later_count:
        days.append(said("%(count)s later", count=f"{plan.later_count:,}"))
    return _listed(days)


def _name(day: date, today: date) -> str:
    if day == today:
        return "Today"
    # Not by strftime: its words change with the locale of the process.
    return f"{_WEEKDAYS[day.weekday()]} {day.day} {_MONTHS[day.month - 1]}"


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}" if words else "nobody"


_WEEKDAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
