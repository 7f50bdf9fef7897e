"""By each person's local time: never before it is that time in any of their zones, and no later than it must be."""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from server.domain.errors import BadInput
from server.domain.hour_findings import of_local_times
from server.domain.local_time import (
    LOCAL,
    LocalTime,
    comes_at,
    in_words,
    last_leaves_at,
    later_of,
    refuse_odd,
    times_of,
    waiting_times,
    wall_of,
)
from server.domain.preflight import Code, Level
from server.domain.quiet_hours import QUIET, Hours, QuietHours
from server.domain.zones import zones_of
from tests.domain.test_quiet_hours import NIGHT, PLACES, instants, is_quiet, quiet_hours

SECOND = timedelta(seconds=1)
PHONES = ("+972501234567", "+12125551234", "+79161234567", "+61412345678", "+819012345678", "+870773111632", "odd")
walls = st.datetimes(datetime(2024, 1, 1), datetime(2034, 1, 1)).map(lambda at: at.replace(microsecond=0))  # noqa: DTZ001 - of no zone
places = st.lists(st.sampled_from(PLACES), min_size=1, max_size=3, unique=True)


def has_been(wall: datetime, place: ZoneInfo, at: datetime) -> bool:
    """Whether a person with a watch has seen this date and time, or a later one; a watch is set back at most once."""
    seen = (at - timedelta(minutes=minutes) for minutes in (0, *range(1, 181)))
    return any(moment.astimezone(place).replace(tzinfo=None) >= wall for moment in seen)


@given(walls, places)
@example(datetime(2026, 3, 27, 2, 30), ["Asia/Jerusalem"])  # noqa: DTZ001 - jumped over
@example(datetime(2026, 10, 25, 1, 30), ["Asia/Jerusalem", "Europe/Berlin"])  # noqa: DTZ001 - shown twice in the first
@example(datetime(2026, 9, 6, 0, 30), ["America/Santiago"])  # noqa: DTZ001 - a day that begins at one
@example(datetime(2026, 10, 4, 2, 15), ["Australia/Lord_Howe"])  # noqa: DTZ001 - half an hour
def test_nobody_is_sent_to_before_their_time_in_any_of_their_zones(wall: datetime, names: list[str]) -> None:
    zones = [ZoneInfo(name) for name in names]
    at = comes_at(wall, zones)
    assert all(has_been(wall, place, at) for place in zones)
    assert not all(has_been(wall, place, at - SECOND) for place in zones)


@given(walls, places, instants, st.none() | quiet_hours())
def test_of_local_time_and_quiet_hours_the_later_counts(
    wall: datetime, names: list[str], now: datetime, quiet: QuietHours | None
) -> None:
    local, zones = LocalTime(wall, "UTC"), tuple(names)
    hours = None if quiet is None else Hours(quiet, "UTC")
    until = later_of(local, hours, zones, now)
    at = until or now
    assert at >= now
    assert at >= local.comes_at(zones)
    if hours is None or quiet is None:
        assert until is None or until == local.comes_at(zones)
        return
    assert hours.until(zones, at) is None
    if all(hours.until((name,), at) is None for name in names):
        # Unless it is always quiet in one of them, and the zone of the business counts.
        assert not any(is_quiet(quiet, ZoneInfo(name), at) for name in names)
    # Nobody waits for longer than one of the two makes them.
    earliest = max(now, local.comes_at(zones))
    assert at == earliest or hours.until(zones, earliest) == at


@given(walls, instants)
def test_the_first_people_on_earth_are_never_later_than_anybody(wall: datetime, now: datetime) -> None:
    local = LocalTime(wall, "Europe/Berlin")
    table = times_of(local)
    for phone in PHONES:
        at = table.until(phone)
        assert at is not None
        assert at == local.comes_at(zones_of(phone))
        assert local.comes_first_at <= at
        waits = waiting_times(local, None, now)
        assert waits.until(phone) == (at if at > now else None)
        assert waits.why(phone) == (LOCAL if at > now else "")


def test_who_waits_for_what_is_told() -> None:
    local = LocalTime(datetime(2026, 12, 1, 7, 0), "UTC")  # noqa: DTZ001 - of no zone
    hours = Hours(NIGHT, "UTC")
    table = waiting_times(local, hours, datetime(2026, 11, 30, 12, 0, tzinfo=UTC))
    # At seven it is still night.
    assert table.until("+972501234567") == datetime(2026, 12, 1, 6, 0, tzinfo=UTC)
    assert table.why("+972501234567") == QUIET
    later = waiting_times(LocalTime(datetime(2026, 12, 1, 9, 0), "UTC"), hours, datetime(2026, 11, 30, 12, tzinfo=UTC))  # noqa: DTZ001
    assert later.until("+972501234567") == datetime(2026, 12, 1, 7, 0, tzinfo=UTC)
    assert later.why("+972501234567") == LOCAL


def test_a_number_that_may_lie_anywhere_waits_for_the_last_of_its_zones() -> None:
    local = LocalTime(datetime(2026, 12, 1, 10, 0), "Asia/Jerusalem")  # noqa: DTZ001 - of no zone
    assert local.comes_at(zones_of("+79161234567")) == datetime(2026, 12, 1, 8, 0, tzinfo=UTC)  # Kaliningrad
    assert local.comes_at(()) == datetime(2026, 12, 1, 8, 0, tzinfo=UTC)
    assert local.comes_first_at == datetime(2026, 11, 30, 20, 0, tzinfo=UTC)


@given(st.dictionaries(instants, st.integers(1, 10**6), max_size=5), instants, st.floats(0, 10))
def test_the_last_message_leaves_when_all_who_wait_until_then_had_their_turn(
    people_at: dict[datetime, int], now: datetime, seconds_each: float
) -> None:
    found = last_leaves_at(people_at, now, seconds_each)
    assert found >= max([now, *people_at])
    assert found >= now + timedelta(seconds=seconds_each * sum(people_at.values()))


def test_what_is_written_is_the_clock_whatever_the_offset() -> None:
    written = datetime.fromisoformat("2026-12-01T10:00:00.5+02:00")
    assert in_words(wall_of(written)) == "2026-12-01 10:00"
    assert in_words(datetime(2026, 12, 1, 10, 0, 5)) == "2026-12-01 10:00:05"  # noqa: DTZ001 - of no zone


@pytest.mark.parametrize(
    ("has_schedule", "spread_over_days", "pointer"),
    [(False, False, "/scheduled_at"), (True, True, "/spread_over_days")],
)
def test_what_goes_with_local_time_and_what_does_not(has_schedule: bool, spread_over_days: bool, pointer: str) -> None:
    with pytest.raises(BadInput) as refused:
        refuse_odd(by_local_time=True, has_schedule=has_schedule, spread_over_days=spread_over_days)
    assert [problem.pointer for problem in refused.value.problems] == [pointer]
    refuse_odd(by_local_time=False, has_schedule=has_schedule, spread_over_days=spread_over_days)


def test_the_pre_flight_says_when_the_first_and_the_last_go_and_whose_time_has_passed() -> None:
    now = datetime(2026, 12, 1, 5, 0, tzinfo=UTC)
    wall = datetime.combine(now.date(), time(10))
    people_at = {now - timedelta(hours=4): 3, now + timedelta(hours=3): 5, now + timedelta(hours=10): 1}
    times, passed = of_local_times(wall, people_at, now)
    assert (times.code, times.level) == (Code.LOCAL_TIMES, Level.INFO)
    assert "to the first at 2026-12-01 08:00 UTC and to the last at 2026-12-01 15:00 UTC" in times.detail
    assert (passed.code, passed.level) == (Code.LOCAL_TIME_PASSED, Level.WARNING)
    assert passed.detail.startswith("For 3 people it has been 2026-12-01 10:00 by their own clock already.")
    assert [one.code for one in of_local_times(wall, {now: 1}, now)] == [Code.LOCAL_TIME_PASSED]
    assert list(of_local_times(wall, {}, now)) == []
