"""The history of a broadcast is a chain, whoever writes it; what is changed in it behind Clarion's back is found."""

import asyncio
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from server.domain.history import BEGINNING, break_in
from server.domain.states import Actor, Move, PauseReason
from server.migrations import downgrade, upgrade
from server.services import broadcasts
from server.services.broadcasts import Why
from server.services.events import add_event, breaks, read_events
from server.services.verify import verify
from tests.support.builders import Made, a_broadcast, a_run

SERVER = Path(__file__).parents[2] / "server"


async def a_history(engine: AsyncEngine) -> Made:
    """A broadcast that was run, paused, resumed and cancelled."""
    broadcast = await a_broadcast(engine, recipients=2)
    await a_run(engine, broadcast)
    async with engine.begin() as connection:
        why = Why(PauseReason.USER, 'Dana said: "later" — אחר כך')
        await broadcasts.make(connection, broadcast.id, Move.PAUSE, by=Actor.USER, why=why)
        await broadcasts.make(connection, broadcast.id, Move.RESUME, by=Actor.USER)
        await broadcasts.request_cancel(connection, broadcast.id, by=Actor.USER)
    return broadcast


async def broken(engine: AsyncEngine) -> list[tuple[int, str]]:
    """The broadcasts whose history is not the one that was written."""
    async with engine.connect() as connection:
        return [found async for found in breaks(connection)]


async def test_every_move_is_chained_to_the_one_before(engine: AsyncEngine) -> None:
    broadcast = await a_history(engine)
    async with engine.connect() as connection:
        events = await read_events(connection, broadcast.id)
        head = await connection.scalar(text("SELECT history_head FROM whatsapp_broadcasts"))
    assert [event["move"] for event in events] == ["run", "pause", "resume", "cancel"]
    assert len({event["hash"] for event in events}) == 4
    assert events[-1]["hash"] == head
    assert break_in(events, head) is None
    assert await broken(engine) == []


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE broadcast_events SET actor = 'engine' WHERE move = 'pause'",
        "UPDATE broadcast_events SET detail = 'Nobody said anything.' WHERE move = 'pause'",
        "UPDATE broadcast_events SET at = at + interval '1 microsecond' WHERE move = 'run'",
        "UPDATE broadcast_events SET hash = repeat('a', 64) WHERE move = 'resume'",
        "DELETE FROM broadcast_events WHERE move = 'run'",
        "DELETE FROM broadcast_events WHERE move = 'pause'",
        "DELETE FROM broadcast_events WHERE move = 'cancel'",
        "DELETE FROM broadcast_events",
    ],
)
async def test_an_event_that_is_changed_or_deleted_is_missed(engine: AsyncEngine, change: str) -> None:
    broadcast = await a_history(engine)
    async with engine.begin() as connection:
        await connection.execute(text(change))
    assert [found[0] for found in await broken(engine)] == [broadcast.id]
    async with engine.connect() as connection:
        verified = await verify(connection, broadcast.id)
    assert not verified.holds
    assert verified.differences == []


async def test_many_who_write_at_once_make_one_chain(engine: AsyncEngine) -> None:
    broadcast = await a_broadcast(engine, recipients=1)

    async def write(number: int) -> None:
        async with engine.begin() as connection:  # holds nothing of the broadcast but by the writing itself
            await add_event(connection, broadcast.id, Move.YIELD, by=Actor.ENGINE, before="running", detail=str(number))

    await asyncio.gather(*(write(number) for number in range(20)))
    async with engine.connect() as connection:
        events = await read_events(connection, broadcast.id)
    assert sorted(int(event["detail"]) for event in events) == list(range(20))
    assert await broken(engine) == []


async def test_a_broadcast_that_is_gone_has_no_history(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        await add_event(connection, 404, Move.YIELD, by=Actor.ENGINE, before="running")
        assert await read_events(connection, 404) == []


def test_nothing_else_writes_events() -> None:
    writers = {
        str(path.relative_to(SERVER))
        for path in SERVER.rglob("*.py")
        if any(f"{verb} broadcast_events" in path.read_text() for verb in ("INSERT INTO", "UPDATE", "DELETE FROM"))
    }
    assert writers == {"services/events.py", "migrations/versions/v0009_truth.py"}


def test_a_history_of_before_is_chained_by_the_migration(database_url: str) -> None:
    downgrade(database_url, "0010")
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("INSERT INTO businesses (name) VALUES ('Acme')")
        connection.execute("INSERT INTO whatsapp_broadcasts (business_id, name) VALUES (1, 'One'), (1, 'Two')")
        connection.execute("""
            INSERT INTO broadcast_events (broadcast_id, business_id, actor, move, from_status, to_status, detail)
            VALUES (1, 1, 'user', 'queue', 'draft', 'queued', E'with "quotes", \\\\, a\\ttab, \\x01 and עברית'),
                   (2, 1, 'user', 'queue', 'draft', 'queued', NULL), (1, 1, 'engine', 'run', 'queued', 'running', NULL)
        """)
        connection.execute("""
            INSERT INTO whatsapp_broadcast_recipients (broadcast_id, business_id, phone, status, attempts, claim_number,
                                                       message_id)
            VALUES (1, 1, '+1', 'sent', 2, 3, 'wamid.1'), (1, 1, '+2', 'failed', 1, 1, NULL),
                   (1, 1, '+3', 'queued', 0, 0, NULL)
        """)
    upgrade(database_url)
    with psycopg.connect(database_url) as connection:
        kept = connection.execute(
            "SELECT recipient_id, claim_number, outcome FROM send_attempts ORDER BY recipient_id"
        ).fetchall()
        heads = [row[0] for row in connection.execute("SELECT history_head FROM whatsapp_broadcasts ORDER BY id")]
        events = connection.execute("SELECT count(*), count(DISTINCT hash) FROM broadcast_events").fetchone()
    assert kept == [(1, 2, "put_off"), (2, 1, "failed")]
    assert BEGINNING not in heads
    assert events == (3, 3)


async def test_what_the_migration_chained_holds(engine: AsyncEngine, database_url: str) -> None:
    broadcast = await a_history(engine)
    await engine.dispose()
    async with engine.connect() as connection:
        before = await read_events(connection, broadcast.id)
    await engine.dispose()
    await asyncio.to_thread(downgrade, database_url, "0010")
    await asyncio.to_thread(upgrade, database_url)
    async with engine.connect() as connection:
        assert await read_events(connection, broadcast.id) == before
    assert await broken(engine) == []
