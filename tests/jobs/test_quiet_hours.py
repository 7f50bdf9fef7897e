"""Whole runs against the simulator: nobody gets a message in their quiet hours, and everybody gets it after them."""

from datetime import UTC, datetime, timedelta

import psycopg
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.jobs.test_broadcast_job import hint
from tests.support.engine import Engine, until
from tests.support.marketing import (
    FAR,
    HOME,
    a_marketing_broadcast,
    a_marketing_business,
    be_quiet,
    first_claimed_at,
    hours_around,
)
from tests.support.simulator import Simulator


def accepted(simulator: Simulator) -> list[str]:
    """The phones that a message reached."""
    return [entry["to"] for entry in simulator.accepted()]


def waiting(clarion: Engine, broadcast_id: int) -> list[tuple[str, int, str]]:
    """Who is put off: phone, attempts, and the words of the row."""
    with psycopg.connect(clarion.database_url) as connection:
        return connection.execute(
            "SELECT phone, attempts, error_message FROM whatsapp_broadcast_recipients"
            " WHERE broadcast_id = %s AND status = 'queued' AND next_attempt_at > now() ORDER BY id",
            (broadcast_id,),
        ).fetchall()


async def test_where_one_zone_is_quiet_the_other_is_sent_to_and_the_rest_follows_after_the_hours(
    engine: AsyncEngine, redis_url: str, clarion: Engine, simulator: Simulator
) -> None:
    broadcast = await a_marketing_broadcast(engine, recipients=400, half_is_far=True)
    await be_quiet(engine, broadcast.business_id, hours_around(HOME))
    clarion.start("worker")
    hint(redis_url, broadcast.id)

    row = clarion.until_row(broadcast.id, lambda row: row["status"] == "paused" and row["lease_holder"] is None)
    assert (row["pause_reason"], row["sent_count"]) == ("quiet_hours", 200)
    assert timedelta(hours=1) < row["resume_at"] - datetime.now(UTC) <= timedelta(hours=2)
    assert row["waits_until"] is not None
    assert all(phone.startswith("+81") for phone in accepted(simulator))
    left = waiting(clarion, broadcast.id)
    assert len(left) == 200
    assert {(phone[:4], attempts, why) for phone, attempts, why in left} == {("+972", 0, "quiet hours")}

    await be_quiet(engine, broadcast.business_id, None)
    clarion.start("steward")
    row = clarion.until_ended(broadcast.id)
    assert (row["status"], row["sent_count"]) == ("completed", 400)
    assert clarion.assert_books_balance(broadcast.id).statuses == {"sent": 400}


async def test_where_it_is_quiet_for_everybody_it_pauses_and_goes_on_by_itself_when_it_is_over(
    engine: AsyncEngine, redis_url: str, clarion: Engine, simulator: Simulator
) -> None:
    broadcast = await a_marketing_broadcast(engine, recipients=300)
    # The hours end as the next minute begins; one that is nearly over would be over before the run begins.
    now = datetime.now(HOME)
    ends_at = now.replace(second=0, microsecond=0) + timedelta(minutes=1 if now.second < 45 else 2)
    hours = {"from": f"{now - timedelta(hours=1):%H:%M}", "to": f"{ends_at:%H:%M}"}
    await be_quiet(engine, broadcast.business_id, hours)
    clarion.start("worker")
    hint(redis_url, broadcast.id)

    row = clarion.until_row(broadcast.id, lambda row: row["status"] == "paused" and row["lease_holder"] is None)
    assert row["pause_reason"] == "quiet_hours"
    assert accepted(simulator) == []
    assert waiting(clarion, broadcast.id) == []  # nothing was written down for each of them
    clarion.start("steward")
    row = clarion.until_ended(broadcast.id, seconds=150)

    assert row["status"] == "completed"
    assert first_claimed_at(clarion.database_url, broadcast) >= ends_at
    assert clarion.assert_books_balance(broadcast.id).statuses == {"sent": 300}


async def test_a_run_at_work_obeys_hours_that_begin_meanwhile(
    engine: AsyncEngine, redis_url: str, clarion: Engine, simulator: Simulator
) -> None:
    tenant = await a_marketing_business(engine, rate=80)
    broadcast = await a_marketing_broadcast(engine, recipients=4_000, tenant=tenant, half_is_far=True)
    clarion.start("worker")
    hint(redis_url, broadcast.id)
    simulator.wait_for_accepted(30)

    await be_quiet(engine, broadcast.business_id, hours_around(FAR))
    until(lambda: len(waiting(clarion, broadcast.id)) > 1_900, what="everybody in Japan is put off")
    before = {phone for phone in accepted(simulator) if phone.startswith("+81")}
    count = len(accepted(simulator))
    simulator.wait_for_accepted(count + 100)

    assert clarion.row(broadcast.id)["run_epoch"] == 1
    assert {phone for phone in accepted(simulator) if phone.startswith("+81")} == before


async def test_what_is_no_marketing_has_no_quiet_hours(
    engine: AsyncEngine, redis_url: str, clarion: Engine, simulator: Simulator
) -> None:
    tenant = await a_marketing_business(engine, category="UTILITY")
    broadcast = await a_marketing_broadcast(engine, recipients=50, tenant=tenant)
    await be_quiet(engine, broadcast.business_id, hours_around(HOME))
    clarion.start("worker")
    hint(redis_url, broadcast.id)

    assert clarion.until_ended(broadcast.id)["status"] == "completed"
    assert len(accepted(simulator)) == 50


async def test_a_worker_that_is_killed_while_people_are_put_off_loses_nobody_and_wakes_nobody(
    engine: AsyncEngine, redis_url: str, clarion: Engine, simulator: Simulator
) -> None:
    tenant = await a_marketing_business(engine, rate=200)
    broadcast = await a_marketing_broadcast(engine, recipients=12_000, tenant=tenant, half_is_far=True)
    await be_quiet(engine, broadcast.business_id, hours_around(HOME))
    worker = clarion.start("worker")
    hint(redis_url, broadcast.id)
    simulator.wait_for_accepted(50)
    worker.kill()
    clarion.start("worker")
    clarion.start("steward")
    clarion.until_row(broadcast.id, lambda row: row["sent_count"] >= 400, seconds=180)

    assert all(phone.startswith("+81") for phone in accepted(simulator))
    # Whoever at home was claimed in the instant of the kill is unknown: a batch of a quarter of a second at most.
    until(lambda: len(waiting(clarion, broadcast.id)) >= 5_900, what="everybody at home is put off")
    got_it = accepted(simulator)
    assert len(got_it) == len(set(got_it))
