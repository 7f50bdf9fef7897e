"""What was in flight when somebody stopped a broadcast is counted exactly, and accounted for by whoever knows."""

from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from server.database import plain_connection
from server.domain.states import Actor, Move, RecipientStatus
from server.services import broadcasts, stops
from server.services.ledger import Ledger, Pace, Result, RunKey
from server.services.runs import InFlight
from tests.support.builders import Made, a_broadcast, a_run, run_out_of_lease

PACE = Pace(80.0, "your_rate")


async def stop(engine: AsyncEngine, broadcast: Made, move: Move) -> int:
    """A person pauses or cancels. Returns how many were in flight."""
    async with engine.begin() as connection:
        if move is Move.CANCEL:
            await broadcasts.request_cancel(connection, broadcast.id, by=Actor.USER)
        else:
            await broadcasts.make_or_refuse(connection, broadcast.id, move, by=Actor.USER)
        return await stops.in_flight_count(connection, broadcast.id)


async def history(engine: AsyncEngine) -> list[tuple[Any, ...]]:
    """Who did what, and what was said of it; what nothing was said of is left out."""
    async with engine.connect() as connection:
        rows = await connection.execute(
            text("SELECT actor, move, to_status, detail FROM broadcast_events WHERE detail IS NOT NULL ORDER BY id")
        )
        return [tuple(row) for row in rows]


async def test_retries_and_fresh_claims_are_counted_and_what_was_recorded_is_not(
    engine: AsyncEngine, database_url: str
) -> None:
    broadcast = await a_broadcast(engine, recipients=20)
    async with await plain_connection(database_url) as connection:
        ledger = Ledger(connection, await a_run(engine, broadcast))
        claimed = await ledger.claim(4)
        assert claimed is not None
        put_off = [Result(who.id, 1, RecipientStatus.QUEUED, error_message="again") for who in claimed[:2]]
        sent = [Result(who.id, 1, RecipientStatus.SENT, message_id=f"wamid.{who.id}") for who in claimed[2:]]
        assert not (await ledger.record(put_off + sent, PACE, claimed[-1].id)).was_stopped
        held = await ledger.claim(7)  # the two who were put off, and five more
        assert held is not None
        assert [who.waited for who in held].count(True) == 2

        assert await stop(engine, broadcast, Move.PAUSE) == 7

        first = [Result(held[0].id, held[0].claim_number, RecipientStatus.SENT, message_id="wamid.x")]
        assert (await ledger.record(first, PACE, 0)).was_stopped
        async with engine.begin() as other:
            assert await stops.in_flight_count(other, broadcast.id) == 6


async def test_a_run_accounts_for_its_stop_and_for_nothing_else(engine: AsyncEngine) -> None:
    broadcast = await a_broadcast(engine, recipients=2)
    run = await a_run(engine, broadcast)
    async with engine.begin() as connection:
        await stops.account(connection, run, "Nobody has stopped it.")
        await broadcasts.make_or_refuse(connection, broadcast.id, Move.PAUSE, by=Actor.USER)
        await stops.account(connection, run._replace(epoch=run.epoch - 1), "By a run that has lost the row.")
        await stops.account(connection, run, str(InFlight(accepted=17, failed=1, unsent=20)))
    assert await history(engine) == [
        (
            "engine",
            "pause",
            "paused",
            "Of 38 requests in flight 17 were accepted, 1 failed, 0 are unknown, 20 had not left and were taken back.",
        )
    ]


async def a_dead_run(engine: AsyncEngine, database_url: str, broadcast: Made, move: Move) -> tuple[RunKey, int]:
    """A run that claimed three and died after a person stopped it. The run, and how many were in flight."""
    run = await a_run(engine, broadcast)
    async with await plain_connection(database_url) as connection:
        await Ledger(connection, run).claim(3)
    count = await stop(engine, broadcast, move)
    async with engine.begin() as other:
        await run_out_of_lease(other, broadcast.id)
    return run, count


async def test_a_paused_broadcast_whose_worker_died_says_how_many_are_unknown_once(
    engine: AsyncEngine, database_url: str
) -> None:
    broadcast = await a_broadcast(engine, recipients=9)
    run, count = await a_dead_run(engine, database_url, broadcast, Move.PAUSE)
    for expected in (True, False):
        async with engine.begin() as connection:
            assert await stops.end_dead_run(connection, broadcast.id) is expected
    async with engine.begin() as connection:
        await stops.account(connection, run, "A worker that wakes up has lost the row.")
        unknown = await connection.scalar(text("SELECT unknown_count FROM whatsapp_broadcasts"))
    assert count == unknown == 3
    assert await history(engine) == [("steward", "pause", "paused", stops.died(3))]


async def test_a_paused_broadcast_whose_worker_lives_is_left_to_it(engine: AsyncEngine) -> None:
    broadcast = await a_broadcast(engine, recipients=9)
    await a_run(engine, broadcast)
    await stop(engine, broadcast, Move.PAUSE)
    async with engine.begin() as connection:
        assert not await stops.end_dead_run(connection, broadcast.id)


async def test_a_cancel_that_finds_a_dead_worker_says_how_many_are_unknown(
    engine: AsyncEngine, database_url: str
) -> None:
    broadcast = await a_broadcast(engine, recipients=9)
    _, count = await a_dead_run(engine, database_url, broadcast, Move.CANCEL)
    async with engine.begin() as connection:
        assert await broadcasts.finish_cancel(connection, broadcast.id)
    assert count == 3
    assert (await history(engine))[-1] == (
        "user",
        "cancel",
        "cancelled",
        "3 in flight under a run that died are unknown.",
    )


def test_an_account_adds_up_to_what_was_in_flight() -> None:
    tally = InFlight()
    tally.add(
        [
            Result(1, 1, RecipientStatus.SENT, message_id="wamid.1"),
            Result(2, 1, RecipientStatus.FAILED, error_message="not on WhatsApp"),
            Result(3, 1, RecipientStatus.UNKNOWN, error_message="no answer"),
            Result(4, 1, RecipientStatus.QUEUED, error_code=131056, error_message="again"),
            Result(5, 1, RecipientStatus.QUEUED, unused=1),
            Result(6, 1, RecipientStatus.CANCELLED, unused=1),
            Result(7, 1, RecipientStatus.SKIPPED, error_message="opted out", unused=1),
        ]
    )
    assert (tally.accepted, tally.failed, tally.unknown, tally.put_off, tally.unsent) == (1, 1, 1, 1, 3)
    assert tally.count == 7
    assert str(InFlight()) == "Nothing was in flight."
