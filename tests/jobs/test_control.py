"""What is under way when a person stops a broadcast is told, and accounted for; a change of the rate is followed."""

import json
import re

import psycopg
from sqlalchemy.ext.asyncio import AsyncEngine

from server.domain.states import Actor, Move
from server.services import broadcasts, stops
from tests.jobs.test_broadcast_job import hint
from tests.support.builders import a_broadcast, a_business
from tests.support.engine import Engine, until
from tests.support.simulator import Simulator

ENDED = re.compile(
    r"Of (\d+) requests? in flight (\d+) were accepted, (\d+) failed, (\d+) are unknown"
    r"(?:, (\d+) were put off)?(?:, (\d+) had not left and were taken back)?\."
)


async def pause(engine: AsyncEngine, broadcast_id: int) -> int:
    """A person pauses. Returns how many were in flight."""
    async with engine.begin() as connection:
        await broadcasts.make_or_refuse(connection, broadcast_id, Move.PAUSE, by=Actor.USER)
        return await stops.in_flight_count(connection, broadcast_id)


async def cancel(engine: AsyncEngine, broadcast_id: int) -> int:
    """A person cancels. Returns how many were in flight."""
    async with engine.begin() as connection:
        await broadcasts.request_cancel(connection, broadcast_id, by=Actor.USER)
        return await stops.in_flight_count(connection, broadcast_id)


def told(clarion: Engine, broadcast_id: int) -> list[str]:
    """The details of the history, the oldest first."""
    with psycopg.connect(clarion.database_url) as connection:
        rows = connection.execute(
            "SELECT detail FROM broadcast_events WHERE broadcast_id = %s AND detail IS NOT NULL ORDER BY id",
            (broadcast_id,),
        )
        return [detail for (detail,) in rows]


def ended(clarion: Engine, broadcast_id: int) -> tuple[int, ...]:
    """What the history says of those in flight: all, accepted, failed, unknown, put off, taken back."""
    found = [match for detail in told(clarion, broadcast_id) if (match := ENDED.fullmatch(detail))]
    assert len(found) == 1, told(clarion, broadcast_id)
    return tuple(int(count or 0) for count in found[0].groups())


async def test_a_pause_says_how_many_were_in_flight_and_the_history_how_each_ended(
    engine: AsyncEngine, redis_url: str, clarion: Engine, simulator: Simulator
) -> None:
    simulator.hold_answers(after=30)
    broadcast = await a_broadcast(engine, recipients=400, tenant=await a_business(engine, rate=80))
    clarion.start("worker")
    hint(redis_url, broadcast.id)
    simulator.holds(8)

    count = await pause(engine, broadcast.id)
    sent_before = clarion.row(broadcast.id)["sent_count"]
    simulator.release()
    clarion.until_row(broadcast.id, lambda row: row["lease_holder"] is None)

    everybody, accepted, failed, unknown, put_off, taken_back = ended(clarion, broadcast.id)
    assert everybody == count == accepted + failed + unknown + put_off + taken_back
    assert (failed, unknown, put_off) == (0, 0, 0)
    assert accepted >= 8
    assert sent_before + accepted == simulator.summary()["accepted"]
    assert clarion.assert_books_balance(broadcast.id).statuses["sending"] == 0


async def test_a_cancel_says_how_many_were_in_flight_and_the_history_how_each_ended(
    engine: AsyncEngine, redis_url: str, clarion: Engine, simulator: Simulator
) -> None:
    simulator.hold_answers(after=20)
    broadcast = await a_broadcast(engine, recipients=400, tenant=await a_business(engine, rate=80))
    clarion.start("worker")
    hint(redis_url, broadcast.id)
    simulator.holds(5)

    count = await cancel(engine, broadcast.id)
    simulator.release()
    row = clarion.until_ended(broadcast.id)

    everybody, accepted, failed, unknown, _, taken_back = ended(clarion, broadcast.id)
    assert everybody == count == accepted + failed + unknown + taken_back
    assert row["status"] == "cancelled"
    assert row["sent_count"] == simulator.summary()["accepted"]
    assert row["cancelled_count"] == 400 - row["sent_count"]


async def test_a_worker_that_dies_after_a_pause_is_accounted_for_without_a_resume(
    engine: AsyncEngine, redis_url: str, clarion: Engine, simulator: Simulator
) -> None:
    simulator.hold_answers(after=10)
    broadcast = await a_broadcast(engine, recipients=200, tenant=await a_business(engine, rate=80))
    worker = clarion.start("worker")
    hint(redis_url, broadcast.id)
    simulator.holds(5)
    worker.kill()
    count = await pause(engine, broadcast.id)
    clarion.start("steward")

    clarion.until_row(broadcast.id, lambda row: row["lease_holder"] is None)

    sentence = stops.died(count)
    assert count >= 5
    assert sentence in told(clarion, broadcast.id)


async def test_a_rate_that_is_raised_is_followed_by_the_run_at_work(
    engine: AsyncEngine, redis_url: str, clarion: Engine, simulator: Simulator
) -> None:
    broadcast = await a_broadcast(engine, recipients=700, tenant=await a_business(engine, rate=20))
    clarion.start("worker")
    hint(redis_url, broadcast.id)
    simulator.wait_for_accepted(20)

    clarion.execute("UPDATE channels SET rate_per_second = 100")  # and no notification: it got lost

    row = clarion.until_ended(broadcast.id)
    assert row["status"] == "completed"
    assert row["run_epoch"] == 1
    assert 20 < simulator.windows()["most_in_one_second"] <= 100


async def test_a_row_says_what_it_waits_for(
    engine: AsyncEngine, redis_url: str, clarion: Engine, simulator: Simulator
) -> None:
    simulator.faults(latency_ms=2_000)
    broadcast = await a_broadcast(engine, recipients=20_000)
    clarion.start("worker")
    hint(redis_url, broadcast.id)
    until(lambda: clarion.row(broadcast.id)["limited_by"] == "provider", what="provider")
    clarion.execute("UPDATE whatsapp_broadcasts SET rate_limit = 5 WHERE id = %(id)s", id=broadcast.id)
    until(lambda: clarion.row(broadcast.id)["limited_by"] == "your_rate", what="your_rate")


async def test_a_number_that_goes_too_fast_slows_down_and_nobody_fails_for_it(
    engine: AsyncEngine, redis_url: str, clarion: Engine, simulator: Simulator
) -> None:
    simulator.world(rate=40)
    broadcast = await a_broadcast(engine, recipients=200, tenant=await a_business(engine, rate=80))
    clarion.start("worker")
    clarion.start("steward")
    hint(redis_url, broadcast.id)
    until(lambda: clarion.row(broadcast.id)["limited_by"] == "throughput" and simulator.refused(), what="130429")

    row = clarion.until_ended(broadcast.id)

    assert row["status"] == "completed"
    assert clarion.assert_books_balance(broadcast.id).statuses == {"sent": 200}


async def test_who_gets_too_much_at_once_is_put_off_while_the_others_go_on(
    engine: AsyncEngine, redis_url: str, clarion: Engine, simulator: Simulator
) -> None:
    simulator.order("code", code=131056, phone="+972500000001", times=2)
    broadcast = await a_broadcast(engine, recipients=50)
    clarion.start("worker")
    hint(redis_url, broadcast.id)
    clarion.until_row(broadcast.id, lambda row: row["limited_by"] == "pair_rate")
    assert clarion.row(broadcast.id)["sent_count"] == 49  # nobody waited for the first
    waits_until = clarion.row(broadcast.id)["waits_until"]

    row = clarion.until_ended(broadcast.id)

    assert row["status"] == "completed"
    assert row["waits_until"] >= waits_until
    assert clarion.assert_books_balance(broadcast.id).statuses == {"sent": 50}


async def test_the_commands_change_the_rate_of_a_run_at_work_and_say_what_a_pause_found_in_flight(
    engine: AsyncEngine, redis_url: str, clarion: Engine, simulator: Simulator
) -> None:
    broadcast = await a_broadcast(engine, recipients=5_000, tenant=await a_business(engine, rate=5))
    clarion.execute("UPDATE whatsapp_broadcasts SET rate_limit = 1")
    clarion.start("worker")
    hint(redis_url, broadcast.id)
    simulator.wait_for_accepted(1)

    faster = clarion.start("broadcasts", "rate", str(broadcast.id), "500")
    assert faster.process.wait() == 0
    clarion.until_row(broadcast.id, lambda row: row["limited_by"] == "throughput")
    simulator.hold_answers()
    simulator.holds(1)
    paused = clarion.start("broadcasts", "pause", str(broadcast.id), "--json")
    assert paused.process.wait() == 0
    simulator.release()
    clarion.until_row(broadcast.id, lambda row: row["lease_holder"] is None)

    said = json.loads(paused.log.read_text().splitlines()[-1])
    assert said["in_flight_count"] == ended(clarion, broadcast.id)[0] >= 1
    assert "The rate was 1 a second and is 500 a second." in told(clarion, broadcast.id)
