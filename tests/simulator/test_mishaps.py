"""What goes wrong by chance or by order: what the client sees, and what is true."""

import http.client
import json
import socket

import pytest

from tests.simulator.conftest import SEND, a_message, code_of, send
from tests.support.simulator import Simulator

NO_ANSWER = (http.client.HTTPException, ConnectionError)


def fate_of(simulator: Simulator, to: str = "+972501234567") -> str:
    """What a client sees of one request."""
    try:
        status, _ = send(simulator, a_message(to))
    except NO_ANSWER:
        return "no answer"
    return str(status)


def test_a_refused_connection_was_not_even_read(simulator: Simulator) -> None:
    simulator.order("refuse")
    assert fate_of(simulator) == "no answer"
    summary = simulator.summary()
    assert (summary["requests"], summary["accepted"], summary["faults"]) == (0, 0, {"refuse": 1})


def test_a_message_that_hangs_was_accepted_and_its_connection_stays_open(simulator: Simulator) -> None:
    simulator.order("hang")
    body = json.dumps(a_message()).encode()
    with socket.create_connection(("127.0.0.1", simulator.port)) as line:
        head = f"POST {SEND} HTTP/1.1\r\nAuthorization: Bearer t\r\nContent-Length: {len(body)}\r\n\r\n"
        line.sendall(head.encode() + body)
        assert simulator.wait_for_accepted(1)["faults"] == {"hang": 1}
        line.setblocking(False)
        with pytest.raises(BlockingIOError):
            line.recv(1)


def test_a_slow_answer_comes(simulator: Simulator) -> None:
    simulator.faults(slow=1, slow_seconds=0.01, latency_ms=1, latency_spread=0.5)
    assert fate_of(simulator) == "200"
    assert simulator.summary()["faults"] == {"slow": 1}


def test_an_ordered_code_is_answered_and_nothing_accepted(simulator: Simulator) -> None:
    simulator.order("code", code=131048)
    assert code_of(send(simulator)) == 131048
    assert simulator.summary()["accepted"] == 0


def test_an_order_befalls_exactly_the_requests_it_names(simulator: Simulator) -> None:
    simulator.order("lose", after=2, times=3, phone="+972501111111")
    other = [fate_of(simulator) for _ in range(6)]
    named = [fate_of(simulator, "+972501111111") for _ in range(7)]
    assert other == ["200"] * 6
    assert named == ["200"] * 2 + ["no answer"] * 3 + ["200"] * 2


def test_whatever_the_weather_the_ledger_is_true() -> None:
    with Simulator.start(rate=0, seed=5, faults="lose=0.2,drop=0.2,server_error=0.2") as stormy:
        fates = {f"+97250{n:07d}": fate_of(stormy, f"+97250{n:07d}") for n in range(60)}
        accepted = {entry["to"] for entry in stormy.accepted()}
        faults = stormy.summary()["faults"]
    answered = {to for to, fate in fates.items() if fate == "200"}
    unanswered = {to for to, fate in fates.items() if fate == "no answer"}
    assert answered <= accepted <= answered | unanswered
    assert len(accepted - answered) == faults["drop"]
    assert len(unanswered - accepted) == faults["lose"]


def test_the_same_seed_is_the_same_weather_also_after_a_reset() -> None:
    with Simulator.start(rate=0, seed=5, faults="lose=0.2,drop=0.2,server_error=0.2") as stormy:
        first = [fate_of(stormy) for _ in range(40)]
        stormy.reset()
        again = [fate_of(stormy) for _ in range(40)]
    assert first == again
    assert len(set(first)) == 3


def test_no_two_messages_have_one_id_also_across_a_reset(simulator: Simulator) -> None:
    ids = set()
    for _ in range(3):
        ids |= {send(simulator)[1]["messages"][0]["id"] for _ in range(5)}
        simulator.reset()
    assert len(ids) == 15
