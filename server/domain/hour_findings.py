"""What the pre-flight says of people's clocks, in plain words: quiet hours, and when it is their local time."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

from server.domain.local_time import in_words
from server.domain.preflight import Code, Finding, Level


def of_quiet_hours(
    hours: str, people_until: Mapping[datetime, int], recipients: int, when: str = "when it starts"
) -> Iterator[Finding]:
    """People who are left alone when it starts, or at their own time. hours: in words. people_until: how many of them
    until when."""
    people_count = sum(people_until.values())
    if not people_count:
        return
    first, last = _utc(min(people_until)), _utc(max(people_until))
    until = f"at {first}" if first == last else f"from {first} to {last}, as their hours end"
    if people_count >= recipients:
        detail = f"It is quiet hours ({hours}) for everybody {when}. They can be sent to {until}."
        yield Finding(Level.WARNING, Code.QUIET_HOURS, detail)
    else:
        detail = f"It is quiet hours ({hours}) for {_people(people_count)} {when}. They are sent to {until}."
        yield Finding(Level.INFO, Code.QUIET_HOURS, detail)


def of_local_times(wall: datetime, people_at: Mapping[datetime, int], now: datetime) -> Iterator[Finding]:
    """When the first and the last get it, and for how many it is that time already. people_at: how many at which."""
    if not people_at:
        return
    ahead = [at for at in people_at if at > now]
    passed_count = sum(count for at, count in people_at.items() if at <= now)
    if ahead:
        first, last = _utc(min(ahead)), _utc(max(ahead))
        until = f"at {first}" if first == last else f"to the first at {first} and to the last at {last}"
        who = "everybody else" if passed_count else "everybody"
        detail = f"It goes to {who} at {in_words(wall)} by their own clock: {until}."
        yield Finding(Level.INFO, Code.LOCAL_TIMES, detail)
    if passed_count:
        who = _people(passed_count) if ahead else "everybody"
        detail = f"For {who} it has been {in_words(wall)} by their own clock already. They get it as soon as it starts."
        yield Finding(Level.WARNING, Code.LOCAL_TIME_PASSED, detail, "/scheduled_at")


def _utc(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _people(count: int) -> str:
    return "1 person" if count == 1 else f"{count:,} people"
