"""What a broadcast waits for is worked out from what the engine sees of itself."""

from hypothesis import given
from hypothesis import strategies as st

from server.domain.limits import (
    PAIR_RATE_CODE,
    PERSON_WINDOW_CODE,
    Limit,
    LimitMeter,
    Sight,
    allowed_rate,
    limit_of,
    limit_of_waiting,
    limit_shown,
)
from server.domain.states import BroadcastStatus, PauseReason

PACED = Sight(Limit.YOUR_RATE, False, False, idle_count=1, ready_count=5, is_claiming=False, people_left=None)
FREE = PACED._replace(paced_by=None)


@given(st.integers(0, 2_000), st.none() | st.integers(1, 2_000), st.integers(0, 1_000))
def test_the_slowest_limit_rules_and_is_named(throughput: int, rate_limit: int | None, throttle_ms: int) -> None:
    rate, limit = allowed_rate(throughput, rate_limit, throttle_ms)
    rates = [rate for rate in (throughput, rate_limit, 1000 / throttle_ms if throttle_ms else 0) if rate]
    assert rate == min(rates, default=None)
    if rate is None:
        assert limit is Limit.NOTHING
    else:
        assert (limit is Limit.THROUGHPUT) == (rate == throughput and throughput > 0) or rate_limit == throughput


def test_a_pacer_that_lets_senders_wait_is_the_limit() -> None:
    assert limit_of(PACED) is Limit.YOUR_RATE


def test_senders_that_all_wait_for_answers_wait_for_the_provider() -> None:
    assert limit_of(PACED._replace(idle_count=0)) is Limit.PROVIDER
    assert limit_of(FREE._replace(idle_count=0)) is Limit.PROVIDER


def test_senders_that_wait_for_a_claim_wait_for_the_database() -> None:
    assert limit_of(PACED._replace(ready_count=0, is_claiming=True)) is Limit.DATABASE
    assert limit_of(FREE._replace(ready_count=3, is_claiming=True)) is Limit.NOTHING


def test_a_complaint_about_the_pace_is_throughput_and_any_other_wait_is_the_providers() -> None:
    assert limit_of(PACED._replace(is_lowered=True, is_paused=True)) is Limit.THROUGHPUT
    assert limit_of(PACED._replace(is_paused=True)) is Limit.PROVIDER


def test_whom_the_messaging_limit_keeps_back_wait_for_it_once_the_last_has_left() -> None:
    assert limit_of(PACED._replace(people_left=0)) is Limit.YOUR_RATE
    assert limit_of(PACED._replace(people_left=0, ready_count=0)) is Limit.MESSAGING_LIMIT


def test_people_who_were_put_off_are_waited_for_by_the_reason_they_were() -> None:
    assert limit_of_waiting(PAIR_RATE_CODE) is Limit.PAIR_RATE
    assert limit_of_waiting(PERSON_WINDOW_CODE) is Limit.WINDOW
    assert limit_of_waiting(None, is_left_alone=True) is Limit.WINDOW
    assert limit_of_waiting(131000) is limit_of_waiting(None) is Limit.PROVIDER


@given(st.lists(st.tuples(st.floats(0.0, 0.3), st.sampled_from(Limit)), min_size=1))
def test_what_was_seen_most_often_within_a_second_is_the_limit(looks: list[tuple[float, Limit]]) -> None:
    meter, now = LimitMeter(), 0.0
    seen: list[tuple[float, Limit]] = []
    for later, limit in looks:
        now += later
        said = meter.see(now, limit)
        seen = [(at, what) for at, what in [*seen, (now, limit)] if at > now - 1.0]
        counts = {what: sum(other == what for _, other in seen) for _, what in seen}
        assert counts[said] == max(counts.values())


def test_a_row_that_does_not_run_says_what_it_waits_for_and_nothing_of_a_person() -> None:
    def shown(status: BroadcastStatus, reason: PauseReason | None = None, *, later: bool = False) -> str | None:
        return limit_shown(status, reason, has_resume_at=later, noted="pair_rate")

    assert shown(BroadcastStatus.DRAFT) is None
    assert shown(BroadcastStatus.SCHEDULED) == "window"
    assert shown(BroadcastStatus.QUEUED) == "nothing"
    assert shown(BroadcastStatus.QUEUED, later=True) == "pair_rate"
    assert shown(BroadcastStatus.RUNNING) == "pair_rate"
    assert shown(BroadcastStatus.PAUSED, PauseReason.USER) is None
    assert shown(BroadcastStatus.PAUSED, PauseReason.FAILURES) is None
    assert shown(BroadcastStatus.PAUSED, PauseReason.QUIET_HOURS) == "window"
    assert shown(BroadcastStatus.PAUSED, PauseReason.MESSAGING_LIMIT) == "messaging_limit"
    assert shown(BroadcastStatus.PAUSED, PauseReason.PROVIDER_OUTAGE) == "provider"
    assert shown(BroadcastStatus.COMPLETED) == "pair_rate"
