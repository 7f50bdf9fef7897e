"""The page at `/`: it is served whole, asks nothing of anybody else, and what it asks of the simulator is there."""

import re

import pytest

from tests.simulator.conftest import a_message, send
from tests.simulator.test_people import a_sale
from tests.support.simulator import Simulator


@pytest.mark.parametrize(
    ("path", "kind"), [("/", "text/html"), ("/page.css", "text/css"), ("/page.js", "text/javascript")]
)
def test_the_page_is_served_and_may_ask_only_the_simulator(simulator: Simulator, path: str, kind: str) -> None:
    status, headers, text = simulator.headers_of("GET", path)
    assert status == 200
    assert headers["Content-Type"].startswith(kind)
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    assert not re.findall(r"(?:src|href|url|fetch)[=(]\W*(?:https?:)?//", text)
    assert not re.findall(r"\sstyle=|\son[a-z]+=|innerHTML", text)


def test_the_list_has_who_was_written_to_last(simulator: Simulator) -> None:
    for phone in ("+972501111111", "+972502222222", "+972501111111"):
        send(simulator, a_message(phone))
    simulator.writes("+972503333333", "hello")
    _, people = simulator.call("GET", "/_sim/people")
    assert (people["accepted"], people["people"], people["callbacks"]) == (3, 2, 0)
    assert [(one["wa_id"], one["last"]) for one in people["items"]] == [
        ("972503333333", "hello"),
        ("972501111111", "order_update"),
        ("972502222222", "order_update"),
    ]


def test_a_person_who_is_looked_at_is_up_to_date(simulator: Simulator) -> None:
    path = "/_sim/people/+972501111111"
    counts = []
    for _ in range(3):
        send(simulator, a_sale("+972501111111"))
        send(simulator, a_message("+972502222222"))
        counts.append(len(simulator.call("GET", path)[1]["received"]))
    simulator.reset()
    counts.append(len(simulator.call("GET", path)[1]["received"]))
    assert counts == [1, 2, 3, 0]


def test_a_button_of_an_older_message_can_be_tapped(simulator: Simulator) -> None:
    person = "+972501111111"
    _, first = send(simulator, a_sale(person, "first"))
    send(simulator, a_sale(person, "second"))
    said = simulator.taps(person, "Stop", context=first["messages"][0]["id"])
    assert (said["payload"], said["context_id"]) == ("first", first["messages"][0]["id"])
