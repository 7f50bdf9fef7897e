"""By each person's local time, as a client asks for it, changes it and sees it."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from server.domain.scopes import KeyScope
from server.services import accounts
from tests.api.conftest import Api, an_order, people
from tests.api.test_schedules import change
from tests.support.engine import Engine

EAST = timezone(timedelta(hours=2))
NOW = datetime.now(EAST)


def in_days(days: int) -> str:
    """Ten o'clock, two hours east of Greenwich."""
    return (NOW + timedelta(days=days)).replace(hour=10, minute=0, second=0, microsecond=0).isoformat()


def wall(written: str) -> str:
    return written[:19]


@pytest.fixture
def path(api: Api) -> str:
    """A broadcast by local time, on its schedule."""
    made = api.post("/broadcasts", an_order(scheduled_at=in_days(3), by_local_time=True))
    assert made.status == 202, made.body
    return f"/broadcasts/{made.json['id']}"


def test_it_is_asked_for_and_shown_as_it_was_written(api: Api, path: str) -> None:
    shown = api.get(path).json
    assert (shown["status"], shown["by_local_time"], shown["local_time"]) == ("scheduled", True, wall(in_days(3)))
    assert datetime.fromisoformat(shown["scheduled_at"]) == datetime.fromisoformat(in_days(3))
    told = {event["move"]: event["detail"] for event in api.get(f"{path}/history").json["items"]}
    assert told["go_by_local_time"] == f"Everybody gets it at {in_days(3)[:10]} 10:00 by their own clock."
    codes = [finding["code"] for finding in api.get(f"{path}/preflight").json["findings"]]
    assert "local_times" in codes
    assert "local_time_passed" not in codes


@pytest.mark.parametrize(
    ("order", "pointer"),
    [
        ({"by_local_time": True}, "/scheduled_at"),
        ({"by_local_time": True, "scheduled_at": in_days(3), "spread_over_days": True}, "/spread_over_days"),
        ({"by_local_time": True, "scheduled_at": in_days(-3)}, "/scheduled_at"),
        ({"by_local_time": "often", "scheduled_at": in_days(3)}, "/by_local_time"),
    ],
)
def test_what_cannot_be_meant_is_refused_at_its_field(api: Api, order: dict[str, Any], pointer: str) -> None:
    refused = api.post("/broadcasts", an_order(**order))
    assert (refused.status, refused.json["errors"][0]["pointer"]) == (422, pointer)


def test_it_may_be_changed_until_it_starts(api: Api, path: str, clarion: Engine) -> None:
    plain = change(api, path, by_local_time=False).json
    assert (plain["by_local_time"], plain["local_time"], plain["status"]) == (False, None, "scheduled")
    # What was written is kept, and counts again.
    again = change(api, path, by_local_time=True).json
    assert again["local_time"] == wall(in_days(3))
    moved = change(api, path, scheduled_at=in_days(5)).json
    assert (moved["by_local_time"], moved["local_time"]) == (True, wall(in_days(5)))
    details = [event["detail"] for event in api.get(f"{path}/history").json["items"]]
    assert details[-1] == (
        f"It was to start at {in_days(3)[:10]} 10:00 by each person's clock, and is to start "
        f"at {in_days(5)[:10]} 10:00 by each person's clock."
    )
    withdrawn = change(api, path, scheduled_at=None).json
    assert (withdrawn["by_local_time"], withdrawn["status"]) == (False, "draft")
    refused = change(api, path, by_local_time=True)
    assert (refused.status, refused.json["errors"][0]["pointer"]) == (422, "/scheduled_at")
    change(api, path, scheduled_at=in_days(3), by_local_time=True)
    assert api.post(f"{path}/start").json["status"] == "scheduled"
    clarion.execute("UPDATE whatsapp_broadcasts SET status = 'running'")
    assert change(api, path, by_local_time=False).status == 409


def test_a_retry_goes_by_no_clock(api: Api, path: str, clarion: Engine) -> None:
    clarion.execute("UPDATE whatsapp_broadcasts SET status = 'partial', failed_count = 1, processed_count = 1")
    clarion.execute("UPDATE whatsapp_broadcast_recipients SET status = 'failed'")
    again = api.post(f"{path}/retry").json
    assert (again["status"], again["by_local_time"], again["scheduled_at"]) == ("queued", False, None)


async def test_what_another_person_let_go_is_not_changed_while_it_waits_for_its_time(
    api: Api, clarion: Engine, engine: Any
) -> None:
    clarion.execute("UPDATE businesses SET approval_over = 2")
    async with engine.begin() as connection:
        key = await accounts.create_api_key(connection, api.business_id, "shop", KeyScope.SEND)
    shop = Api(api.address, key, api.business_id)
    large = an_order(recipients=people(3), scheduled_at=in_days(3), by_local_time=True)
    path = f"/broadcasts/{api.post('/broadcasts', large).json['id']}"  # an admin's key needs nobody
    changes: list[dict[str, Any]] = [{"scheduled_at": in_days(4)}, {"by_local_time": False}, {"rate_limit": 7}]
    for fields in changes:
        refused = change(shop, path, **fields)
        assert refused.status == 409, fields
        assert "Take it off its schedule" in refused.json["detail"]
    assert api.get(path).json["local_time"] == wall(in_days(3))
    assert change(shop, path, scheduled_at=None).json["status"] == "draft"
    assert change(shop, path, rate_limit=7).status == 200
    assert shop.post(f"{path}/start").status == 409  # and is asked for again
    small = an_order(recipients=people(2), scheduled_at=in_days(3))
    path = f"/broadcasts/{shop.post('/broadcasts', small).json['id']}"
    assert change(shop, path, rate_limit=7, scheduled_at=in_days(4)).status == 200
    assert datetime.now(UTC) < datetime.fromisoformat(api.get(path).json["scheduled_at"])
