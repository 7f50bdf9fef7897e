"""Who is the canary, and what its end may be: properties over everything that can be seen of it."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from server.domain.canary import Bounds, GoOn, KeepWaiting, Seen, SendRest, StopHere, judge, size_of

BOUNDS = Bounds(failed_percent=5, opted_out_percent=2, wait_minutes=15)
bounds = st.builds(
    Bounds,
    failed_percent=st.floats(0, 100),
    opted_out_percent=st.floats(0, 100),
    wait_minutes=st.integers(1, 1_440),
)


@st.composite
def anything_seen(draw: st.DrawFn) -> Seen:
    people = draw(st.integers(0, 1_000))
    settled = draw(st.integers(0, people))
    failed = draw(st.integers(0, settled))
    opted_out = draw(st.integers(0, people))
    put_off = draw(st.integers(0, people - settled))
    heard, due = draw(st.integers(settled, people - put_off)), draw(st.integers(0, people))
    return Seen(people, failed, opted_out, settled, put_off, heard, due, draw(st.floats(0, 100_000)))


def seen_well(**changed: Any) -> Seen:
    """A hundred people who all have their message, two minutes ago."""
    return Seen(
        people=100, failed=0, opted_out=0, settled=100, put_off=0, heard=100, due_count=0, waited_seconds=120
    )._replace(**changed)


@given(st.integers(0, 100_000_000))
def test_the_canary_is_a_hundredth_within_its_bounds_and_never_everybody(people: int) -> None:
    size = size_of(people)
    assert size == 0 or (50 <= size <= 1_000 and size < people)
    assert size or people <= 50
    if 5_000 <= people <= 100_000:
        assert people <= size * 100 < people + 100


@given(bounds, anything_seen())
def test_the_wait_is_bounded(within: Bounds, seen: Seen) -> None:
    over = seen._replace(waited_seconds=within.wait_seconds)
    assert isinstance(judge(within, over), GoOn | StopHere)


@given(bounds, anything_seen())
def test_it_never_goes_on_beyond_a_bound_or_before_a_minute_or_unheard(within: Bounds, seen: Seen) -> None:
    if isinstance(judge(within, seen), GoOn):
        assert seen.failed * 100 <= within.failed_percent * seen.people
        assert seen.opted_out * 100 <= within.opted_out_percent * seen.people
        assert seen.waited_seconds >= 60
        assert seen.people
        assert seen.put_off * 2 <= seen.people
        assert seen.heard * 2 >= seen.people - seen.put_off or seen.settled + seen.put_off >= seen.people * 0.95


@given(bounds, anything_seen(), st.integers(1, 100))
def test_one_more_failure_never_lets_go_on_what_was_stopped(within: Bounds, seen: Seen, more: int) -> None:
    if isinstance(judge(within, seen), StopHere):
        worse = seen._replace(failed=min(seen.failed + more, seen.people), heard=seen.heard)
        assert not isinstance(judge(within, worse), GoOn)


@given(bounds, anything_seen())
def test_whoever_is_still_to_be_sent_to_comes_before_any_praise(within: Bounds, seen: Seen) -> None:
    waiting = seen._replace(due_count=1, waited_seconds=min(seen.waited_seconds, within.wait_seconds - 1))
    assert isinstance(judge(within, waiting), SendRest | StopHere)


def test_a_good_canary_goes_on() -> None:
    assert judge(BOUNDS, seen_well()) == GoOn(
        "The canary went well: of 100 people 0 failed and 0 opted out. Everybody else follows."
    )


def test_people_have_a_minute_to_opt_out_however_quick_their_phones_are() -> None:
    assert judge(BOUNDS, seen_well(waited_seconds=59)) == KeepWaiting()


def test_a_few_phones_that_are_switched_off_hold_up_nobody() -> None:
    assert isinstance(judge(BOUNDS, seen_well(settled=95)), GoOn)
    assert judge(BOUNDS, seen_well(settled=94)) == KeepWaiting()
    assert isinstance(judge(BOUNDS, seen_well(settled=94, waited_seconds=900)), GoOn)


def test_too_many_failures_stop_it_at_once_and_say_so() -> None:
    verdict = judge(BOUNDS, seen_well(failed=6, settled=6, waited_seconds=0))
    assert isinstance(verdict, StopHere)
    assert verdict.detail.startswith("6 of the first 100 people failed: 6.0 %, and at most 5 % may.")
    assert not isinstance(judge(BOUNDS, seen_well(failed=5)), StopHere)


def test_too_many_opt_outs_stop_it() -> None:
    verdict = judge(BOUNDS, seen_well(opted_out=3))
    assert isinstance(verdict, StopHere)
    assert "3 of the first 100 people opted out" in verdict.detail


def test_a_number_nobody_hears_of_is_said_to_be_one() -> None:
    verdict = judge(BOUNDS, seen_well(heard=0, settled=0, waited_seconds=900))
    assert isinstance(verdict, StopHere)
    assert "reported on none of the first 100 within 15 min" in verdict.detail
    few = judge(BOUNDS, seen_well(heard=49, settled=0, waited_seconds=900))
    assert isinstance(few, StopHere)
    assert "only 49 of the first 100" in few.detail


def test_a_canary_that_was_mostly_put_off_says_nothing_of_the_rest() -> None:
    few = seen_well(settled=50, heard=50, put_off=50)
    assert isinstance(judge(BOUNDS, few), GoOn)
    most = seen_well(settled=49, heard=49, put_off=51)
    assert judge(BOUNDS, most) == KeepWaiting()
    verdict = judge(BOUNDS, most._replace(waited_seconds=900))
    assert isinstance(verdict, StopHere)
    assert verdict.detail.startswith("51 of the first 100 people have no message yet")
