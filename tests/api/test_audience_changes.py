"""A draft to an audience: its message for one of its people, and another audience until it starts."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.api.conftest import Answer, Api, an_order
from tests.support.engine import Engine

CSV = """phone,name,tags,first_name,order_id,city
+972500000001,Dana,vip,Dana,A-1,Haifa
+972500000002,Noa,,Noa,A-2,Haifa
+972500000004,Maya,vip,Maya,,Haifa
"""
VIPS = {"tags": ["vip"], "not_tags": [], "where": []}
OTHERS = {"tags": [], "not_tags": ["vip"], "where": []}


@pytest.fixture
def api(api: Api) -> Api:
    """A client of a business that knows three people."""
    assert api.call("POST", "/api/whatsapp/contacts/import", CSV.encode(), content_type="text/csv").status == 200
    return api


def a_draft(api: Api, **fields: Any) -> str:
    """Where a draft to an audience is."""
    order = an_order(**{"audience": VIPS, "start": False, **fields})
    del order["recipients"]
    made = api.post("/broadcasts", order)
    assert made.status == 202, made.json
    return f"/broadcasts/{made.json['id']}"


def change(api: Api, path: str, **fields: Any) -> Answer:
    return api.call("PATCH", f"/api/whatsapp{path}", fields)


def preview(api: Api, path: str, number: int) -> Answer:
    return api.get(f"{path}/preview?phone=%2B97250000000{number}")


def words(answer: Answer) -> list[str]:
    return [parameter["text"] for parameter in answer.json["template"]["components"][0]["parameters"]]


def test_the_message_of_a_draft_is_shown_for_whoever_is_in_its_audience(api: Api) -> None:
    path = a_draft(api)
    shown = preview(api, path, 1)
    assert (shown.status, shown.json["to"], words(shown)) == (200, "+972500000001", ["Dana", "A-1"])
    assert preview(api, path, 2).status == 404
    left_out = preview(api, path, 4)
    assert (left_out.status, left_out.json["detail"]) == (
        422, "This person would be left out: there is no value for order_id.",
    )  # fmt: skip
    assert preview(api, path, 9).status == 404
    assert api.get(f"{path}/preview?phone=12").status == 422


def test_an_audience_is_another_until_it_is_taken(api: Api) -> None:
    path = a_draft(api)
    changed = change(api, path, audience={"not_tags": ["vip"]})
    assert (changed.status, changed.json["audience"]) == (200, OTHERS)
    assert words(preview(api, path, 2)) == ["Noa", "A-2"]
    assert preview(api, path, 1).status == 404
    started = api.post(f"{path}/start").json
    assert (started["status"], started["total_recipients"]) == ("queued", 1)
    assert words(preview(api, path, 2)) == ["Noa", "A-2"]
    assert change(api, path, audience=VIPS).status == 409


def test_the_audience_of_a_schedule_is_changed_and_the_history_has_both(api: Api) -> None:
    at = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    path = a_draft(api, scheduled_at=at, start=True)
    for _ in range(2):  # the same once more is no change
        assert change(api, path, audience=OTHERS).json["status"] == "scheduled"
    acts = [item for item in api.get(f"{path}/history").json["items"] if item["move"] == "go_to_others"]
    assert [act["detail"] for act in acts] == [
        "It was to go to everybody tagged vip, and is to go to everybody not tagged vip."
    ]


def test_what_is_no_audience_or_has_a_list_is_refused(api: Api, other: Api, clarion: Engine) -> None:
    path = a_draft(api)
    segment = other.post("/segments", {"name": "Theirs", "audience": {}}).json["id"]
    for wrong in ({"segment_id": segment}, {"tags": ["vip"], "not_tags": ["vip"], "x": 1}, None, "vip"):
        assert change(api, path, audience=wrong).status == 422, wrong
    assert api.get(path).json["audience"] == VIPS
    assert other.call("PATCH", f"/api/whatsapp{path}", {"audience": OTHERS}).status == 404
    listed = f"/broadcasts/{api.post('/broadcasts', an_order(start=False)).json['id']}"
    refused = change(api, listed, audience=VIPS)
    assert (refused.status, refused.json["errors"][0]["pointer"]) == (422, "/audience")
    clarion.execute("UPDATE whatsapp_broadcasts SET status = 'cancelled'")
    assert change(api, path, audience=OTHERS).status == 409
