"""The limits emerge from use: of a number, of a pair, of a day."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from server.simulator.ledger import Accepted, windows
from server.simulator.limits import PAIR_BURST, PAIR_INTERVAL_SECONDS, PairLimit, Throughput
from tests.simulator.conftest import a_message, code_of, send
from tests.support.simulator import Simulator

STEPS = st.lists(st.floats(0, 3), min_size=1, max_size=300)


def moments(steps: list[float], begin: float = 1000.0) -> list[float]:
    """Times of a clock, from the steps between them."""
    times = [begin]
    for step in steps:
        times.append(times[-1] + step)
    return times


@given(STEPS, st.floats(0.5, 200))
def test_a_number_never_sends_more_than_a_full_second_ahead_of_its_rate(steps: list[float], rate: float) -> None:
    bucket = Throughput(rate)
    gone: list[float] = []
    for now in moments(steps):
        if bucket.allows(now):
            bucket.take()
            gone.append(now)
    for first, begin in enumerate(gone):
        for last, end in enumerate(gone[first:], start=first):
            assert last - first + 1 <= max(rate, 1) + rate * (end - begin) + 0.001


@given(STEPS)
def test_a_limit_set_later_begins_without_debt(steps: list[float]) -> None:
    bucket = Throughput(0)
    times = moments(steps)
    for now in times:
        assert bucket.allows(now)
        bucket.take()
    bucket.rate = 10
    assert bucket.allows(times[-1] + 1)


@given(STEPS)
def test_a_person_gets_a_burst_and_then_one_in_six_seconds(steps: list[float]) -> None:
    limit = PairLimit()
    gone = []
    for now in moments(steps):
        if limit.allows("972501234567", now):
            limit.take("972501234567", now)
            gone.append(now)
    for n, now in enumerate(gone, start=1):
        assert n <= PAIR_BURST + (now - gone[0]) / PAIR_INTERVAL_SECONDS + 0.001


@given(STEPS)
def test_the_widest_second_is_found_wherever_it_begins(steps: list[float]) -> None:
    times = moments(steps)
    entries = [Accepted(n, "w", "+1", "1", None, "1", "text", None, None, now, now) for n, now in enumerate(times)]
    found = windows(entries)
    assert found.most_in_one_second == max(sum(begin <= other < begin + 1 for other in times) for begin in times)
    assert found.accepted == len(times)


def test_the_same_person_too_often_is_refused_and_another_is_not(simulator: Simulator) -> None:
    refused = next(answer for answer in (send(simulator) for _ in range(1_000)) if answer[0] != 200)
    assert code_of(refused) == 131056
    assert send(simulator, a_message("+972501111111"))[0] == 200
    simulator.world(pair_limit=False)
    assert send(simulator)[0] == 200


def test_the_rate_can_be_changed_while_it_runs(simulator: Simulator) -> None:
    simulator.world(rate=1)
    codes = {status for status, _ in (send(simulator, a_message(f"+97250{n:07d}")) for n in range(20))}
    assert codes == {200, 429}
    simulator.world(rate=0)
    assert all(send(simulator, a_message(f"+97250{n:07d}"))[0] == 200 for n in range(20))


def test_every_number_has_a_limit_of_its_own(simulator: Simulator) -> None:
    simulator.world(rate=1)

    def send_from(number_id: str) -> tuple[int, Any]:
        return simulator.call("POST", f"/v25.0/{number_id}/messages", a_message(), "t")

    assert next(answer for answer in (send_from("1001") for _ in range(1_000)) if answer[0] == 429)
    assert send_from("1002")[0] == 200


def test_the_limit_of_a_day_is_counted_and_refuses_nobody(simulator: Simulator) -> None:
    simulator.world(messaging_limit="TIER_250")
    for n in range(251):
        assert send(simulator, a_message(f"+97250{n:07d}"))[0] == 200
    _, limits = simulator.call("GET", "/_sim/limits")
    assert limits == {"messaging_limit": "TIER_250", "limit": 250, "used_in_24_hours": 251, "exceeded": True}


def test_a_number_that_is_blocked_sends_nothing(simulator: Simulator) -> None:
    simulator.world(status="BANNED")
    assert code_of(send(simulator)) == 131031
    assert simulator.summary()["accepted"] == 0
