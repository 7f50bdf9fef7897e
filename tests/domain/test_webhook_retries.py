"""What becomes of an event after an attempt, over every course that attempts can take."""

from hypothesis import given
from hypothesis import strategies as st

from server.domain.webhook_retries import (
    DELAYS,
    GONE_REASON,
    JITTER,
    LONGEST_REST_SECONDS,
    LONGEST_WISH_SECONDS,
    SHORTEST_REST_SECONDS,
    TRY_FOR_SECONDS,
    Attempt,
    delay,
    judge,
    rest,
)

chance = st.floats(0, 1)
seconds = st.floats(0, 10 * TRY_FOR_SECONDS)
refusals = st.one_of(st.none(), st.integers(100, 199), st.integers(300, 599))


@given(st.integers(200, 299), st.integers(1, 100), seconds, chance)
def test_any_2xx_is_a_receipt(status: int, number: int, trying: float, jitter: float) -> None:
    verdict = judge(Attempt(status, number, trying, trying), jitter)
    assert verdict == (True, None, None)


@given(refusals.filter(lambda status: status != 410), st.lists(chance, min_size=40, max_size=40))
def test_an_event_is_tried_for_24_hours_and_then_no_more(status: int | None, chances: list[float]) -> None:
    trying, waits = 0.0, []
    for number, jitter in enumerate(chances, start=1):
        wait = judge(Attempt(status, number, trying), jitter).retry_in_seconds
        if wait is None:
            break
        waits.append(wait)
        trying += wait
    assert trying >= TRY_FOR_SECONDS - 1e-6
    assert trying <= TRY_FOR_SECONDS + 1e-6
    assert len(DELAYS) <= len(waits) <= len(DELAYS) + 3
    # All but the last, which the end of the 24 hours cuts short, keep to the plan.
    for planned, wait in zip(DELAYS, waits[:-1], strict=False):
        assert planned * (1 - JITTER) - 1e-6 <= wait <= planned * (1 + JITTER) + 1e-6


@given(seconds, seconds)
def test_the_longer_an_endpoint_fails_the_longer_it_is_left_alone(one: float, other: float) -> None:
    assert SHORTEST_REST_SECONDS <= rest(min(one, other)) <= rest(max(one, other)) <= LONGEST_REST_SECONDS


@given(st.integers(1, 100), seconds, chance, st.floats(0, 1e9))
def test_a_wait_that_the_receiver_asks_for_is_kept_within_bounds(
    number: int, trying: float, jitter: float, wished: float
) -> None:
    asked = delay(Attempt(429, number, trying, retry_after_seconds=wished), jitter)
    if asked is not None:
        assert 0 < asked <= TRY_FOR_SECONDS - trying
        assert asked >= min(wished, LONGEST_WISH_SECONDS, TRY_FOR_SECONDS - trying)


@given(refusals, st.integers(1, 100), seconds, st.one_of(st.none(), seconds), chance)
def test_an_endpoint_is_closed_by_410_at_once_and_by_24_hours_of_failures(
    status: int | None, number: int, trying: float, failing: float | None, jitter: float
) -> None:
    verdict = judge(Attempt(status, number, trying, failing), jitter)
    assert not verdict.is_delivered
    is_long = failing is not None and failing >= TRY_FOR_SECONDS
    assert (verdict.disable_because is not None) == (status == 410 or is_long)
    if status == 410:
        assert verdict == (False, None, GONE_REASON)


@given(refusals, seconds, chance)
def test_a_test_is_one_attempt_and_closes_nothing(status: int | None, failing: float, jitter: float) -> None:
    assert judge(Attempt(status, 1, 0.0, failing, is_test=True), jitter) == (False, None, None)
