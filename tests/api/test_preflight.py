"""The pre-flight over HTTP: it is shown, and it stops a start."""

from tests.api.conftest import Api, an_order, people
from tests.support.engine import Engine
from tests.support.simulator import Simulator

PAUSE = "UPDATE templates SET status = 'PAUSED'"


def test_a_draft_shows_what_was_found(api: Api) -> None:
    draft = api.post("/broadcasts", an_order(start=False, recipients=people(100), rate_limit=8)).json
    shown = api.get(f"/broadcasts/{draft['id']}/preflight")
    assert shown.status == 200
    assert set(shown.json) == {"ok", "findings", "recipients", "seconds", "cost"}
    assert (shown.json["ok"], shown.json["recipients"], shown.json["seconds"]) == (True, 100, 12.5)
    assert all(set(finding) == {"level", "code", "detail"} for finding in shown.json["findings"])
    assert {"level": "info", "code": "duration", "detail": "At 8 messages a second it takes 12 s."} in shown.json[
        "findings"
    ]
    assert api.get(f"/broadcasts/{draft['id']}").json["status"] == "draft"


def test_what_is_to_be_mended_stops_the_start_with_422(api: Api, clarion: Engine) -> None:
    path = f"/broadcasts/{api.post('/broadcasts', an_order(start=False)).json['id']}"
    clarion.execute(PAUSE)
    shown = api.get(f"{path}/preflight").json
    assert (shown["ok"], shown["findings"][0]["code"]) == (False, "template_paused")
    refused = api.post(f"{path}/start")
    assert (refused.status, refused.headers["content-type"]) == (422, "application/problem+json")
    assert refused.json["errors"] == [{"pointer": "/template/name", "detail": shown["findings"][0]["detail"]}]
    assert api.get(path).json["status"] == "draft"


def test_what_only_the_world_can_mend_stops_the_start_with_409(api: Api, simulator: Simulator) -> None:
    path = f"/broadcasts/{api.post('/broadcasts', an_order(start=False)).json['id']}"
    simulator.world(status="BANNED")
    assert api.get(f"{path}/preflight").json["ok"] is False
    assert api.post(f"{path}/start").status == 409
    made = api.post("/broadcasts", an_order())
    assert (made.status, made.json["title"]) == (409, "Conflict")
    assert [item["status"] for item in api.get("/broadcasts").json["items"]] == ["draft"]
    simulator.world(status="CONNECTED")
    assert api.post(f"{path}/start").status == 202


def test_a_request_that_was_answered_is_answered_again_whatever_is_found_now(api: Api, simulator: Simulator) -> None:
    first = api.post("/broadcasts", an_order(), Idempotency_Key="k")
    simulator.world(status="BANNED")
    again = api.post("/broadcasts", an_order(), Idempotency_Key="k")
    assert (first.status, again.status, again.json["id"]) == (202, 202, first.json["id"])


def test_an_empty_draft_has_nobody_to_send_to(api: Api) -> None:
    path = f"/broadcasts/{api.post('/broadcasts', an_order(start=False, recipients=[])).json['id']}"
    shown = api.get(f"{path}/preflight").json
    assert (shown["ok"], shown["findings"][0]["code"], shown["recipients"]) == (False, "nobody", 0)
    assert api.post(f"{path}/start").json["errors"][0]["pointer"] == "/recipients"


def test_a_provider_that_is_away_stops_no_start(api: Api, simulator: Simulator) -> None:
    simulator.stop()
    made = api.post("/broadcasts", an_order())
    assert made.status == 202
    shown = api.get(f"/broadcasts/{made.json['id']}/preflight").json
    assert (shown["ok"], shown["findings"][0]["code"]) == (True, "provider_away")


def test_another_business_cannot_look(api: Api, other: Api) -> None:
    path = f"/broadcasts/{api.post('/broadcasts', an_order(start=False)).json['id']}/preflight"
    assert other.get(path).status == 404
    assert api.get("/broadcasts/999/preflight").status == 404
