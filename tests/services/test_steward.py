"""What the steward finds due, and what it leaves alone."""

from dataclasses import replace
from datetime import timedelta

from sqlalchemy import func, update
from sqlalchemy.ext.asyncio import AsyncEngine

from server.database import plain_connection
from server.domain.states import Actor, Move, PauseReason, RecipientStatus
from server.models import WhatsAppBroadcast
from server.services import broadcasts, steward
from server.services.broadcasts import Why
from server.services.bulk_gate import BulkGate
from server.services.ledger import Ledger, Pace, Result
from tests.support.books import assert_counters_equal_rows
from tests.support.builders import a_broadcast, a_business, a_run, run_out_of_lease

AT_ONCE = steward.Policy(unknown_grace_seconds=0, unknown_max_wait_seconds=0, max_attempts=5)
LATER = steward.Policy(unknown_grace_seconds=900, unknown_max_wait_seconds=21_600, max_attempts=5)


async def set_instant(engine: AsyncEngine, broadcast_id: int, column: str, in_seconds: int) -> None:
    """Let an instant of a broadcast be so many seconds from now."""
    statement = update(WhatsAppBroadcast).where(WhatsAppBroadcast.id == broadcast_id)
    async with engine.begin() as connection:
        await connection.execute(statement.values({column: func.now() + timedelta(seconds=in_seconds)}))


async def test_a_queued_broadcast_without_a_hint_is_found(engine: AsyncEngine) -> None:
    broadcast = await a_broadcast(engine, recipients=1)
    assert (await steward.go_round(engine, LATER)).broadcast_ids == [broadcast.id]


async def test_a_broadcast_with_a_living_runner_is_left_alone(engine: AsyncEngine) -> None:
    broadcast = await a_broadcast(engine, recipients=1)
    await a_run(engine, broadcast)
    assert (await steward.go_round(engine, LATER)).broadcast_ids == []


async def test_a_broadcast_whose_runner_died_is_found(engine: AsyncEngine) -> None:
    broadcast = await a_broadcast(engine, recipients=1)
    await a_run(engine, broadcast)
    async with engine.begin() as connection:
        await run_out_of_lease(connection, broadcast.id)
    assert (await steward.go_round(engine, LATER)).broadcast_ids == [broadcast.id]


async def test_of_one_business_only_the_next_in_line_is_asked_for(engine: AsyncEngine) -> None:
    tenant = await a_business(engine)
    first = await a_broadcast(engine, recipients=1, tenant=tenant)
    await a_broadcast(engine, recipients=1, tenant=tenant)
    assert (await steward.go_round(engine, LATER)).broadcast_ids == [first.id]
    async with engine.begin() as connection:
        await BulkGate(tenant.business_id).take(connection, first.id, 30)
    assert (await steward.go_round(engine, LATER)).broadcast_ids == []


async def test_a_steward_of_one_business_starts_resumes_and_runs_nothing_of_others(engine: AsyncEngine) -> None:
    tenant = await a_business(engine, "Ours")
    ours = await a_broadcast(engine, recipients=1, tenant=tenant)
    await a_broadcast(engine, recipients=1, tenant=await a_business(engine, "Queued"))
    scheduled = await a_broadcast(
        engine, recipients=1, status="scheduled", tenant=await a_business(engine, "Scheduled")
    )
    held = await a_broadcast(engine, recipients=1, tenant=await a_business(engine, "Held"))
    async with engine.begin() as connection:
        why = Why(PauseReason.PROVIDER_OUTAGE, "WhatsApp is away.")
        await broadcasts.make(connection, held.id, Move.HOLD, by=Actor.ENGINE, why=why)
    await set_instant(engine, scheduled.id, "scheduled_at", 0)
    await set_instant(engine, held.id, "resume_at", 0)

    done = await steward.go_round(engine, replace(LATER, only_business=tenant.business_id))
    assert (done.broadcast_ids, done.started_count, done.resumed_count) == ([ours.id], 0, 0)

    done = await steward.go_round(engine, LATER)
    assert (len(done.broadcast_ids), done.started_count, done.resumed_count) == (4, 1, 1)


async def test_a_schedule_that_is_due_starts_and_one_that_is_not_waits(engine: AsyncEngine) -> None:
    due = await a_broadcast(engine, recipients=1, status="scheduled")
    tenant = await a_business(engine, "Other")
    later = await a_broadcast(engine, recipients=1, status="scheduled", tenant=tenant)
    await set_instant(engine, due.id, "scheduled_at", 0)
    await set_instant(engine, later.id, "scheduled_at", 3600)
    done = await steward.go_round(engine, LATER)
    assert (done.started_count, done.broadcast_ids) == (1, [due.id])


async def test_what_the_engine_paused_goes_on_by_itself_and_what_a_person_paused_does_not(
    engine: AsyncEngine,
) -> None:
    held = await a_broadcast(engine, recipients=1, tenant=await a_business(engine, "Held"))
    paused = await a_broadcast(engine, recipients=1, tenant=await a_business(engine, "Paused"))
    async with engine.begin() as connection:
        why = Why(PauseReason.PROVIDER_OUTAGE, "WhatsApp is away.")
        await broadcasts.make(connection, held.id, Move.HOLD, by=Actor.ENGINE, why=why)
        await broadcasts.make(connection, paused.id, Move.PAUSE, by=Actor.USER, why=Why(PauseReason.USER))
    await set_instant(engine, held.id, "resume_at", 0)
    done = await steward.go_round(engine, LATER)
    assert (done.resumed_count, done.broadcast_ids) == (1, [held.id])


async def test_unknowns_wait_for_the_grace_period_and_then_fail_with_a_reason(
    engine: AsyncEngine, database_url: str
) -> None:
    broadcast = await a_broadcast(engine, recipients=2)
    run = await a_run(engine, broadcast)
    async with await plain_connection(database_url) as connection:
        ledger = Ledger(connection, run)
        claimed = await ledger.claim(2)
        assert claimed is not None
        unknown, sent = claimed
        results = [
            Result(unknown.id, 1, RecipientStatus.UNKNOWN, error_message="no answer"),
            Result(sent.id, 1, RecipientStatus.SENT, message_id="wamid.1"),
        ]
        await ledger.record(results, Pace(80, "your_rate"), sent.id)
    async with engine.begin() as connection:
        assert await broadcasts.make(connection, broadcast.id, Move.SETTLE, by=Actor.ENGINE, epoch=run.epoch)

    assert (await steward.go_round(engine, LATER)).settled_count == 0
    done = await steward.go_round(engine, AT_ONCE)

    assert (done.settled_count, done.ended_count) == (1, 1)
    books = assert_counters_equal_rows(database_url, broadcast.id)
    assert books.row["status"] == "partial"
    assert books.statuses == {"sent": 1, "failed": 1}


async def test_a_cancel_without_a_runner_is_finished_by_the_steward(engine: AsyncEngine, database_url: str) -> None:
    broadcast = await a_broadcast(engine, recipients=5)
    async with engine.begin() as connection:
        await broadcasts.request_cancel(connection, broadcast.id, by=Actor.USER)
    assert (await steward.go_round(engine, LATER)).cancelled_count == 1
    assert assert_counters_equal_rows(database_url, broadcast.id).statuses == {"cancelled": 5}
