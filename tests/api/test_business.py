"""The settings of a business, over HTTP."""

from typing import Any

import psycopg
import pytest

from server.services.businesses import SETTINGS
from tests.api.conftest import Answer, Api

NIGHT = {"from": "21:00", "to": "08:00", "days_off": ["saturday"]}


def patch(api: Api, **changes: Any) -> Answer:
    """Change settings."""
    return api.call("PATCH", "/api/whatsapp/business", changes)


def test_a_business_begins_with_nothing_switched_on(api: Api) -> None:
    shown = api.get("/business").json
    assert set(shown) == {"id", *SETTINGS}
    assert shown["id"] == api.business_id
    assert (shown["name"], shown["unknown_policy"], shown["time_zone"]) == ("Acme", "evidence", "UTC")
    assert (shown["frequency_cap"], shown["approval_over"]) == (None, None)
    assert (shown["quiet_hours"], shown["stop_words"], shown["start_words"]) == (None, [], [])


def test_what_is_named_is_changed_and_the_rest_stays(api: Api, other: Api) -> None:
    cap = {"messages": 2, "days": 7}
    assert patch(api, frequency_cap=cap).json["frequency_cap"] == cap
    answer = patch(api, quiet_hours=NIGHT, time_zone="Asia/Jerusalem", stop_words=["enough", " enough"])
    assert answer.status == 200
    assert answer.json == api.get("/business").json
    assert answer.json["quiet_hours"] == NIGHT
    assert answer.json["stop_words"] == ["enough"]
    assert answer.json["name"] == "Acme"
    assert answer.json["frequency_cap"] == cap
    assert patch(api, quiet_hours=None).json["quiet_hours"] is None
    assert patch(api, frequency_cap=None).json["frequency_cap"] is None
    assert api.get("/business").json["time_zone"] == "Asia/Jerusalem"
    assert other.get("/business").json["time_zone"] == "UTC"


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"name": ""}, "/name"),
        ({"name": None}, "/name"),
        ({"name": "other"}, "/name"),
        ({"unknown_policy": "guess"}, "/unknown_policy"),
        ({"time_zone": "Mars/Olympus"}, "/time_zone"),
        ({"stop_words": ["  "]}, "/stop_words/0"),
        ({"quiet_hours": {"from": "21:00", "to": "24:00"}}, "/quiet_hours/to"),
        ({"quiet_hours": {"from": "21:00", "to": "21:00"}}, "/quiet_hours/to"),
        ({"quiet_hours": {"from": "21:00", "to": "08:00", "days_off": ["caturday"]}}, "/quiet_hours/days_off/0"),
        ({"frequency_cap": {"messages": 0, "days": 7}}, "/frequency_cap/messages"),
        ({"approval_over": -1}, "/approval_over"),
        ({"approval_over": "many"}, "/approval_over"),
        ({"unknown": 1}, "/unknown"),
    ],
)
def test_what_cannot_be_is_refused_by_the_name_of_its_field(
    api: Api, other: Api, changes: dict[str, Any], pointer: str
) -> None:
    assert other.get("/business").json["name"] == "Other"
    answer = patch(api, **changes)
    assert answer.status == 422, answer.body
    assert [error["pointer"] for error in answer.json["errors"]] == [pointer]


def test_a_change_without_anything_in_it_is_refused(api: Api) -> None:
    assert patch(api).status == 422


def test_who_changed_what_is_in_the_audit_once(api: Api, database_url: str) -> None:
    assert patch(api, approval_over=1_000, quiet_hours=NIGHT).json["approval_over"] == 1_000
    assert patch(api, approval_over=1_000).status == 200  # nothing is different
    assert patch(api, approval_over=None).json["approval_over"] is None
    with psycopg.connect(database_url) as connection:
        rows = connection.execute(
            "SELECT who, detail FROM audit_entries WHERE act = 'settings_changed' ORDER BY id"
        ).fetchall()
    assert rows == [("test", "quiet_hours, approval_over"), ("test", "approval_over")]
