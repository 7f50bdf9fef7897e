"""Broadcasts to an audience, saved segments, and one person's messages, as a client sees them."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from server.domain.states import FINAL
from tests.api.conftest import Answer, Api, an_order
from tests.support.books import assert_counters_equal_rows
from tests.support.builders import PHONE_NUMBER_ID
from tests.support.engine import Engine, until
from tests.support.simulator import Simulator
from tests.support.webhooks import a_body, a_text, signed

CSV = """phone,name,tags,first_name,order_id,city
+972500000001,Dana,vip,Dana,A-1,Haifa
+972500000002,Noa,vip;staff,Noa,A-2,Haifa
+972500000003,Omar,vip,Omar,A-3,Acre
+972500000004,Maya,vip,Maya,,Haifa
+972500000005,Adam,,Adam,A-5,Haifa
"""
VIPS = {"tags": ["vip"], "not_tags": ["staff"]}


@pytest.fixture
def api(api: Api) -> Api:
    """A client of a business that knows five people."""
    assert api.call("POST", "/api/whatsapp/contacts/import", CSV.encode(), content_type="text/csv").status == 200
    return api


def to(audience: object, **fields: Any) -> dict[str, Any]:
    """A broadcast to an audience, as a client sends it."""
    order = an_order(audience=audience, **fields)
    del order["recipients"]
    return order


def count(api: Api, audience: object) -> Answer:
    """How many an audience is."""
    return api.post("/audiences/count", {"audience": audience})


def contact(api: Api, phone: str) -> str:
    """The path of a contact."""
    return f"/contacts/{api.get(f'/contacts?phone={phone}').json['items'][0]['id']}"


def test_an_audience_is_counted_before_anything_is_made_of_it(api: Api, other: Api) -> None:
    api.post(f"{contact(api, '+972500000003')}/opt-out")
    assert count(api, VIPS).json == {
        "description": "everybody tagged vip, not tagged staff",
        "contacts_count": 3,
        "opted_out_count": 1,
        "recipients": 2,
    }
    assert count(api, {**VIPS, "where": [{"attribute": "city", "is": "Haifa"}]}).json["contacts_count"] == 2
    assert count(api, {"where": [{"attribute": "order_id", "exists": False}]}).json["contacts_count"] == 1
    assert count(api, {}).json["contacts_count"] == 5
    assert count(other, {}).json["contacts_count"] == 0


@pytest.mark.parametrize(
    ("audience", "pointer"),
    [
        ({"tag": ["vip"]}, "/audience/tag"),
        ({"tags": ["a;b"]}, "/audience/tags/0"),
        ({"where": [{"attribute": "city"}]}, "/audience/where/0"),
        ({"where": [{"attribute": "city", "is": "a", "contains": "b"}]}, "/audience/where/0"),
        ({"segment_id": 9}, "/audience/segment_id"),
        ({"segment_id": -1}, "/audience/segment_id"),
        (None, "/audience"),
    ],
)
def test_what_is_no_audience_is_refused_where_it_is_wrong(api: Api, audience: object, pointer: str) -> None:
    refused = count(api, audience)
    assert (refused.status, refused.json["errors"][0]["pointer"]) == (422, pointer)
    if audience is not None:
        refused = api.post("/broadcasts", to(audience))
        assert (refused.status, refused.json["errors"][0]["pointer"]) == (422, pointer)


def test_a_broadcast_to_an_audience_reaches_each_of_it_once(
    api: Api, clarion: Engine, simulator: Simulator, database_url: str
) -> None:
    clarion.start("worker")
    made = api.post("/broadcasts", to(VIPS))
    assert made.status == 202, made.body
    assert made.json["total_recipients"] == 2
    assert made.json["audience"] == {**VIPS, "where": []}
    assert made.json["rejected"] == [{"row": 4, "phone": "+972500000004", "reason": "no value for order_id"}]
    path = f"/broadcasts/{made.json['id']}"
    until(lambda: api.get(path).json["status"] in FINAL)
    assert api.get(path).json["status"] == "completed"
    assert sorted(message["to"] for message in simulator.accepted()) == ["+972500000001", "+972500000003"]
    assert_counters_equal_rows(database_url, made.json["id"])


def test_either_recipients_or_an_audience(api: Api) -> None:
    assert api.post("/broadcasts", an_order(audience=VIPS)).status == 422
    draft = api.post("/broadcasts", to(VIPS, start=False)).json
    assert (draft["status"], draft["total_recipients"]) == ("draft", 0)
    more = api.post(f"/broadcasts/{draft['id']}/recipients", {"recipients": [{"phone": "+972500000009"}]})
    assert more.status == 422
    looked = api.get(f"/broadcasts/{draft['id']}/preflight").json
    assert (looked["ok"], looked["recipients"]) == (True, 2)
    assert api.post(f"/broadcasts/{draft['id']}/start").json["total_recipients"] == 2
    assert api.post(f"/broadcasts/{draft['id']}/start").status == 409


def test_an_audience_of_nobody_is_refused_at_once_and_fails_on_a_schedule(api: Api, clarion: Engine) -> None:
    refused = api.post("/broadcasts", to({"tags": ["nobody"]}))
    assert (refused.status, refused.json["errors"]) == (
        422,
        [{"pointer": "/audience", "detail": "Nobody is in this audience: everybody tagged nobody."}],
    )
    assert api.get("/broadcasts").json["items"] == []
    soon = (datetime.now(UTC) + timedelta(seconds=2)).isoformat()
    made = api.post("/broadcasts", to({"tags": ["nobody"]}, scheduled_at=soon))
    assert (made.status, made.json["status"]) == (202, "scheduled")
    clarion.start("steward")
    until(lambda: api.get(f"/broadcasts/{made.json['id']}").json["status"] == "failed")
    shown = api.get(f"/broadcasts/{made.json['id']}").json
    assert shown["status_detail"] == "Nobody is in this audience: everybody tagged nobody."


def test_the_same_request_to_an_audience_twice_is_one_broadcast(api: Api) -> None:
    first = api.post("/broadcasts", to(VIPS), Idempotency_Key="k-1").json
    second = api.post("/broadcasts", to(VIPS), Idempotency_Key="k-1").json
    assert first["id"] == second["id"]
    assert second["total_recipients"] == 2


def test_an_opt_out_of_a_contact_holds_in_a_broadcast_that_waits(api: Api, database_url: str) -> None:
    made = api.post("/broadcasts", to(VIPS)).json
    api.post(f"{contact(api, '+972500000003')}/opt-out")
    books = assert_counters_equal_rows(database_url, made["id"])
    assert books.statuses == {"queued": 1, "skipped": 1}


def test_a_list_that_opts_people_out_holds_in_a_broadcast_that_waits(api: Api, database_url: str) -> None:
    made = api.post("/broadcasts", to(VIPS)).json
    csv = b"phone,opt_out\n+972500000001,yes\n+972500000003,yes\n+972500000009,yes\n"
    assert api.call("POST", "/api/whatsapp/contacts/import", csv, content_type="text/csv").json["opted_out_count"] == 3
    assert assert_counters_equal_rows(database_url, made["id"]).statuses == {"skipped": 2}


def test_a_segment_is_saved_used_changed_and_deleted(api: Api, other: Api) -> None:
    made = api.post("/segments", {"name": "VIPs", "audience": VIPS})
    assert (made.status, made.json["audience"]) == (201, {**VIPS, "where": []})
    segment = made.json["id"]
    path = f"/segments/{segment}"
    assert api.post("/segments", {"name": "vips", "audience": {}}).status == 409
    assert other.post("/segments", {"name": "VIPs", "audience": {}}).status == 201
    assert other.get(path).status == 404
    assert other.call("PATCH", f"/api/whatsapp{path}", {"name": "x"}).status == 404
    assert other.call("DELETE", f"/api/whatsapp{path}").status == 404
    assert count(other, {"segment_id": segment}).status == 422
    assert count(api, {"segment_id": segment}).json["contacts_count"] == 3

    draft = api.post("/broadcasts", to({"segment_id": segment}, start=False)).json
    assert api.call("DELETE", f"/api/whatsapp{path}").status == 409
    changed = api.call("PATCH", f"/api/whatsapp{path}", {"name": "Staff", "audience": {"tags": ["Staff"]}}).json
    assert (changed["name"], changed["audience"]["tags"]) == ("Staff", ["staff"])
    assert api.post(f"/broadcasts/{draft['id']}/start").json["total_recipients"] == 1
    assert api.call("DELETE", f"/api/whatsapp{path}").status == 204
    assert api.get(path).status == 404
    assert api.get("/segments").json == {"items": [], "next_cursor": None}


def test_a_segment_is_not_made_of_another_one_and_needs_its_parts(api: Api) -> None:
    segment = api.post("/segments", {"name": "VIPs", "audience": VIPS}).json["id"]
    nested = api.post("/segments", {"name": "Nested", "audience": {"segment_id": segment}})
    assert (nested.status, nested.json["errors"][0]["pointer"]) == (422, "/audience/segment_id")
    for wrong in ({"name": None}, {"audience": None}, {"audience": {"tags": [""]}}, {"what": 1}):
        assert api.call("PATCH", f"/api/whatsapp/segments/{segment}", wrong).status == 422, wrong
    for n in range(3):
        api.post("/segments", {"name": f"More {n}", "audience": {}})
    page = api.get("/segments?limit=2").json
    rest = api.get(f"/segments?limit=2&cursor={page['next_cursor']}").json
    assert [item["name"] for item in page["items"] + rest["items"]] == ["VIPs", "More 0", "More 1", "More 2"]


def test_one_person_is_found_in_every_broadcast_and_what_went_to_and_fro_is_shown(
    api: Api, other: Api, clarion: Engine
) -> None:
    clarion.start("worker")
    ids = []
    for n in range(3):
        ids.append(api.post("/broadcasts", to(VIPS, name=f"Sale {n}")).json["id"])
        until(lambda: api.get(f"/broadcasts/{ids[-1]}").json["status"] in FINAL)
    dana = {"phone": "+972500000001", "variables": {"first_name": "Dana", "order_id": "1"}}
    api.post("/broadcasts", an_order(recipients=[dana], start=False))  # on a list that never started
    wrote = a_text("Thank you", sender="972500000001", timestamp=str(int(time.time()) + 1))
    raw, headers = signed(a_body(f"{PHONE_NUMBER_ID}{api.business_id}", messages=[wrote]))
    assert api.call("POST", "/webhooks/whatsapp", raw, **headers).status == 200
    path = f"{contact(api, '+972500000001')}/messages"
    until(lambda: len(api.get(path).json["items"]) == 4, what="the reply")

    shown = api.get(path).json
    assert shown["next_cursor"] is None
    assert [item["direction"] for item in shown["items"]] == ["in", "out", "out", "out"]
    reply, *sent = shown["items"]
    assert (reply["body"], reply["broadcast_id"]) == ("Thank you", ids[2])
    assert [item["broadcast_name"] for item in sent] == ["Sale 2", "Sale 1", "Sale 0"]
    assert {(item["status"], item["template"]) for item in sent} == {("sent", "order_update")}

    page = api.get(f"{path}?limit=1").json
    paged = page["items"]
    while page["next_cursor"] is not None:
        page = api.get(f"{path}?limit=1&cursor={page['next_cursor']}").json
        paged += page["items"]
    assert paged == shown["items"]

    found = api.get("/recipients?phone=+972500000001").json["items"]
    assert [(item["broadcast_id"], item["status"]) for item in found[1:]] == [(id_, "sent") for id_ in reversed(ids)]
    assert found[0]["status"] == "queued"
    first = api.get("/recipients?phone=%2B972500000001&limit=3").json
    rest = api.get(f"/recipients?phone=%2B972500000001&limit=3&cursor={first['next_cursor']}").json
    assert first["items"] + rest["items"] == found
    assert other.get("/recipients?phone=+972500000001").json["items"] == []
    for wrong in ("/recipients", "/recipients?phone=12", f"{path}?cursor=YWZ0ZXI6MQ", f"{path}?cursor=x"):
        assert api.get(wrong).status == 422, wrong
