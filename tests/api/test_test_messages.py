"""The real message to a few phones of one's own: what it sends, and that it counts nowhere."""

from typing import Any

import pytest

from tests.api.conftest import DANA, Api, an_order
from tests.support.builders import PHONE_NUMBER_ID
from tests.support.engine import Engine, until
from tests.support.simulator import Simulator
from tests.support.webhooks import a_body, a_failure, a_status, signed

MINE = "+972509999999"
UNTOUCHED = ("status", "total_recipients", "processed_count", "sent_count", "failed_count", "unknown_count")


@pytest.fixture
def path(api: Api) -> str:
    """A draft to Dana."""
    return f"/broadcasts/{api.post('/broadcasts', an_order(start=False)).json['id']}"


def test_a_test_sends_the_real_message_and_counts_nowhere(api: Api, path: str, simulator: Simulator) -> None:
    before = api.get(path).json
    answer = api.post(f"{path}/test", {"phones": [MINE]})
    assert answer.status == 200
    assert [(item["phone"], item["status"]) for item in answer.json["items"]] == [(MINE, "sent")]
    assert answer.json["items"][0]["message_id"].startswith("wamid.")
    got = simulator.messages_to(MINE)
    assert [(item["template"], item["biz_opaque_callback_data"]) for item in got] == [("order_update", "b1:t1")]
    after = api.get(path).json
    assert [after[name] for name in UNTOUCHED] == [before[name] for name in UNTOUCHED]
    assert api.get(f"{path}/recipients").json["items"][0]["status"] == "queued"


def test_a_draft_without_people_is_tested_with_the_values_that_are_given(api: Api, simulator: Simulator) -> None:
    empty = f"/broadcasts/{api.post('/broadcasts', an_order(start=False, recipients=[])).json['id']}"
    assert api.post(f"{empty}/test", {"phones": [MINE]}).status == 422
    values = {"first_name": "Tal", "order_id": "B-1"}
    assert api.post(f"{empty}/test", {"phones": [MINE], "variables": values}).status == 200
    assert len(simulator.messages_to(MINE)) == 1


def test_a_phone_named_twice_gets_one_test(api: Api, path: str, simulator: Simulator) -> None:
    assert len(api.post(f"{path}/test", {"phones": [MINE, "+972 50-999-9999"]}).json["items"]) == 1
    assert len(simulator.messages_to(MINE)) == 1


def test_nobody_who_opted_out_gets_a_test(api: Api, path: str, clarion: Engine, simulator: Simulator) -> None:
    clarion.execute(
        "INSERT INTO suppressions (business_id, phone, reason) VALUES (%(id)s, %(phone)s, 'STOP')",
        id=api.business_id,
        phone=MINE,
    )
    answer = api.post(f"{path}/test", {"phones": [MINE, DANA["phone"]]})
    assert [item["status"] for item in answer.json["items"]] == ["skipped", "sent"]
    assert simulator.messages_to(MINE) == []


def test_a_test_that_whatsapp_refuses_says_why(api: Api, path: str, simulator: Simulator) -> None:
    simulator.order("code", code=131026, times=1)
    item = api.post(f"{path}/test", {"phones": [MINE]}).json["items"][0]
    assert (item["status"], item["error_code"]) == ("failed", 131026)
    assert item["error_message"]


@pytest.mark.parametrize(
    ("wanted", "pointer"),
    [
        ({"phones": []}, "/phones"),
        ({"phones": [f"+9725000000{n:02d}" for n in range(11)]}, "/phones"),
        ({"phones": [MINE, "12"]}, "/phones/1"),
        ({"phones": [MINE], "variables": {"first_name": "Tal"}}, "/variables"),
        ({}, "/phones"),
    ],
)
def test_a_test_that_cannot_be_sent_says_what_is_wrong(
    api: Api, path: str, simulator: Simulator, wanted: dict[str, Any], pointer: str
) -> None:
    answer = api.post(f"{path}/test", wanted)
    assert answer.status == 422
    assert [item["pointer"] for item in answer.json["errors"]] == [pointer]
    assert simulator.accepted() == []
    assert api.get(f"{path}/tests").json == {"items": [], "next_cursor": None}


def test_what_whatsapp_reports_of_a_test_is_shown_with_it(api: Api, path: str) -> None:
    items = api.post(f"{path}/test", {"phones": [MINE, DANA["phone"]]}).json["items"]
    statuses = [a_status(items[0]["message_id"], "delivered"), a_failure(items[1]["message_id"], 131026)]
    raw, proof = signed(a_body(f"{PHONE_NUMBER_ID}{api.business_id}", statuses=statuses))
    found = {name.replace("-", "_"): value for name, value in proof.items()}
    assert api.call("POST", "/webhooks/whatsapp", raw, **found).status == 200
    until(
        lambda: [item["status"] for item in api.get(f"{path}/tests").json["items"]] == ["delivered", "failed"],
        what="both reports",
    )
    assert api.get(f"{path}/tests").json["items"][1]["error_code"] == 131026


def test_another_business_finds_no_test(other: Api, path: str) -> None:
    assert other.post(f"{path}/test", {"phones": [MINE]}).status == 404
    assert other.get(f"{path}/tests").status == 404
