"""No one-second window of the receiver holds more than the rate; the long-run rate stays within one per cent."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.domain.pacing import LATENESS_ALLOWANCE_SECONDS, LATENESS_SHARE, Pacer, Slot


def send_for(
    pacer: Pacer, seconds: float, latencies: Iterator[float], complaints: Sequence[float] = ()
) -> list[tuple[float, float]]:
    """Send as fast as the pacer allows. complaints: when the provider says that we are too fast.

    Returns when each left and when it was answered.
    """
    now = 0.0
    still_to_come = sorted(complaints)
    sent: list[tuple[float, float]] = []
    open_answers: list[tuple[float, Slot]] = []
    while now < seconds:
        while still_to_come and still_to_come[0] <= now:
            pacer.lower(still_to_come.pop(0))
        while open_answers and open_answers[0][0] <= now:
            answered_at, slot = open_answers.pop(0)
            pacer.answered(slot, answered_at)
        grant = pacer.take(now, 1)
        if grant.count:
            answered_at = now + next(latencies)
            sent.append((now, answered_at))
            open_answers.append((answered_at, pacer.left(now)))
            open_answers.sort(key=lambda pair: pair[0])
        else:
            # A timer never wakes early, and up to a millisecond late.
            now += max(grant.wait, 0.0005) + 0.0003
    return sent


def most_in_one_second(instants: list[float]) -> int:
    """The fullest window of one second."""
    instants = sorted(instants)
    return max(bisect_left(instants, at + 1.0) - number for number, at in enumerate(instants))


@settings(max_examples=40, deadline=None)
@given(
    rate=st.integers(1, 300),
    usual=st.sampled_from([0.002, 0.03, 0.3]),
    offset_share=st.floats(0.0, 1.0),
    jitter=st.lists(st.tuples(st.floats(0.0, 0.0015), st.floats(0.0, 1.0)), min_size=1, max_size=50),
    complaints=st.lists(st.floats(0.0, 4.0), max_size=3),
)
def test_no_window_of_the_receiver_is_above_the_rate(
    rate: int, usual: float, offset_share: float, jitter: list[tuple[float, float]], complaints: list[float]
) -> None:
    """The receiver counts a message anywhere on its way, each later than the usual by a part of its own lateness."""
    latencies = (usual + jitter[number % len(jitter)][0] for number in range(10**9))
    sent = send_for(Pacer(rate), 4.0, latencies, complaints)
    counted = [
        left + usual * offset_share + (answered - left - usual) * jitter[number % len(jitter)][1]
        for number, (left, answered) in enumerate(sent)
    ]
    assert most_in_one_second(counted) <= rate


def test_while_it_is_lowered_no_window_is_above_the_lowered_rate() -> None:
    latencies = (0.02 for _ in range(10**9))
    sent = send_for(Pacer(80), 6.0, latencies, [4.0])
    # What left before the complaint still fills its windows; a second after it the rate begins to rise.
    assert most_in_one_second([left for left, _ in sent if 4.0 <= left < 5.0]) <= 40


def test_a_stall_of_the_receiver_is_not_followed_by_a_full_window() -> None:
    """For 200 ms nothing is answered: what left before it is counted late, and what leaves after it must wait."""

    def latencies() -> Iterator[float]:
        for number in range(10**9):
            yield 0.2 - 0.0125 * (number - 80) if 80 <= number < 96 else 0.003

    sent = send_for(Pacer(80), 3.0, latencies())
    assert most_in_one_second([answered for _, answered in sent]) <= 80


@settings(max_examples=40, deadline=None)
@given(
    rate=st.integers(20, 300),
    waits=st.lists(st.tuples(st.floats(0.007, 0.08), st.floats(0.0, 1.0)), min_size=14, max_size=50),
)
def test_a_near_receiver_on_a_busy_machine_has_no_window_above_the_rate(
    rate: int, waits: list[tuple[float, float]]
) -> None:
    """Hardly an answer comes soon, and each message is counted anywhere between its leaving and its answer."""
    latencies = (0.004 if number % 14 == 0 else waits[number % len(waits)][0] for number in range(10**9))
    sent = send_for(Pacer(rate), 4.0, latencies)
    counted = [left + (answered - left) * waits[number % len(waits)][1] for number, (left, answered) in enumerate(sent)]
    assert most_in_one_second(counted) <= rate


@pytest.mark.parametrize("rate", [1, 7, 80, 250, 1000])
@pytest.mark.parametrize("latency_seconds", [0.002, 0.3])
def test_the_long_run_rate_is_within_one_per_cent(rate: int, latency_seconds: float) -> None:
    seconds = 40.0
    latencies = (latency_seconds for _ in range(10**9))
    sent = send_for(Pacer(rate), seconds, latencies)
    assert len(sent) / seconds == pytest.approx(rate, rel=0.01 + 1 / (rate * seconds))


def test_jittery_answers_cost_at_most_the_allowance() -> None:
    latencies = (0.1 + 0.2 * (number % 7 == 0) for number in range(10**9))
    sent = send_for(Pacer(80), 60.0, latencies)
    allowance = LATENESS_ALLOWANCE_SECONDS + 60 * LATENESS_SHARE
    assert len(sent) >= 80 * (60 - allowance) * 0.99


def test_a_complaint_halves_the_rate_at_most_once_a_second_and_never_under_a_tenth() -> None:
    pacer = Pacer(80)
    pacer.lower(10.0)
    pacer.lower(10.5)
    assert pacer.rate == 40
    for second in range(11, 30):
        pacer.lower(float(second))
    assert pacer.rate == 8


def test_the_rate_comes_back_by_a_tenth_a_second_and_never_above_the_limit() -> None:
    pacer = Pacer(80)
    pacer.lower(0.0)
    pacer.take(1.0, 1)
    assert pacer.rate == pytest.approx(44)
    pacer.take(100.0, 1)
    assert pacer.rate == 80


def test_a_pause_lets_nothing_leave() -> None:
    pacer = Pacer(80)
    pacer.pause(5.0, 2.0)
    assert pacer.take(6.0, 1).count == 0
    assert pacer.take(7.0, 1).count == 1


def test_a_rate_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="above 0"):
        Pacer(0)
    with pytest.raises(ValueError, match="1 message or more"):
        Pacer(80).take(0.0, 0)


@settings(max_examples=40, deadline=None)
@given(
    rates=st.lists(st.integers(1, 400), min_size=2, max_size=4),
    latency=st.sampled_from([0.002, 0.05]),
    complaints=st.lists(st.floats(0.0, 4.0), max_size=2),
)
def test_no_window_that_a_message_leaves_in_is_above_the_rate_of_that_moment(
    rates: list[int], latency: float, complaints: list[float]
) -> None:
    """Over a rise and over a fall: what left before a fall counts in the windows of what leaves after it."""
    pacer = Pacer(rates[0])
    changes = [(1.3 * number, rate) for number, rate in enumerate(rates)]
    still, upset, now = changes[1:], sorted(complaints), 0.0
    left: list[tuple[float, int]] = []
    open_answers: list[tuple[float, Slot]] = []
    while now < 1.3 * len(rates):
        while still and still[0][0] <= now:
            pacer.change(now, still.pop(0)[1])
        while upset and upset[0] <= now:
            pacer.lower(upset.pop(0))
        while open_answers and open_answers[0][0] <= now:
            answered_at, slot = open_answers.pop(0)
            pacer.answered(slot, answered_at)
        grant = pacer.take(now, 1)
        if grant.count:
            open_answers.append((now + latency, pacer.left(now)))
            left.append((now, rates[len(rates) - len(still) - 1]))
        else:
            now += max(min(grant.wait, 0.125), 0.0005) + 0.0003
    instants = [at for at, _ in left]
    for number, (at, rate) in enumerate(left):
        assert number + 1 - bisect_right(instants, at - 1.0) <= rate


def test_a_rate_that_is_raised_is_followed_at_once() -> None:
    pacer = Pacer(1)
    pacer.take(0.0, 1)
    pacer.left(0.0)
    pacer.change(0.1, 1000)
    leaves, now = 0, 0.1
    while now < 0.6:
        while pacer.take(now, 1).count:
            pacer.left(now)
            leaves += 1
        now += 0.001
    assert leaves >= 450


def test_a_rate_that_whatsapp_lowered_rises_to_a_new_limit_by_the_usual_steps() -> None:
    pacer = Pacer(80)
    pacer.lower(0.0)
    pacer.change(0.5, 100)
    assert pacer.rate == 40
    pacer.change(0.6, 1000)
    assert pacer.rate == 100  # never under a tenth
    pacer.change(0.7, 20)
    assert pacer.rate == 20
    with pytest.raises(ValueError, match="above 0"):
        pacer.change(0.8, 0)
