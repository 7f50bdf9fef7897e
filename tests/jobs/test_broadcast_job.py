"""One run of a broadcast, in a real RQ worker process, against the simulator over real HTTP."""

import signal
from pathlib import Path

import psycopg
import redis
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from server.domain.states import Actor, Move
from server.jobs.broadcast_job import process_broadcast_job
from server.jobs.hints import Due, enqueue_broadcast
from server.jobs.queues import broadcasts_queue
from server.services import broadcasts, suppressions
from tests.support.books import assert_counters_equal_rows
from tests.support.builders import a_broadcast, a_business
from tests.support.engine import Engine, until
from tests.support.simulator import Simulator


def hint(redis_url: str, broadcast_id: int) -> bool:
    """Put a hint into the queue, as a door does."""
    return enqueue_broadcast(broadcasts_queue(redis.Redis.from_url(redis_url)), Due(broadcast_id))


async def pause(engine: AsyncEngine, broadcast_id: int) -> None:
    """A person pauses."""
    async with engine.begin() as connection:
        await broadcasts.make_or_refuse(connection, broadcast_id, Move.PAUSE, by=Actor.USER)


async def test_a_broadcast_reaches_everybody_once(
    engine: AsyncEngine, redis_url: str, clarion: Engine, simulator: Simulator
) -> None:
    broadcast = await a_broadcast(engine, recipients=500)
    clarion.start("worker")
    hint(redis_url, broadcast.id)

    row = clarion.until_ended(broadcast.id)

    assert row["status"] == "completed"
    assert clarion.assert_books_balance(broadcast.id).statuses == {"sent": 500}
    assert simulator.most_messages_to_one_person() == 1
    assert simulator.accepted()[0]["biz_opaque_callback_data"].startswith(f"b{broadcast.id}:r")


def test_the_entry_in_the_queue_is_a_hint_and_nothing_more(redis_url: str) -> None:
    queue = broadcasts_queue(redis.Redis.from_url(redis_url))
    assert hint(redis_url, 7)
    assert not hint(redis_url, 7)  # it waits there already
    job = queue.fetch_job("broadcast_7")
    assert job is not None
    assert (job.args, job.timeout, job.result_ttl) == ([7], 1800, 0)
    assert job.func_name == f"{process_broadcast_job.__module__}.{process_broadcast_job.__name__}"


async def test_a_lost_hint_is_found_by_the_steward(engine: AsyncEngine, clarion: Engine) -> None:
    broadcast = await a_broadcast(engine, recipients=20)
    clarion.start("worker")
    clarion.start("steward")
    assert clarion.until_ended(broadcast.id)["status"] == "completed"


async def test_two_workers_with_the_same_hint_message_nobody_twice(
    engine: AsyncEngine, redis_url: str, clarion: Engine, simulator: Simulator
) -> None:
    broadcast = await a_broadcast(engine, recipients=2_000, tenant=await a_business(engine, rate=800))
    queue = broadcasts_queue(redis.Redis.from_url(redis_url))
    for _ in range(3):
        queue.enqueue(process_broadcast_job, broadcast.id)
    for _ in range(3):
        clarion.start("worker")
    assert clarion.until_ended(broadcast.id)["status"] == "completed"
    assert simulator.most_messages_to_one_person() == 1
    clarion.assert_books_balance(broadcast.id)


async def test_a_pause_stops_the_sending_and_a_resume_finishes_it(
    engine: AsyncEngine, redis_url: str, clarion: Engine, simulator: Simulator
) -> None:
    broadcast = await a_broadcast(engine, recipients=400, tenant=await a_business(engine, rate=80))
    clarion.start("worker")
    hint(redis_url, broadcast.id)
    simulator.wait_for_accepted(20)

    await pause(engine, broadcast.id)
    row = clarion.until_row(broadcast.id, lambda row: row["lease_holder"] is None)

    assert row["status"] == "paused"
    books = clarion.assert_books_balance(broadcast.id)
    assert simulator.summary()["accepted"] == books.row["sent_count"]
    assert books.statuses["sending"] == 0
    async with engine.begin() as connection:
        await broadcasts.make_or_refuse(connection, broadcast.id, Move.RESUME, by=Actor.USER)
    hint(redis_url, broadcast.id)
    assert clarion.until_ended(broadcast.id)["status"] == "completed"
    assert clarion.assert_books_balance(broadcast.id).statuses == {"sent": 400}


async def test_no_request_leaves_later_than_250_ms_after_a_cancel_was_stored(
    engine: AsyncEngine, redis_url: str, clarion: Engine, simulator: Simulator
) -> None:
    broadcast = await a_broadcast(engine, recipients=50_000, tenant=await a_business(engine, rate=500))
    clarion.start("worker")
    hint(redis_url, broadcast.id)
    simulator.wait_for_accepted(300)

    async with engine.begin() as connection:
        await broadcasts.request_cancel(connection, broadcast.id, by=Actor.USER)
    stored = clarion.clock()
    row = clarion.until_ended(broadcast.id)

    assert row["status"] == "cancelled"
    assert max(entry["unix_seconds"] for entry in simulator.accepted()) <= stored + 0.25
    books = clarion.assert_books_balance(broadcast.id)
    assert books.statuses["queued"] == books.statuses["sending"] == 0
    assert books.row["processed_count"] == 50_000


async def test_an_opt_out_stops_a_message_that_was_claimed_already(
    engine: AsyncEngine, redis_url: str, clarion: Engine, simulator: Simulator
) -> None:
    broadcast = await a_broadcast(engine, recipients=400, tenant=await a_business(engine, rate=80))
    clarion.start("worker")
    hint(redis_url, broadcast.id)
    simulator.wait_for_accepted(20)
    async with engine.begin() as connection:
        await suppressions.suppress(connection, broadcast.business_id, "+972500000399", "said STOP")
    clarion.until_ended(broadcast.id)
    assert not simulator.messages_to("+972500000399")
    assert clarion.assert_books_balance(broadcast.id).statuses == {"sent": 399, "skipped": 1}


async def test_sigterm_hands_the_rest_back_and_the_next_worker_finishes_it(
    engine: AsyncEngine, redis_url: str, clarion: Engine, simulator: Simulator
) -> None:
    broadcast = await a_broadcast(engine, recipients=800, tenant=await a_business(engine, rate=200))
    worker = clarion.start("worker")
    hint(redis_url, broadcast.id)
    simulator.wait_for_accepted(50)

    assert worker.stop() == 0

    books = clarion.assert_books_balance(broadcast.id)
    assert books.row["status"] == "queued"
    assert books.statuses["sending"] == books.statuses["unknown"] == 0
    clarion.start("worker")
    hint(redis_url, broadcast.id)
    assert clarion.until_ended(broadcast.id)["status"] == "completed"
    assert simulator.most_messages_to_one_person() == 1


async def test_a_long_broadcast_is_many_short_runs(
    engine: AsyncEngine, database_url: str, redis_url: str, simulator: Simulator, clarion: Engine
) -> None:
    clarion.environment["CLARION_MAX_RUNTIME_SECONDS"] = "5"
    broadcast = await a_broadcast(engine, recipients=600, tenant=await a_business(engine, rate=80))
    clarion.start("worker")
    clarion.start("steward")
    row = clarion.until_ended(broadcast.id)
    assert row["status"] == "completed"
    assert row["run_epoch"] >= 2
    assert clarion.assert_books_balance(broadcast.id).statuses == {"sent": 600}


async def test_a_killed_worker_messages_nobody_twice_and_loses_nobody_without_a_word(
    engine: AsyncEngine, redis_url: str, clarion: Engine, simulator: Simulator
) -> None:
    broadcast = await a_broadcast(engine, recipients=500, tenant=await a_business(engine, rate=400))
    simulator.hold_answers(after=200)  # from here on: accepted, and not answered
    worker = clarion.start("worker")
    hint(redis_url, broadcast.id)
    simulator.holds(at_least=10)
    worker.kill()
    simulator.release()

    clarion.start("worker")
    clarion.start("steward")
    row = clarion.until_ended(broadcast.id)

    assert row["status"] == "partial"
    assert simulator.most_messages_to_one_person() == 1
    books = clarion.assert_books_balance(broadcast.id)
    assert books.statuses["sent"] + books.statuses["failed"] == 500
    assert books.statuses["failed"] >= 10


async def test_an_answer_that_never_comes_is_unknown_and_never_sent_again(
    engine: AsyncEngine, redis_url: str, clarion: Engine, simulator: Simulator
) -> None:
    clarion.environment |= {"CLARION_REQUEST_TIMEOUT_SECONDS": "1", "CLARION_UNKNOWN_GRACE_SECONDS": "900"}
    broadcast = await a_broadcast(engine, recipients=30)
    simulator.hold_answers(after=20)
    clarion.start("worker")
    hint(redis_url, broadcast.id)
    row = clarion.until_row(broadcast.id, lambda row: row["status"] == "settling" and row["lease_holder"] is None)
    assert row["unknown_count"] == 10
    assert simulator.most_messages_to_one_person() == 1
    simulator.release()


async def test_one_broadcast_of_a_business_runs_at_a_time_and_the_next_follows_by_itself(
    engine: AsyncEngine, clarion: Engine
) -> None:
    tenant = await a_business(engine, rate=100)
    first = await a_broadcast(engine, recipients=200, tenant=tenant)
    second = await a_broadcast(engine, recipients=50, tenant=tenant)
    for _ in range(2):
        clarion.start("worker")
    clarion.start("steward")
    ended = [clarion.until_ended(broadcast.id) for broadcast in (first, second)]
    assert [row["status"] for row in ended] == ["completed", "completed"]
    assert ended[0]["completed_at"] <= ended[1]["started_at"]


async def test_an_older_database_gets_its_cursor_column_from_the_first_run(
    engine: AsyncEngine, redis_url: str, clarion: Engine
) -> None:
    broadcast = await a_broadcast(engine, recipients=3)
    worker = clarion.start("worker")
    clarion.execute("ALTER TABLE whatsapp_broadcasts DROP COLUMN last_processed_recipient_id")
    hint(redis_url, broadcast.id)
    until(lambda: "CURSOR COLUMN ADDED" in worker.log.read_text())
    assert clarion.until_ended(broadcast.id)["last_processed_recipient_id"] > 0


async def test_no_second_at_the_receiver_holds_more_than_the_rate(
    engine: AsyncEngine, redis_url: str, clarion: Engine, simulator: Simulator
) -> None:
    tenant = await a_business(engine, rate=80)
    broadcast = await a_broadcast(engine, recipients=400, tenant=tenant)
    clarion.start("worker")
    hint(redis_url, broadcast.id)
    clarion.until_ended(broadcast.id)
    assert simulator.windows()["most_in_one_second"] <= 80


async def test_a_runner_that_wakes_up_after_its_lease_ran_out_writes_and_sends_nothing_more(
    engine: AsyncEngine, redis_url: str, clarion: Engine, simulator: Simulator
) -> None:
    broadcast = await a_broadcast(engine, recipients=600, tenant=await a_business(engine, rate=100))
    sleeper = clarion.start("worker")
    hint(redis_url, broadcast.id)
    simulator.wait_for_accepted(50)
    sleeper.signal(signal.SIGSTOP)
    try:
        clarion.start("worker")
        clarion.start("steward")
        clarion.until_row(broadcast.id, lambda row: row["run_epoch"] >= 2)
    finally:
        sleeper.signal(signal.SIGCONT)
    clarion.until_ended(broadcast.id)
    assert simulator.most_messages_to_one_person() == 1
    until(lambda: "RUN LOST" in sleeper.log.read_text(), what="the sleeper to notice")
    clarion.assert_books_balance(broadcast.id)


async def test_a_refused_recipient_fails_alone_and_a_reason_is_kept(
    engine: AsyncEngine, database_url: str, redis_url: str, clarion: Engine
) -> None:
    broadcast = await a_broadcast(engine, recipients=5)
    clarion.execute("UPDATE whatsapp_broadcast_recipients SET phone = '+972509990126' WHERE row_number = 3")
    clarion.start("worker")
    hint(redis_url, broadcast.id)
    row = clarion.until_ended(broadcast.id)
    assert (row["status"], row["sent_count"], row["failed_count"]) == ("partial", 4, 1)
    with psycopg.connect(database_url) as connection:
        found = connection.execute(
            "SELECT error_code, error_message FROM whatsapp_broadcast_recipients WHERE status = 'failed'"
        ).fetchone()
    assert found is not None
    assert found[0] == 131026
    assert found[1]


async def test_a_person_who_had_bad_luck_is_tried_again(
    engine: AsyncEngine, redis_url: str, clarion: Engine, simulator: Simulator
) -> None:
    broadcast = await a_broadcast(engine, recipients=2)
    clarion.execute("UPDATE whatsapp_broadcast_recipients SET phone = '+972509990100' WHERE row_number = 1")
    clarion.start("worker")
    clarion.start("steward")
    hint(redis_url, broadcast.id)
    row = clarion.until_row(broadcast.id, lambda row: row["sent_count"] == 1 and row["lease_holder"] is None)
    assert (row["status"], row["processed_count"]) == ("queued", 1)  # it waits for its time, and holds nothing
    assert row["resume_at"] is not None
    clarion.execute("UPDATE whatsapp_broadcast_recipients SET next_attempt_at = now() WHERE status = 'queued'")
    clarion.execute("UPDATE whatsapp_broadcasts SET resume_at = now()")
    assert clarion.until_ended(broadcast.id)["status"] == "completed"
    assert simulator.most_messages_to_one_person() == 1


async def test_a_token_that_is_refused_pauses_the_broadcast_and_fails_nobody(
    engine: AsyncEngine, redis_url: str, clarion: Engine, tmp_path: Path
) -> None:
    with Simulator.start(rate=0, token="the right one") as strict:
        clarion.environment["CLARION_GRAPH_API_URL"] = strict.url
        broadcast = await a_broadcast(engine, recipients=50)
        clarion.start("worker")
        hint(redis_url, broadcast.id)
        row = clarion.until_row(broadcast.id, lambda row: row["status"] == "paused" and row["lease_holder"] is None)
    assert (row["pause_reason"], row["failed_count"], row["resume_at"]) == ("credentials", 0, None)
    assert row["status_detail"]


async def test_a_provider_that_is_away_pauses_the_broadcast_and_it_goes_on_by_itself(
    engine: AsyncEngine, redis_url: str, clarion: Engine
) -> None:
    clarion.environment["CLARION_GRAPH_API_URL"] = "http://127.0.0.1:1"
    broadcast = await a_broadcast(engine, recipients=200)
    clarion.start("worker")
    hint(redis_url, broadcast.id)
    row = clarion.until_row(broadcast.id, lambda row: row["status"] == "paused" and row["lease_holder"] is None)
    assert (row["pause_reason"], row["failed_count"], row["unknown_count"]) == ("provider_outage", 0, 0)
    assert row["resume_at"] is not None


async def test_a_run_that_begins_amid_an_outage_fails_nobody_however_often_they_were_tried(
    engine: AsyncEngine, redis_url: str, clarion: Engine, simulator: Simulator
) -> None:
    """As after the minute that an outage is waited for, when it lasts longer."""
    broadcast = await a_broadcast(engine, recipients=200)
    async with engine.begin() as connection:
        tried = (
            "UPDATE whatsapp_broadcast_recipients SET attempts = 4, next_attempt_at = now() WHERE broadcast_id = :id"
        )
        await connection.execute(text(tried), {"id": broadcast.id})
    simulator.order("code", code=131016, times=None)
    clarion.start("worker")
    hint(redis_url, broadcast.id)
    row = clarion.until_row(broadcast.id, lambda row: row["status"] == "paused" and row["lease_holder"] is None)
    assert (row["pause_reason"], row["failed_count"], row["unknown_count"]) == ("provider_outage", 0, 0)
    assert row["resume_at"] is not None


async def test_the_last_whom_whatsapp_always_refuses_are_waited_for_once_and_then_fail(
    engine: AsyncEngine, redis_url: str, clarion: Engine, simulator: Simulator
) -> None:
    """Nobody else is left who could tell an outage from their own trouble."""
    broadcast = await a_broadcast(engine, recipients=1)
    async with engine.begin() as connection:
        tried = (
            "UPDATE whatsapp_broadcast_recipients SET attempts = 4, next_attempt_at = now() WHERE broadcast_id = :id"
        )
        await connection.execute(text(tried), {"id": broadcast.id})
    simulator.order("code", code=131016, times=None)
    clarion.start("worker")
    hint(redis_url, broadcast.id)
    row = clarion.until_row(broadcast.id, lambda row: row["status"] == "paused" and row["lease_holder"] is None)
    assert (row["pause_reason"], row["failed_count"]) == ("provider_outage", 0)
    assert row["status_detail"].startswith("Nobody else is left")
    clarion.execute("UPDATE whatsapp_broadcasts SET resume_at = now() WHERE id = %(id)s", id=broadcast.id)
    clarion.start("steward")
    row = clarion.until_ended(broadcast.id)
    assert (row["status"], row["failed_count"]) == ("failed", 1)
    assert_counters_equal_rows(clarion.database_url, broadcast.id)


async def test_a_row_that_cannot_be_read_stops_the_run_and_loses_nobody(
    engine: AsyncEngine, redis_url: str, clarion: Engine, simulator: Simulator
) -> None:
    """As an older system may have left it. Nobody who was claimed with it was sent to, and nobody counts as unknown."""
    broadcast = await a_broadcast(engine, recipients=5)
    async with engine.begin() as connection:
        odd = "UPDATE whatsapp_broadcast_recipients SET variables = '{\"first_name\": 5}' WHERE row_number = 1"
        await connection.execute(text(odd))
    clarion.start("worker")
    hint(redis_url, broadcast.id)

    row = clarion.until_row(broadcast.id, lambda row: row["status"] == "paused" and row["lease_holder"] is None)

    assert row["pause_reason"] == "failures"
    statuses = clarion.assert_books_balance(broadcast.id).statuses
    assert "sending" not in statuses
    assert statuses["queued"] + statuses.get("sent", 0) == 5
    assert len(simulator.accepted()) == statuses.get("sent", 0)
