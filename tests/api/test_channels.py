"""Channels over HTTP."""

from typing import Any

from tests.api.conftest import Api


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
