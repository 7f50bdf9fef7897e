"""When the sending stops as a whole: the same failure for all, an outage, a limit."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.domain.breakers import Breaker, Outage, Pauses, Reported, judge_reports
from server.domain.decisions import BreakerCandidate, Others, PauseSending, StopBroadcast
from server.domain.outcomes import Accepted, Ambiguous, NeverLeft, Outcome, Refused
from server.domain.reactions import Scope
from server.domain.states import PauseReason


def failure(code: int | None = 132000) -> BreakerCandidate:
    return BreakerCandidate(code, "The number of variables is not what the template has.")


ACCEPTED = Accepted("wamid.A")
NEVER_LEFT = NeverLeft("refused")
AMBIGUOUS = Ambiguous("timed out")
OVERLOADED = Refused(2, "down", 503)
TOO_LONG = Refused(132005, "too long", 400)


def test_the_breaker_stops_at_so_many_in_a_row() -> None:
    breaker = Breaker(limit=5)
    stops = [breaker.note_failed(failure()) for _ in range(5)]
    assert stops[:4] == [None] * 4
    assert stops[4] == StopBroadcast(
        PauseReason.FAILURES,
        "5 recipients in a row failed alike. The number of variables is not what the template has.",
    )


@given(st.lists(st.sampled_from([None, 100, 132000, "sent"]), max_size=60), st.integers(1, 6))
def test_the_breaker_trips_at_the_first_row_of_the_same_code_and_no_sooner(ends: list[object], limit: int) -> None:
    breaker = Breaker(limit, seen_count=100)
    in_a_row = 0
    before: object = "sent"
    for end in ends:
        in_a_row = 0 if end == "sent" else in_a_row + 1 if end == before else 1
        before = end
        if end == "sent":
            breaker.note_ended()
            continue
        stop = breaker.note_failed(failure(end))  # type: ignore[arg-type]  # "sent" went another way
        assert (stop is not None) == (in_a_row >= limit)


def test_a_fifth_of_the_first_hundred_stops_a_broadcast_that_has_no_row() -> None:
    breaker = Breaker(limit=5)
    stops = []
    for _ in range(20):
        stops.append(breaker.note_failed(failure()))
        breaker.note_ended(3)
    assert stops[:19] == [None] * 19
    assert stops[19] is not None
    assert stops[19].message.startswith("20 of the first 77 recipients failed alike.")


@pytest.mark.parametrize("seen_count", [100, 1_000])
def test_after_the_first_hundred_only_a_row_stops_it(seen_count: int) -> None:
    breaker = Breaker(limit=5, seen_count=seen_count)
    for _ in range(1_000):
        assert breaker.note_failed(failure()) is None
        breaker.note_ended()


def test_a_breaker_without_a_limit_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="1 failure or more"):
        Breaker(0)


def first_stop(outage: Outage, outcome: Outcome, every_seconds: float, most: int = 10_000) -> tuple[int, float]:
    """How many outcomes, and how many seconds, until it stops."""
    for count in range(most):
        if outage.note(outcome, count * every_seconds) is not None:
            return count + 1, count * every_seconds
    pytest.fail("it never stopped")


@pytest.mark.parametrize("outcome", [NEVER_LEFT, OVERLOADED])
def test_an_outage_stops_the_sending_after_ten_seconds_when_many_meet_it(outcome: Outcome) -> None:
    assert first_stop(Outage(), outcome, every_seconds=0.125) == (81, 10.0)
    assert first_stop(Outage(), outcome, every_seconds=2.0) == (20, 38.0)


def test_an_outage_stops_the_sending_after_a_minute_however_few_meet_it() -> None:
    assert first_stop(Outage(), NEVER_LEFT, every_seconds=30.0) == (3, 60.0)


def test_requests_that_nobody_answers_stop_the_sending_at_once_because_each_is_a_person() -> None:
    assert first_stop(Outage(), AMBIGUOUS, every_seconds=0.0) == (20, 0.0)


def test_an_outage_is_waited_for_and_says_why() -> None:
    outage = Outage()
    outage.note(NEVER_LEFT, 0.0)
    stop = outage.note(NEVER_LEFT, 60.0)
    assert stop is not None
    assert (stop.pause_reason, stop.resume_after_seconds) == (PauseReason.PROVIDER_OUTAGE, 60.0)
    assert "refused" in stop.message


@given(st.lists(st.tuples(st.sampled_from([NEVER_LEFT, AMBIGUOUS, OVERLOADED, ACCEPTED, TOO_LONG]), st.floats(0, 3))))
def test_an_answer_ends_an_outage(outcomes: list[tuple[Outcome, float]]) -> None:
    outage = Outage()
    now = 0.0
    away_since: float | None = None
    for outcome, later in outcomes:
        now += later
        stop = outage.note(outcome, now)
        if outcome in (ACCEPTED, TOO_LONG):
            away_since = None
            assert stop is None
        elif away_since is None:
            away_since = now
        assert outage.away_seconds(now) == (0.0 if away_since is None else now - away_since)


def test_others_are_answered_for_a_moment_after_an_answer_and_nobody_is_by_a_run_that_has_only_begun() -> None:
    outage = Outage()
    assert outage.others(0.0, left_count=500) is Others.UNHEARD
    assert outage.others(0.0, left_count=2) is Others.NONE
    outage.note(ACCEPTED, 10.0)
    for left_count in (1, 500):
        assert outage.others(14.9, left_count) is Others.ANSWERED
    outage.note(OVERLOADED, 14.9)
    assert outage.others(15.0, left_count=500) is Others.UNHEARD
    assert outage.others(15.0, left_count=1) is Others.NONE


LIMIT = PauseSending(Scope.APP, 60.0, 900.0)


def test_all_that_meets_a_limit_while_it_lasts_makes_one_pause() -> None:
    pauses = Pauses()
    assert {pauses.note(LIMIT, 0.25 * number) for number in range(100)} == {60.0}


def test_pauses_that_follow_one_another_double_up_to_the_longest() -> None:
    pauses = Pauses()
    now = 0.0
    lasted = []
    for _ in range(7):
        until = pauses.note(LIMIT, now)
        lasted.append(until - now)
        now = until + 1.0
    assert lasted == [60, 120, 240, 480, 900, 900, 900]


def test_a_limit_that_comes_much_later_begins_anew() -> None:
    pauses = Pauses()
    assert pauses.note(LIMIT, 0.0) == 60.0
    assert pauses.note(LIMIT, 1_000.0) == 1_060.0


@given(st.integers(0, 5_000), st.data())
def test_reported_failures_stop_a_broadcast_only_where_they_are_many_and_a_share(
    people: int, data: st.DataObject
) -> None:
    failed = data.draw(st.integers(0, people))
    alike = data.draw(st.integers(0, failed))
    stop = judge_reports(Reported(people, failed, alike), "Not on WhatsApp.")
    is_the_message = alike >= 20 and alike >= people / 5
    is_the_list = failed >= 50 and failed > people / 2
    assert (stop is not None) == (is_the_message or is_the_list)
    if stop is not None:
        assert stop.pause_reason is PauseReason.FAILURES
        assert stop.message.endswith("Not on WhatsApp.")
