"""When a broadcast starts, changed and withdrawn until it does."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.api.conftest import Answer, Api, an_order
from tests.support.engine import Engine


def in_hours(hours: float) -> str:
    return (datetime.now(UTC) + timedelta(hours=hours)).isoformat().replace("+00:00", "Z")


@pytest.fixture
def path(api: Api) -> str:
    """A broadcast that starts in an hour."""
    return f"/broadcasts/{api.post('/broadcasts', an_order(scheduled_at=in_hours(1))).json['id']}"


def change(api: Api, path: str, **fields: Any) -> Answer:
    return api.call("PATCH", f"/api/whatsapp{path}", fields)


def test_a_schedule_is_moved_and_the_history_keeps_what_it_was(api: Api, path: str) -> None:
    later = in_hours(5)
    moved = change(api, path, scheduled_at=later)
    assert (moved.status, moved.json["status"], moved.json["scheduled_at"]) == (200, "scheduled", later)
    last = api.get(f"{path}/history").json["items"][-1]
    assert (last["actor"], last["move"], last["to_status"]) == ("user", "schedule_anew", "scheduled")


def test_a_schedule_in_any_offset_is_one_instant(api: Api, path: str) -> None:
    at = (datetime.now(UTC) + timedelta(hours=3)).replace(microsecond=0)
    told = (at + timedelta(hours=2)).strftime("%Y-%m-%dT%H:%M:%S+02:00")
    assert change(api, path, scheduled_at=told).json["scheduled_at"] == at.strftime("%Y-%m-%dT%H:%M:%SZ")


def test_a_schedule_that_is_withdrawn_leaves_a_draft(api: Api, path: str) -> None:
    withdrawn = change(api, path, scheduled_at=None)
    assert (withdrawn.json["status"], withdrawn.json["scheduled_at"]) == ("draft", None)
    assert api.post(f"{path}/start").json["status"] == "queued"


def test_a_draft_keeps_its_time_for_its_start(api: Api) -> None:
    path = f"/broadcasts/{api.post('/broadcasts', an_order(start=False)).json['id']}"
    assert change(api, path, scheduled_at=in_hours(1)).json["status"] == "draft"
    assert api.post(f"{path}/start").json["status"] == "scheduled"


def test_what_has_started_has_no_schedule_to_change(api: Api, path: str, clarion: Engine) -> None:
    clarion.execute("UPDATE whatsapp_broadcasts SET status = 'running'")
    assert change(api, path, scheduled_at=in_hours(5)).status == 409


@pytest.mark.parametrize("at", ["2026-01-01T09:00:00Z", "tomorrow", "2026-12-01T09:00:00", 7])
def test_a_time_that_is_none_or_has_passed_is_refused(api: Api, path: str, at: object) -> None:
    before = api.get(path).json["scheduled_at"]
    refused = change(api, path, scheduled_at=at)
    assert (refused.status, refused.json["errors"][0]["pointer"]) == (422, "/scheduled_at")
    assert api.get(path).json["scheduled_at"] == before


def test_a_change_of_nothing_is_refused(api: Api, path: str) -> None:
    assert change(api, path).status == 422
