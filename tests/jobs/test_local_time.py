"""Whole runs against the simulator: everybody gets it by their own clock, and nobody before."""

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from tests.jobs.test_broadcast_job import hint
from tests.jobs.test_quiet_hours import accepted, waiting
from tests.support.engine import Engine
from tests.support.marketing import HOME, a_marketing_broadcast, a_marketing_business, first_claimed_at
from tests.support.simulator import Simulator


def at_home_in(seconds: float) -> tuple[datetime, dict[str, Any]]:
    """The instant at which it will be the time that a broadcast names, at home, and what its row says of it."""
    at = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=seconds)
    wall = at.astimezone(HOME).replace(tzinfo=None)
    return at, {"by_local_time": True, "local_time": wall, "scheduled_at": at}


async def test_one_zone_gets_it_now_and_the_other_at_its_own_time_by_itself(
    engine: AsyncEngine, redis_url: str, clarion: Engine, simulator: Simulator
) -> None:
    tenant = await a_marketing_business(engine, category="UTILITY")  # it holds for whatever is sent
    at, columns = at_home_in(45)
    broadcast = await a_marketing_broadcast(engine, 200, tenant=tenant, half_is_far=True, **columns)
    clarion.start("worker")
    hint(redis_url, broadcast.id)

    row = clarion.until_row(broadcast.id, lambda row: row["status"] == "paused" and row["lease_holder"] is None)
    assert (row["pause_reason"], row["sent_count"]) == ("local_time", 100)
    assert row["resume_at"] <= at + timedelta(seconds=1)
    assert row["waits_until"] is not None
    assert {(phone[:4], attempts, why) for phone, attempts, why in waiting(clarion, broadcast.id)} == {
        ("+972", 0, "local time")
    }
    # A resume by hand sends nothing sooner.
    clarion.execute("UPDATE whatsapp_broadcasts SET status = 'queued', pause_reason = NULL, resume_at = NULL")
    hint(redis_url, broadcast.id)
    clarion.start("steward")
    row = clarion.until_ended(broadcast.id)

    assert (row["status"], row["sent_count"]) == ("completed", 200)
    assert first_claimed_at(clarion.database_url, broadcast, "+972") >= at
    assert clarion.assert_books_balance(broadcast.id).statuses == {"sent": 200}


async def test_a_worker_that_is_killed_sends_to_nobody_before_their_time(
    engine: AsyncEngine, redis_url: str, clarion: Engine, simulator: Simulator
) -> None:
    tenant = await a_marketing_business(engine, rate=200)
    _, columns = at_home_in(7_200)
    broadcast = await a_marketing_broadcast(engine, 12_000, tenant=tenant, half_is_far=True, **columns)
    worker = clarion.start("worker")
    hint(redis_url, broadcast.id)
    simulator.wait_for_accepted(50)
    worker.kill()
    clarion.start("worker")
    clarion.start("steward")
    clarion.until_row(broadcast.id, lambda row: row["sent_count"] >= 400, seconds=180)

    got_it = accepted(simulator)
    assert all(phone.startswith("+81") for phone in got_it)
    assert len(got_it) == len(set(got_it))
