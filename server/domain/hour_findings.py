"""What the pre-flight says of people's clocks, in plain words: quiet hours, and when it is their local time."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Final

from server.domain.local_time import in_words
from server.domain.preflight import Code, Finding, Level
from server.domain.sentences import counted, said

WHEN_IT_STARTS: Final = said("when it starts")


def of_quiet_hours(
    hours: str, people_until: Mapping[datetime, int], recipients: int, when: str = WHEN_IT_STARTS
) -> Iterator[Finding]:
    """People who are left alone when it starts, or at their own time. hours: in words. people_until: how many of them
    until when."""
    people_count = sum(people_until.values())
    if not people_count:
        return
    first, last = _utc(min(people_until)), _utc(max(people_until))
    until = (
        said("at %(time)s", time=first)
        if first == last
        else said("from %(first)s to %(last)s, as their hours end", first=first, last=last)
    )
    if people_count >= recipients:
        detail = said("It is quiet hours (%(hours)s) for everybody %(when)s.", hours=hours, when=when)
        then = said("They can be sent to %(when)s.", when=until)
        yield Finding(Level.WARNING, Code.QUIET_HOURS, f"{detail} {then}")
    else:
        detail = counted(
            "It is quiet hours (%(hours)s) for 1 person %(when)s.",
            "It is quiet hours (%(hours)s) for %(n)s people %(when)s.",
            people_count,
            hours=hours,
            when=when,
        )
        yield Finding(Level.INFO, Code.QUIET_HOURS, f"{detail} {said('They are sent to %(when)s.', when=until)}")


def of_local_times(wall: datetime, people_at: Mapping[datetime, int], now: datetime) -> Iterator[Finding]:
    """When the first and the last get it, and for how many it is that time already. people_at: how many at which."""
    if not people_at:
        return
    ahead = [at for at in people_at if at > now]
    passed_count = sum(count for at, count in people_at.items() if at <= now)
    clock = in_words(wall)
    if ahead:
        first, last = _utc(min(ahead)), _utc(max(ahead))
        until = (
            said("at %(time)s", time=first)
            if first == last
            else said("to the first at %(first)s and to the last at %(last)s", first=first, last=last)
        )
        detail = (
            said("It goes to everybody else at %(clock)s by their own clock: %(when)s.", clock=clock, when=until)
            if passed_count
            else said("It goes to everybody at %(clock)s by their own clock: %(when)s.", clock=clock, when=until)
        )
        yield Finding(Level.INFO, Code.LOCAL_TIMES, detail)
    if passed_count:
        detail = (
            counted(
                "For 1 person it has been %(clock)s by their own clock already.",
                "For %(n)s people it has been %(clock)s by their own clock already.",
                passed_count,
                clock=clock,
            )
            if ahead
            else said("For everybody it has been %(clock)s by their own clock already.", clock=clock)
        )
        then = said("They get it as soon as it starts.")
        yield Finding(Level.WARNING, Code.LOCAL_TIME_PASSED, f"{detail} {then}", "/scheduled_at")


def _utc(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
