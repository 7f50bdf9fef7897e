"""The simulator keeps its own promises: it refuses as WhatsApp does, and its ledger knows what it accepted."""

import http.client
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.simulator.conftest import NUMBER, WABA, a_message, code_of, send
from tests.support.simulator import Simulator


def test_an_accepted_message_stands_in_the_ledger(simulator: Simulator) -> None:
    status, answer = send(simulator)
    assert status == 200
    assert answer["contacts"] == [{"input": "+972501234567", "wa_id": "972501234567"}]
    (entry,) = simulator.accepted()
    assert entry["message_id"] == answer["messages"][0]["id"]
    assert entry["biz_opaque_callback_data"] == "b1:r1"
    assert simulator.summary()["most_to_one_person"] == 1


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, 100),
        ({**a_message(), "messaging_product": "sms"}, 100),
        ({**a_message(), "type": "nonsense"}, 100),
        (a_message(name="nothing_of_that_name"), 132001),
        (a_message(language={"code": "fr"}), 132001),
        (a_message(components=[]), 132000),
        ({**a_message(), "biz_opaque_callback_data": "x" * 513}, 100),
    ],
)
def test_a_request_that_is_wrong_is_refused_with_metas_code(
    simulator: Simulator, body: dict[str, Any], code: int
) -> None:
    status, answer = send(simulator, body)
    assert status >= 400
    assert answer["error"]["fbtrace_id"]
    assert answer["error"]["code"] == code
    assert simulator.summary()["accepted"] == 0


def test_without_a_token_nothing_is_taken(simulator: Simulator) -> None:
    assert code_of(send(simulator, token=None)) == 104
    assert simulator.summary()["accepted"] == 0


def test_only_the_right_token_is_taken_where_one_is_named() -> None:
    with Simulator.start(token="right") as strict:
        assert code_of(send(strict, token="wrong")) == 190
        assert send(strict, token="right")[0] == 200


def test_people_are_who_their_number_says(simulator: Simulator) -> None:
    assert code_of(send(simulator, a_message("+972509990126"))) == 131026
    assert code_of(send(simulator, a_message("+972509990100"))) == 131000
    assert send(simulator, a_message("+972509990100"))[0] == 200
    assert simulator.summary()["refused"] == {"131026": 1, "131000": 1}


def test_a_number_may_send_so_many_in_a_second_and_no_more() -> None:
    with Simulator.start(rate=20) as limited:
        answers = [send(limited, a_message(f"+97250{n:07d}")) for n in range(60)]
    refused = [answer for answer in answers if answer[0] != 200]
    assert refused
    assert {code_of(answer) for answer in refused} == {130429}


def test_templates_and_the_number_are_shown_as_meta_shows_them(simulator: Simulator) -> None:
    _, page = simulator.call("GET", f"/v25.0/{WABA}/message_templates?limit=2", None, "t")
    assert len(page["data"]) == 2
    _, rest = simulator.call(
        "GET", f"/v25.0/{WABA}/message_templates?limit=100&after={page['paging']['cursors']['after']}", None, "t"
    )
    names = {template["name"] for template in page["data"] + rest["data"]}
    assert {"order_update", "hello_world", "spring_sale", "appointment_reminder"} <= names
    _, node = simulator.call("GET", f"/v25.0/{NUMBER}?fields=quality_rating,status,health_status", None, "t")
    assert node["status"] == "CONNECTED"


def test_a_template_can_be_paused_from_outside(simulator: Simulator) -> None:
    simulator.world(templates=[{"name": "order_update", "status": "PAUSED"}])
    assert code_of(send(simulator)) == 132015


def test_a_dropped_answer_was_accepted_all_the_same(simulator: Simulator) -> None:
    simulator.order("drop")
    with pytest.raises((http.client.HTTPException, ConnectionError)):
        send(simulator)
    assert simulator.summary()["accepted"] == 1


def test_a_lost_request_was_not_accepted(simulator: Simulator) -> None:
    simulator.order("lose")
    with pytest.raises((http.client.HTTPException, ConnectionError)):
        send(simulator)
    assert simulator.summary()["accepted"] == 0
    assert send(simulator)[0] == 200


def test_a_server_error_is_a_page_and_no_json(simulator: Simulator) -> None:
    simulator.order("server_error")
    status, text = send(simulator)
    assert status == 502
    assert isinstance(text, str)
    assert simulator.summary()["accepted"] == 0


def test_held_answers_come_when_they_are_released(simulator: Simulator) -> None:
    simulator.hold_answers(after=1)
    assert send(simulator)[0] == 200
    answers: list[tuple[int, Any]] = []
    waiting = threading.Thread(target=lambda: answers.append(send(simulator, a_message("+972501111111"))))
    waiting.start()
    assert simulator.holds(at_least=1) == 1
    assert simulator.summary()["accepted"] == 2
    assert not answers
    simulator.release()
    waiting.join()
    assert answers[0][0] == 200


def test_the_ledger_outlives_a_sigkill(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.jsonl"
    with Simulator.start(rate=0, ledger=ledger) as first:
        for n in range(50):
            assert send(first, a_message(f"+97250{n:07d}"))[0] == 200
        first.kill()
        with first.start_again() as second:
            assert second.summary()["accepted"] == 50
            assert len(second.messages_to("+972500000007")) == 1


def test_the_same_seed_is_the_same_world() -> None:
    def who_is_not_there(seed: int) -> list[int]:
        with Simulator.start(rate=0, seed=seed, not_on_whatsapp=0.3) as world:
            return [n for n in range(40) if send(world, a_message(f"+97250{n:07d}"))[0] != 200]

    first = who_is_not_there(7)
    assert first == who_is_not_there(7)
    assert first != who_is_not_there(8)
    assert 0 < len(first) < 40
