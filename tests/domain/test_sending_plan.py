"""The plan over days: everybody once, no day's window beyond the limit, and dates that a person can read."""

from datetime import UTC, date, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from server.domain.sending_plan import Day, Freed, Plan, in_words, plan_days, read, written

NOW = datetime(2026, 11, 25, 9, tzinfo=UTC)
freed_within_a_day = st.lists(
    st.builds(Freed, st.integers(1, 86_400).map(lambda seconds: NOW + timedelta(seconds=seconds)), st.integers(1, 500)),
    max_size=10,
)


@given(st.integers(0, 20_000), st.integers(0, 1_000), freed_within_a_day)
def test_everybody_is_planned_once_or_said_to_come_later(people: int, left: int, freed: list[Freed]) -> None:
    plan = plan_days(people, left + sum(places.people for places in freed), freed, NOW)
    assert sum(day.people for day in plan.days) + plan.later_count == people
    assert all(day.people > 0 for day in plan.days)
    assert [day.date for day in plan.days] == sorted({day.date for day in plan.days})


@given(st.integers(0, 20_000), st.integers(0, 1_000), freed_within_a_day)
def test_no_two_days_exceed_what_two_windows_allow(people: int, left: int, freed: list[Freed]) -> None:
    limit = left + sum(places.people for places in freed)
    plan = plan_days(people, limit, freed, NOW)
    # A calendar day lies within two windows, and each place is used once in each.
    assert all(day.people <= 2 * limit for day in plan.days)
    assert plan.later_count == 0 or limit == 0 or len(plan.days) >= 91


@given(st.integers(1, 20_000), st.integers(1, 1_000))
def test_with_all_places_free_now_each_day_takes_the_limit(people: int, limit: int) -> None:
    days = plan_days(people, limit, [], NOW).days
    assert all(day.people == limit for day in days[:-1])
    assert days[0].date == NOW.date()
    assert days[-1].date == NOW.date() + timedelta(days=len(days) - 1)


def test_places_of_yesterday_come_free_at_their_hour() -> None:
    freed = [Freed(NOW + timedelta(hours=2), 300), Freed(NOW + timedelta(hours=20), 700)]
    assert plan_days(2_000, 1_000, freed, NOW).days == (
        Day(date(2026, 11, 25), 300),
        Day(date(2026, 11, 26), 1_000),
        Day(date(2026, 11, 27), 700),
    )


def test_the_plan_reads_like_a_calendar() -> None:
    plan = plan_days(2_500, 1_000, [], NOW)
    assert in_words(plan, NOW.date()) == "1,000 today, 1,000 on Thu 26 Nov and 500 on Fri 27 Nov"
    long = plan_days(10_000, 1_000, [], NOW)
    assert in_words(long, NOW.date()).endswith("1,000 on Sat 28 Nov and 6 more days up to Fri 4 Dec")
    longest = plan_days(100_000, 1_000, [], NOW)
    assert in_words(longest, NOW.date()).endswith("and 8,000 later")
    assert in_words(Plan((), 0), NOW.date()) == "nobody"


def test_a_lowered_limit_lets_nobody_in_before_enough_have_left() -> None:
    taken = [Freed(NOW + timedelta(hours=2), 300), Freed(NOW + timedelta(hours=20), 700)]
    assert plan_days(400, 250, taken, NOW).days == (Day(date(2026, 11, 26), 250), Day(date(2026, 11, 27), 150))


@given(st.dates())
def test_a_day_that_was_written_is_read_as_one_of_the_same_name(day: date) -> None:
    found = read(written(day))
    assert found is not None
    assert written(found) == written(day)


@given(st.text() | st.sampled_from(("Thu 31 Feb", "Thu 0 Nov", "Thu 999 Nov", "Thu \u0663 Nov x", "Thu 26 Novo")))
def test_what_is_no_day_is_none(text: str) -> None:
    assert read(text) is None
