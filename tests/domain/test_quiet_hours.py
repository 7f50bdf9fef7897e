"""Quiet hours: whenever anybody is told to wait, it is quiet for them until then, and not quiet then."""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo, available_timezones

import phonenumbers
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from phonenumbers import PhoneNumberFormat, PhoneNumberType, timezone

from server.domain.errors import BadInput
from server.domain.quiet_hours import (
    EVERYBODY_AWAKE,
    Hours,
    NeverAwake,
    QuietHours,
    known_zone,
    parse,
    quiet_until,
    timetable,
)
from server.domain.zones import key_of, prefix_of, ranges, zones_of

NIGHT = QuietHours(time(21), time(8))
# Half hours and quarters, changes at midnight, of half an hour, and before and after the equator.
PLACES = (
    "Asia/Jerusalem",
    "America/New_York",
    "America/Los_Angeles",
    "Europe/Berlin",
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "America/Santiago",
    "Asia/Beirut",
    "Africa/Cairo",
    "Pacific/Apia",
    "Pacific/Honolulu",
    "UTC",
)
clocks = st.integers(0, 24 * 60 - 1).map(lambda minute: time(minute // 60, minute % 60))
instants = st.datetimes(datetime(2024, 1, 1), datetime(2034, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - in UTC
zones = st.lists(st.sampled_from(PLACES), min_size=1, max_size=3, unique=True).map(
    lambda names: [*map(ZoneInfo, names)]
)


@st.composite
def quiet_hours(draw: st.DrawFn) -> QuietHours:
    begins_at, ends_at = draw(clocks), draw(clocks)
    assume(begins_at != ends_at)
    return QuietHours(begins_at, ends_at, draw(st.frozensets(st.integers(0, 6), max_size=3)))


def is_quiet(hours: QuietHours, place: ZoneInfo, at: datetime) -> bool:
    """What a person with a watch and a calendar would say."""
    local = at.astimezone(place)
    minutes = local.hour * 60 + local.minute
    begin, end = (clock.hour * 60 + clock.minute for clock in (hours.begins_at, hours.ends_at))
    in_hours = begin <= minutes < end if begin < end else minutes >= begin or minutes < end
    return in_hours or local.weekday() in hours.days_off


@given(quiet_hours(), zones, instants)
@example(QuietHours(time(21), time(1, 30)), [ZoneInfo("Europe/Berlin")], datetime(2024, 10, 27, 1, 10, tzinfo=UTC))
@example(QuietHours(time(21), time(2, 30)), [ZoneInfo("America/New_York")], datetime(2024, 3, 10, 6, 59, tzinfo=UTC))
def test_it_is_quiet_until_then_somewhere_and_nowhere_then(
    hours: QuietHours, places: list[ZoneInfo], now: datetime
) -> None:
    try:
        until = quiet_until(hours, places, now)
    except NeverAwake:
        steps = (now + timedelta(minutes=15 * step) for step in range(4 * 24 * 8))
        assert all(any(is_quiet(hours, place, at) for place in places) for at in steps)
        return
    if until is None:
        assert not any(is_quiet(hours, place, now) for place in places)
        return
    assert until > now
    assert not any(is_quiet(hours, place, until) for place in places)
    waited = until - now
    for share in (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 0.999):
        assert any(is_quiet(hours, place, now + waited * share) for place in places)
    assert any(is_quiet(hours, place, until - timedelta(seconds=1)) for place in places)


@given(quiet_hours(), st.sampled_from(PLACES), instants)
def test_what_is_quiet_changes_only_as_a_minute_begins(hours: QuietHours, place: str, now: datetime) -> None:
    minute = now.replace(second=0, microsecond=0)
    assert is_quiet(hours, ZoneInfo(place), now) == is_quiet(hours, ZoneInfo(place), minute)
    until = quiet_until(hours, [ZoneInfo(place)], now)
    assert until is None or (until.second, until.microsecond) == (0, 0)


def test_one_zone_that_is_quiet_is_enough() -> None:
    evening = datetime(2026, 11, 28, 2, 30, tzinfo=UTC)  # 21:30 in New York, 18:30 in Los Angeles
    both = [ZoneInfo("America/New_York"), ZoneInfo("America/Los_Angeles")]
    assert quiet_until(NIGHT, both[1:], evening) is None
    assert quiet_until(NIGHT, both, evening) == datetime(2026, 11, 28, 16, 0, tzinfo=UTC)  # 08:00 in Los Angeles


def test_who_could_be_anywhere_goes_by_the_zone_of_the_business() -> None:
    far_apart = ("Pacific/Auckland", "America/Los_Angeles", "Europe/Berlin")
    hours = Hours(QuietHours(time(18), time(10)), "Asia/Jerusalem")
    noon = datetime(2026, 11, 28, 10, 0, tzinfo=UTC)
    assert hours.until(far_apart, noon) is None
    assert hours.until((), noon) is None
    assert hours.until((), noon + timedelta(hours=7)) == datetime(2026, 11, 29, 8, 0, tzinfo=UTC)


def test_a_day_off_is_one_by_the_persons_own_calendar() -> None:
    hours = QuietHours(time(21), time(8), frozenset({5}))  # Saturday
    saturday = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)
    # Off until midnight, and then it is night until eight.
    assert quiet_until(hours, [ZoneInfo("Asia/Jerusalem")], saturday) == datetime(2026, 11, 29, 6, 0, tzinfo=UTC)
    assert quiet_until(hours, [ZoneInfo("Pacific/Kiritimati")], saturday) == datetime(2026, 11, 28, 18, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("raw", "pointer"),
    [
        ({"from": "25:00", "to": "08:00"}, "/quiet_hours/from"),
        ({"from": "21:00", "to": "8"}, "/quiet_hours/to"),
        ({"from": "21:00"}, "/quiet_hours/to"),
        ({"from": "21:00", "to": "21:00"}, "/quiet_hours/to"),
        ({"from": "21:00", "to": "08:00", "days_off": ["caturday"]}, "/quiet_hours/days_off/0"),
        (
            {"from": "21:00", "to": "08:00", "days_off": list(parse.__globals__["MONDAY_FIRST"])},
            "/quiet_hours/days_off",
        ),
    ],
)
def test_what_is_wrong_with_quiet_hours_is_named(raw: dict[str, object], pointer: str) -> None:
    with pytest.raises(BadInput) as refused:
        parse(raw)
    assert [problem.pointer for problem in refused.value.problems] == [pointer]


@given(quiet_hours())
def test_quiet_hours_come_back_from_json_as_they_were(hours: QuietHours) -> None:
    assert parse(hours.as_json()) == hours


def test_every_zone_that_a_number_may_be_in_is_known() -> None:
    assert {name for names in ranges().zones for name in names} <= available_timezones()
    assert known_zone("Asia/Jerusalem") == "Asia/Jerusalem"
    with pytest.raises(ValueError, match='"Mars/Olympus" is no time zone'):
        known_zone("Mars/Olympus")
    with pytest.raises(ValueError, match="no time zone"):
        known_zone("localtime")  # another one on each machine


@pytest.mark.parametrize(
    ("phone", "expected"),
    [
        ("+972501234567", ("Asia/Jerusalem",)),
        ("+12125551234", ("America/New_York",)),
        ("+5592987654321", ("America/Manaus",)),
        ("+77011234567", ("Asia/Almaty", "Asia/Aqtobe")),
        ("+870773111632", ()),
        ("", ()),
        ("+97-250", ()),
        ("+1234567890123456", ()),
    ],
)
def test_the_first_digits_say_which_zones(phone: str, expected: tuple[str, ...]) -> None:
    assert zones_of(phone) == expected


def test_a_mobile_of_a_country_with_several_zones_may_be_in_any_of_them() -> None:
    assert {"Australia/Perth", "Australia/Sydney"} <= set(zones_of("+61412345678"))
    assert {"Europe/Moscow", "Asia/Kamchatka"} <= set(zones_of("+79161234567"))


@pytest.mark.parametrize("kind", [PhoneNumberType.MOBILE, PhoneNumberType.FIXED_LINE])
def test_no_zone_that_the_library_names_is_left_out(kind: int) -> None:
    """But where it says "anywhere in North America", or takes Kazakhstan for Russia, the first digits say more."""
    for country in sorted(phonenumbers.SUPPORTED_REGIONS):
        number = phonenumbers.example_number_for_type(country, kind)
        if number is None:
            continue
        expected = set(timezone.time_zones_for_number(number))
        found = set(zones_of(phonenumbers.format_number(number, PhoneNumberFormat.E164)))
        if len(expected) > 15:
            assert found <= expected, country
            assert found, country
        else:
            assert expected <= found, country


@given(st.integers(1, 10**15 - 1).map(lambda number: f"+{number}"))
def test_the_range_of_a_number_is_the_same_by_search_and_by_text(phone: str) -> None:
    lows, _ = ranges()
    nth = max(place for place, low in enumerate(lows) if low <= key_of(phone))
    assert prefix_of(lows[nth]) <= phone
    assert nth + 1 == len(lows) or phone < prefix_of(lows[nth + 1])


@given(instants)
def test_a_timetable_says_of_each_number_what_its_zones_say(now: datetime) -> None:
    hours = Hours(NIGHT, "Europe/Berlin")
    table = timetable(lambda names: hours.until(names, now))
    for phone in ("+972501234567", "+12125551234", "+79161234567", "+870773111632", "odd"):
        assert table.until(phone) == hours.until(zones_of(phone), now)
    assert EVERYBODY_AWAKE.until("+972501234567") is None


def test_people_are_counted_by_the_end_of_their_hours() -> None:
    night = datetime(2026, 11, 28, 20, 0, tzinfo=UTC)  # 22:00 in Jerusalem, 21:00 in Berlin, 15:00 in New York
    table = timetable(lambda names: Hours(NIGHT, "UTC").until(names, night))
    phones = ["+972501234567", "+972501234568", "+4915112345678", "+12125551234"]
    places: dict[int, int] = {}
    for phone in phones:
        nth = sum(low <= key_of(phone) for low in table.lows)
        places[nth] = places.get(nth, 0) + 1
    assert table.people_until(places) == {
        datetime(2026, 11, 29, 6, 0, tzinfo=UTC): 2,
        datetime(2026, 11, 29, 7, 0, tzinfo=UTC): 1,
    }
