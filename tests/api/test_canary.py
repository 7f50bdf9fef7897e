"""A canary and a plan over days, as a client asks for them and sees them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.api.conftest import Api, an_order, people
from tests.support.engine import Engine


def a_draft(api: Api, **asked: Any) -> Any:
    """A draft to 25 people with what is asked for."""
    return api.post("/broadcasts", an_order(start=False, recipients=people(25), **asked))


def test_a_canary_is_shown_with_its_bounds(api: Api) -> None:
    usual = {"failed_percent": 5, "opted_out_percent": 2, "wait_minutes": 15}
    assert a_draft(api, canary=True).json["canary"] == usual
    assert a_draft(api, canary={"wait_minutes": 3}).json["canary"] == {**usual, "wait_minutes": 3}
    without = a_draft(api).json
    assert (without["canary"], without["canary_judged_at"], without["spread_over_days"]) == (None, None, False)
    assert a_draft(api, canary=False).json["canary"] is None


@pytest.mark.parametrize("bounds", [{"failed_percent": 101}, {"wait_minutes": 0}, {"percent": 1}, "yes please", 7])
def test_bounds_that_make_no_sense_are_refused(api: Api, bounds: object) -> None:
    refused = a_draft(api, canary=bounds)
    assert refused.status == 422
    assert refused.json["errors"][0]["pointer"].startswith("/canary")


def test_the_plan_tells_the_days_that_the_limit_makes_it_take(api: Api, clarion: Engine) -> None:
    path = f"/broadcasts/{a_draft(api, spread_over_days=True).json['id']}"
    today = datetime.now(UTC).date()
    plan = api.get(f"{path}/plan").json
    assert (plan["limit"], plan["left"], [day["people"] for day in plan["days"]]) == (None, None, [25])

    clarion.execute("UPDATE businesses SET messaging_limit = 10")
    plan = api.get(f"{path}/plan").json
    assert (plan["recipients"], plan["limit"], plan["left"], plan["later_count"]) == (25, 10, 10, 0)
    assert [day["people"] for day in plan["days"]] == [10, 10, 5]
    assert plan["days"][2]["date"] == (today + timedelta(days=2)).isoformat()


def test_a_broadcast_that_is_meant_to_take_days_is_told_its_plan_and_not_warned(api: Api, clarion: Engine) -> None:
    meant, not_meant = a_draft(api, spread_over_days=True).json["id"], a_draft(api).json["id"]
    clarion.execute("UPDATE businesses SET messaging_limit = 10")
    found = {finding["code"]: finding for finding in api.get(f"/broadcasts/{meant}/preflight").json["findings"]}
    assert "messaging_limit" not in found
    assert found["spread_over_days"]["level"] == "info"
    assert "10 today, " in found["spread_over_days"]["detail"]
    codes = {finding["code"] for finding in api.get(f"/broadcasts/{not_meant}/preflight").json["findings"]}
    assert "messaging_limit" in codes
    assert "spread_over_days" not in codes


def test_nobodys_plan_is_shown_to_another_business(api: Api, other: Api) -> None:
    path = f"/broadcasts/{a_draft(api).json['id']}/plan"
    assert (api.get(path).status, other.get(path).status) == (200, 404)
