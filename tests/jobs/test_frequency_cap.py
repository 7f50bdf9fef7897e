"""Whole runs against the simulator: nobody gets more marketing than the cap allows."""

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from server.services import businesses
from tests.jobs.test_broadcast_job import hint
from tests.support.engine import Engine
from tests.support.marketing import a_marketing_broadcast, a_marketing_business
from tests.support.simulator import Simulator


@pytest.mark.parametrize("category", ["MARKETING", "UTILITY"])
async def test_the_second_broadcast_skips_whom_the_first_one_reached_if_it_is_marketing(
    engine: AsyncEngine, redis_url: str, clarion: Engine, simulator: Simulator, category: str
) -> None:
    tenant = await a_marketing_business(engine, category=category)
    await businesses.change(engine, tenant.business_id, {"frequency_cap": {"messages": 1, "days": 7}})
    clarion.start("worker")
    first = await a_marketing_broadcast(engine, 60, tenant=tenant)
    hint(redis_url, first.id)
    assert clarion.until_ended(first.id)["sent_count"] == 60

    second = await a_marketing_broadcast(engine, 100, tenant=tenant)
    hint(redis_url, second.id)
    row = clarion.until_ended(second.id)

    skipped = 60 if category == "MARKETING" else 0
    assert (row["status"], row["sent_count"], row["skipped_count"]) == ("completed", 100 - skipped, skipped)
    reached = [entry["to"] for entry in simulator.accepted()]
    assert len(reached) == 160 - skipped
    assert (len(set(reached)) == len(reached)) == (category == "MARKETING")
