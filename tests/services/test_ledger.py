"""The statements that the engine lives on, against real PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from server.database import plain_connection
from server.domain.errors import RunLost, StateDoesNotAllow
from server.domain.states import Actor, Move, PauseReason, RecipientStatus
from server.services import broadcasts, leases, suppressions
from server.services.ledger import Ledger, Pace, Result, RunKey
from tests.support.books import assert_counters_equal_rows
from tests.support.builders import a_broadcast, a_run, run_out_of_lease

PACE = Pace(80.0, "your_rate")
SENT = RecipientStatus.SENT


@pytest.fixture
async def ledgers(database_url: str) -> AsyncIterator[list[Ledger]]:
    """Room for the ledgers of a test; see `ledger_of`."""
    made: list[Ledger] = []
    yield made
    for ledger in made:
        await ledger._connection.close()


async def ledger_of(database_url: str, run: RunKey, made: list[Ledger]) -> Ledger:
    """A ledger over a connection of its own."""
    made.append(Ledger(await plain_connection(database_url), run))
    return made[-1]


async def test_a_claim_takes_recipients_in_order_and_moves_the_cursor(
    engine: AsyncEngine, database_url: str, ledgers: list[Ledger]
) -> None:
    broadcast = await a_broadcast(engine, recipients=10)
    ledger = await ledger_of(database_url, await a_run(engine, broadcast), ledgers)

    first = await ledger.claim(4)
    second = await ledger.claim(100)

    assert first is not None
    assert second is not None
    assert [recipient.phone for recipient in first + second] == [f"+97250{n:07d}" for n in range(1, 11)]
    assert first[0].variables == {"first_name": "Name 1", "order_id": "A-1"}
    assert first[0].attempts == 1
    books = assert_counters_equal_rows(database_url, broadcast.id)
    assert books.statuses == {"sending": 10}
    assert books.row["last_processed_recipient_id"] == second[-1].id
    assert await ledger.claim(5) == []


async def test_a_claim_says_stop_once_a_person_paused_or_cancelled(
    engine: AsyncEngine, database_url: str, ledgers: list[Ledger]
) -> None:
    broadcast = await a_broadcast(engine, recipients=3)
    ledger = await ledger_of(database_url, await a_run(engine, broadcast), ledgers)
    async with engine.begin() as connection:
        await broadcasts.request_cancel(connection, broadcast.id, by=Actor.USER)

    assert await ledger.claim(3) is None
    assert assert_counters_equal_rows(database_url, broadcast.id).statuses == {"queued": 3}


async def test_an_opt_out_that_commits_while_a_claim_waits_for_the_row_wins(
    engine: AsyncEngine, database_url: str, ledgers: list[Ledger]
) -> None:
    broadcast = await a_broadcast(engine, recipients=2)
    ledger = await ledger_of(database_url, await a_run(engine, broadcast), ledgers)
    async with engine.begin() as connection:
        await connection.execute(
            text("UPDATE whatsapp_broadcast_recipients SET status = 'skipped' WHERE phone = '+972500000001'")
        )
        claim = asyncio.create_task(ledger.claim(2))
        await _until_somebody_waits(engine)
    claimed = await claim

    assert claimed is not None
    assert [recipient.phone for recipient in claimed] == ["+972500000002"]


async def _until_somebody_waits(engine: AsyncEngine) -> None:
    waits = text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%ledger.claim%'")
    async with engine.connect() as connection, asyncio.timeout(10):
        while not await connection.scalar(waits):
            await connection.rollback()


async def test_outcomes_and_counters_become_true_together(
    engine: AsyncEngine, database_url: str, ledgers: list[Ledger]
) -> None:
    broadcast = await a_broadcast(engine, recipients=6)
    ledger = await ledger_of(database_url, await a_run(engine, broadcast), ledgers)
    claimed = await ledger.claim(6)
    assert claimed is not None
    ids = [recipient.id for recipient in claimed]

    recorded = await ledger.record(
        [
            Result(ids[0], 1, SENT, message_id="wamid.1"),
            Result(ids[1], 1, RecipientStatus.FAILED, error_code=131026, error_message="not on WhatsApp"),
            Result(ids[2], 1, RecipientStatus.UNKNOWN, error_message="no answer"),
            Result(ids[3], 1, RecipientStatus.QUEUED, error_code=131000, error_message="again", delay_seconds=30),
            Result(ids[4], 1, RecipientStatus.SKIPPED, unused=1),
            Result(ids[5], 1, RecipientStatus.QUEUED, unused=1),
        ],
        PACE,
        ids[5],
    )

    assert recorded == (3, False)
    books = assert_counters_equal_rows(database_url, broadcast.id)
    assert books.statuses == {"sent": 1, "failed": 1, "unknown": 1, "queued": 2, "skipped": 1}
    assert books.row["settled_through_id"] == ids[5]
    async with engine.connect() as connection:
        rows = await connection.execute(
            text(
                "SELECT attempts, next_attempt_at > now() + interval '20 seconds' FROM whatsapp_broadcast_recipients"
                " WHERE status = 'queued' ORDER BY id"
            )
        )
        assert [tuple(row) for row in rows] == [(1, True), (0, False)]


async def test_recording_an_outcome_twice_counts_it_once(
    engine: AsyncEngine, database_url: str, ledgers: list[Ledger]
) -> None:
    broadcast = await a_broadcast(engine, recipients=1)
    ledger = await ledger_of(database_url, await a_run(engine, broadcast), ledgers)
    claimed = await ledger.claim(1)
    assert claimed is not None
    results = [Result(claimed[0].id, 1, SENT, message_id="wamid.1")]

    await ledger.record(results, PACE, 0)
    await ledger.record(results, PACE, 0)

    assert assert_counters_equal_rows(database_url, broadcast.id).row["sent_count"] == 1


async def test_a_record_that_comes_again_does_not_touch_the_next_claim(
    engine: AsyncEngine, database_url: str, ledgers: list[Ledger]
) -> None:
    broadcast = await a_broadcast(engine, recipients=1)
    ledger = await ledger_of(database_url, await a_run(engine, broadcast), ledgers)
    claimed = await ledger.claim(1)
    assert claimed is not None
    put_off = [Result(claimed[0].id, 1, RecipientStatus.QUEUED, unused=1)]
    await ledger.record(put_off, PACE, 0)
    again = await ledger.claim(1)
    assert again is not None
    assert (again[0].claim_number, again[0].attempts) == (2, 1)

    await ledger.record(put_off, PACE, 0)  # its answer had got lost

    assert await ledger.claim(1) == []
    assert assert_counters_equal_rows(database_url, broadcast.id).statuses == {"sending": 1}


async def test_who_was_put_off_comes_first_once_it_is_time(
    engine: AsyncEngine, database_url: str, ledgers: list[Ledger]
) -> None:
    broadcast = await a_broadcast(engine, recipients=4)
    ledger = await ledger_of(database_url, await a_run(engine, broadcast), ledgers)
    claimed = await ledger.claim(2)
    assert claimed is not None
    await ledger.record(
        [
            Result(claimed[0].id, 1, RecipientStatus.QUEUED, delay_seconds=3600),
            Result(claimed[1].id, 1, RecipientStatus.QUEUED, delay_seconds=0),
        ],
        PACE,
        claimed[1].id,
    )

    again = await ledger.claim(10)

    assert again is not None
    assert [(r.phone, r.attempts, r.waited) for r in again] == [
        ("+972500000002", 2, True),
        ("+972500000003", 1, False),
        ("+972500000004", 1, False),
    ]
    waiting = await ledger.next_attempt()
    assert waiting is not None
    assert 3500 < waiting[1] <= 3600


async def test_a_runner_whose_epoch_is_over_changes_nothing(
    engine: AsyncEngine, database_url: str, ledgers: list[Ledger]
) -> None:
    broadcast = await a_broadcast(engine, recipients=5)
    old = await ledger_of(database_url, await a_run(engine, broadcast), ledgers)
    claimed = await old.claim(2)
    assert claimed is not None
    async with engine.begin() as connection:
        await run_out_of_lease(connection, broadcast.id)
    await a_run(engine, broadcast)

    assert await old.claim(1) is None
    with pytest.raises(RunLost):
        await old.record([Result(claimed[0].id, 1, SENT, message_id="wamid.late")], PACE, 0)
    with pytest.raises(RunLost):
        await old.renew(leases.this_process() + "?", 10)
    books = assert_counters_equal_rows(database_url, broadcast.id)
    assert books.statuses == {"unknown": 2, "queued": 3}


async def test_taking_over_finds_what_was_in_flight_among_retries_too(
    engine: AsyncEngine, database_url: str, ledgers: list[Ledger]
) -> None:
    broadcast = await a_broadcast(engine, recipients=10)
    old = await ledger_of(database_url, await a_run(engine, broadcast), ledgers)
    claimed = await old.claim(6)
    assert claimed is not None
    ids = [recipient.id for recipient in claimed]
    await old.record(
        [Result(ids[0], 1, RecipientStatus.QUEUED), *(Result(i, 1, SENT, message_id=f"wamid.{i}") for i in ids[1:4])],
        PACE,
        ids[3],
    )
    retried = await old.claim(1)
    assert retried is not None
    assert retried[0].id == ids[0]
    async with engine.begin() as connection:
        await run_out_of_lease(connection, broadcast.id)

    await a_run(engine, broadcast)

    books = assert_counters_equal_rows(database_url, broadcast.id)
    assert books.statuses == {"unknown": 3, "sent": 3, "queued": 4}


async def test_a_claim_whose_answer_was_lost_is_handed_back(
    engine: AsyncEngine, database_url: str, ledgers: list[Ledger]
) -> None:
    broadcast = await a_broadcast(engine, recipients=6)
    ledger = await ledger_of(database_url, await a_run(engine, broadcast), ledgers)
    known = await ledger.claim(2)
    await ledger.claim(3)  # the answer that never arrived
    assert known is not None

    assert await ledger.hand_back_strays([recipient.id for recipient in known]) == 3

    again = await ledger.claim(10)
    assert again is not None
    assert len(again) == 4
    assert {recipient.attempts for recipient in again} == {1}


async def test_cancel_leaves_no_recipient_queued(engine: AsyncEngine, database_url: str, ledgers: list[Ledger]) -> None:
    broadcast = await a_broadcast(engine, recipients=20)
    ledger = await ledger_of(database_url, await a_run(engine, broadcast), ledgers)
    claimed = await ledger.claim(3)
    assert claimed is not None
    async with engine.begin() as connection:
        await broadcasts.request_cancel(connection, broadcast.id, by=Actor.USER)
    async with engine.begin() as connection:
        assert not await broadcasts.finish_cancel(connection, broadcast.id)  # its runner lives, and will do it
        await run_out_of_lease(connection, broadcast.id)
    async with engine.begin() as connection:
        assert await broadcasts.finish_cancel(connection, broadcast.id)

    books = assert_counters_equal_rows(database_url, broadcast.id)
    assert books.row["status"] == "cancelled"
    assert books.statuses == {"cancelled": 17, "unknown": 3}


async def test_an_opt_out_reaches_into_every_live_broadcast(engine: AsyncEngine, database_url: str) -> None:
    broadcast = await a_broadcast(engine, recipients=3)
    async with engine.begin() as connection:
        await suppressions.suppress(connection, broadcast.business_id, "+972500000002", "said STOP")
        await suppressions.suppress(connection, broadcast.business_id, "+972500000002", "said STOP again")

    assert assert_counters_equal_rows(database_url, broadcast.id).statuses == {"queued": 2, "skipped": 1}


async def test_concurrent_claims_and_records_keep_the_counters_exact(
    engine: AsyncEngine, database_url: str, ledgers: list[Ledger]
) -> None:
    broadcast = await a_broadcast(engine, recipients=600)
    run = await a_run(engine, broadcast)
    claimer, recorder = [await ledger_of(database_url, run, ledgers) for _ in range(2)]
    ready: asyncio.Queue[list[int]] = asyncio.Queue()

    async def claim() -> None:
        while claimed := await claimer.claim(7):
            await ready.put([recipient.id for recipient in claimed])
        await ready.put([])

    async def record() -> None:
        while ids := await ready.get():
            await recorder.record([Result(i, 1, SENT, message_id=f"wamid.{i}") for i in ids], PACE, ids[-1])

    await asyncio.gather(claim(), record())

    assert assert_counters_equal_rows(database_url, broadcast.id).statuses == {"sent": 600}


async def test_a_persons_pause_is_not_overwritten_by_the_end_of_a_run(engine: AsyncEngine, database_url: str) -> None:
    broadcast = await a_broadcast(engine, recipients=2)
    run = await a_run(engine, broadcast)
    async with engine.begin() as connection:
        await broadcasts.make_or_refuse(connection, broadcast.id, Move.PAUSE, by=Actor.USER)
        assert not await broadcasts.make(connection, broadcast.id, Move.YIELD, by=Actor.ENGINE, epoch=run.epoch)

    assert assert_counters_equal_rows(database_url, broadcast.id).row["status"] == "paused"


async def test_a_cancel_by_the_run_itself_leaves_nobody_sending(
    engine: AsyncEngine, database_url: str, ledgers: list[Ledger]
) -> None:
    broadcast = await a_broadcast(engine, recipients=5)
    run = await a_run(engine, broadcast)
    await (await ledger_of(database_url, run, ledgers)).claim(2)  # the answer that never arrived
    async with engine.begin() as connection:
        await broadcasts.request_cancel(connection, broadcast.id, by=Actor.USER)
    async with engine.begin() as connection:
        assert await broadcasts.finish_cancel(connection, broadcast.id, epoch=run.epoch)
    assert assert_counters_equal_rows(database_url, broadcast.id).statuses == {"cancelled": 3, "unknown": 2}


async def test_a_rewind_finds_whoever_is_sending_wherever_they_are(
    engine: AsyncEngine, database_url: str, ledgers: list[Ledger]
) -> None:
    broadcast = await a_broadcast(engine, recipients=6)
    run = await a_run(engine, broadcast)
    ledger = await ledger_of(database_url, run, ledgers)
    claimed = await ledger.claim(3)
    assert claimed is not None
    await ledger.record([Result(claimed[2].id, 1, SENT, message_id="wamid.1")], PACE, claimed[2].id)
    async with engine.begin() as connection:
        await broadcasts.rewind(connection, broadcast.id, run.epoch)
    assert assert_counters_equal_rows(database_url, broadcast.id).statuses == {"unknown": 2, "sent": 1, "queued": 3}
    again = await ledger.claim(10)
    assert again is not None
    assert len(again) == 3


async def test_no_end_of_a_run_overwrites_a_wish_to_cancel(engine: AsyncEngine, database_url: str) -> None:
    broadcast = await a_broadcast(engine, recipients=2)
    run = await a_run(engine, broadcast)
    async with engine.begin() as connection:
        await broadcasts.request_cancel(connection, broadcast.id, by=Actor.USER)
    for move in (Move.FAIL, Move.HOLD, Move.YIELD, Move.SETTLE, Move.COMPLETE):
        async with engine.begin() as connection:
            assert not await broadcasts.make(connection, broadcast.id, move, by=Actor.ENGINE, epoch=run.epoch), move
    async with engine.begin() as connection:
        assert await broadcasts.finish_cancel(connection, broadcast.id, epoch=run.epoch)
    assert assert_counters_equal_rows(database_url, broadcast.id).row["status"] == "cancelled"


async def test_a_person_may_take_over_a_pause_of_the_engines_own(engine: AsyncEngine, database_url: str) -> None:
    broadcast = await a_broadcast(engine, recipients=2)
    async with engine.begin() as connection:
        soon = datetime.now(UTC) + timedelta(seconds=60)
        why = broadcasts.Why(PauseReason.PROVIDER_OUTAGE, "WhatsApp is away.", soon)
        assert await broadcasts.make(connection, broadcast.id, Move.HOLD, by=Actor.ENGINE, why=why)
        by_hand = broadcasts.Why(PauseReason.USER)
        await broadcasts.make_or_refuse(connection, broadcast.id, Move.PAUSE, by=Actor.USER, why=by_hand)
        with pytest.raises(StateDoesNotAllow):
            await broadcasts.make_or_refuse(connection, broadcast.id, Move.PAUSE, by=Actor.USER, why=by_hand)
    row = assert_counters_equal_rows(database_url, broadcast.id).row
    assert (row["status"], row["pause_reason"], row["resume_at"]) == ("paused", "user", None)


async def test_who_opted_out_while_they_were_claimed_does_not_go_back_into_the_queue(
    engine: AsyncEngine, database_url: str, ledgers: list[Ledger]
) -> None:
    broadcast = await a_broadcast(engine, recipients=1)
    ledger = await ledger_of(database_url, await a_run(engine, broadcast), ledgers)
    claimed = await ledger.claim(1)
    assert claimed is not None
    async with engine.begin() as connection:
        await suppressions.suppress(connection, broadcast.business_id, claimed[0].phone, "said STOP")
    assert await ledger.opt_outs(60) == [claimed[0].phone]
    await ledger.record([Result(claimed[0].id, 1, RecipientStatus.QUEUED, delay_seconds=30)], PACE, 0)
    assert assert_counters_equal_rows(database_url, broadcast.id).statuses == {"skipped": 1}
