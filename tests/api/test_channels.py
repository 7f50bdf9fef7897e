"""Channels over HTTP."""

from datetime import UTC, datetime, timedelta
from typing import Any

from tests.api.conftest import Api, an_order


def a_number(**fields: Any) -> dict[str, Any]:
    """A number, as a client adds it."""
    secrets = {"token": "EAA-secret", "app_secret": "app-secret", "verify_token": "verify-secret"}
    return {"phone_number_id": "999000111", "waba_id": "102290129340398", **secrets, **fields}


def test_a_number_is_added_and_its_tokens_are_never_shown(api: Api) -> None:
    added = api.post("/channels", a_number(rate_per_second=20))
    assert added.status == 201
    assert (added.json["phone_number_id"], added.json["rate_per_second"]) == ("999000111", 20)
    listed = api.get("/channels")
    assert listed.json["items"][-1] == added.json
    assert b"secret" not in added.body + listed.body


def test_the_same_number_again_is_the_same_channel(api: Api, other: Api) -> None:
    first = api.post("/channels", a_number()).json
    assert api.post("/channels", a_number(rate_per_second=10)).json == {**first, "rate_per_second": 10}
    assert other.post("/channels", a_number()).status == 422
    assert len(api.get("/channels").json["items"]) == 2
    assert len(other.get("/channels").json["items"]) == 1


def test_a_number_that_cannot_be_one_is_refused(api: Api) -> None:
    for field, value in (("phone_number_id", "+1 555"), ("waba_id", ""), ("token", ""), ("rate_per_second", -1)):
        refused = api.post("/channels", a_number(**{field: value}))
        assert (refused.status, refused.json["errors"][0]["pointer"]) == (422, f"/{field}")


def test_numbers_come_a_page_at_a_time(api: Api) -> None:
    added = [api.post("/channels", a_number(phone_number_id=f"99900011{n}")).json["id"] for n in range(3)]
    first = api.get("/channels?limit=2").json
    rest = api.get(f"/channels?limit=2&cursor={first['next_cursor']}").json
    assert [item["id"] for item in first["items"] + rest["items"]][1:] == added
    assert rest["next_cursor"] is None


def test_a_number_is_shown_and_changed_without_its_tokens(api: Api) -> None:
    made = api.post("/channels", a_number(rate_per_second=20)).json
    path = f"/channels/{made['id']}"
    assert api.get(path).json == made
    changed = api.call("PATCH", f"/api/whatsapp{path}", {"rate_per_second": 5, "token": "another-secret"})
    assert (changed.status, changed.json) == (200, {**made, "rate_per_second": 5})
    assert api.call("PATCH", f"/api/whatsapp{path}", {"rate_per_second": -1}).status == 422
    assert api.get("/channels/999").status == 404


def test_a_removed_number_is_gone_and_can_come_back(api: Api) -> None:
    made = api.post("/channels", a_number()).json
    path = f"/channels/{made['id']}"
    assert api.call("DELETE", f"/api/whatsapp{path}").status == 204
    assert api.get(path).status == 404
    assert api.call("DELETE", f"/api/whatsapp{path}").status == 404
    assert made["id"] not in [item["id"] for item in api.get("/channels").json["items"]]
    refused = api.post("/broadcasts", an_order(channel_id=made["id"], start=False))
    assert (refused.status, refused.json["errors"][0]["pointer"]) == (422, "/channel_id")
    assert api.post("/channels", a_number()).json["id"] == made["id"]
    assert api.get(path).status == 200


def test_a_number_that_a_broadcast_will_send_from_cannot_be_removed(api: Api) -> None:
    later = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    broadcast = api.post("/broadcasts", an_order(scheduled_at=later)).json
    number = api.get("/channels").json["items"][0]["id"]
    assert api.call("DELETE", f"/api/whatsapp/channels/{number}").status == 409
    api.post(f"/broadcasts/{broadcast['id']}/cancel")
    assert api.call("DELETE", f"/api/whatsapp/channels/{number}").status == 204
    assert api.get(f"/broadcasts/{broadcast['id']}").status == 200
