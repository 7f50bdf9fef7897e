"""A broadcast with a canary, with real workers and real webhooks: who is sent to before anybody knows how it went."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from server.domain.states import Actor, Move
from server.services import broadcasts
from tests.support.builders import a_broadcast
from tests.support.engine import Engine
from tests.support.simulator import Simulator

PEOPLE = 400
CANARY = 50
BOUNDS = {"failed_percent": 5, "opted_out_percent": 2, "wait_minutes": 15}


@contextmanager
def alive(
    database_url: str, redis_url: str, folder: Path, *, habits: str = "", is_heard: bool = True
) -> Iterator[Engine]:
    """An engine with a steward. habits: of the people. is_heard: whether WhatsApp's webhooks reach it."""
    settings = {"CLARION_UNKNOWN_GRACE_SECONDS": "60", "CLARION_UNKNOWN_MAX_WAIT_SECONDS": "120"}
    with (
        Simulator.start(rate=0, seed=7, habits=habits) as simulator,
        Engine(database_url, redis_url, simulator, folder, **settings) as made,
    ):
        if is_heard:
            _, address = made.start_web()
            simulator.call_back(f"{address}/webhooks/whatsapp", "secret", batch=50)
        made.start("steward")
        yield made


@pytest.fixture
def clarion(database_url: str, redis_url: str, tmp_path: Path) -> Iterator[Engine]:
    """Everybody gets their message and reads it."""
    with alive(database_url, redis_url, tmp_path) as made:
        yield made


@pytest.fixture
def unwelcome(database_url: str, redis_url: str, tmp_path: Path) -> Iterator[Engine]:
    """Three in ten are not on WhatsApp, which it tells afterwards."""
    with alive(database_url, redis_url, tmp_path, habits="off=0.3") as made:
        yield made


def is_watched(row: dict[str, Any]) -> bool:
    """Whether the row waits for what its canary shows."""
    return row["pause_reason"] == "canary" and row["resume_at"] is not None


def is_stopped(row: dict[str, Any]) -> bool:
    """Whether the canary has stopped the broadcast."""
    return row["pause_reason"] == "canary" and row["resume_at"] is None


def let_pass(clarion: Engine, minutes: int) -> None:
    """Let so much of the wait go by."""
    clarion.execute(
        "UPDATE whatsapp_broadcasts SET resume_at = resume_at - %(minutes)s * interval '1 minute'", minutes=minutes
    )


def events_of(clarion: Engine, broadcast_id: int) -> list[str]:
    """What the audit trail says in words."""
    with psycopg.connect(clarion.database_url) as connection:
        rows = connection.execute(
            "SELECT detail FROM broadcast_events WHERE broadcast_id = %s AND detail IS NOT NULL ORDER BY id",
            (broadcast_id,),
        )
        return [row[0] for row in rows]


def assert_everybody_got_it_once(clarion: Engine, broadcast_id: int) -> None:
    """Nobody twice, nobody left out, and the books agree."""
    assert clarion.simulator.summary()["unique_people"] == PEOPLE
    clarion.assert_books_balance(broadcast_id)


async def test_a_canary_that_goes_well_lets_everybody_else_follow_by_itself(
    engine: AsyncEngine, clarion: Engine
) -> None:
    clarion.start("worker")
    broadcast = await a_broadcast(engine, recipients=PEOPLE, canary=BOUNDS)
    row = clarion.until_row(broadcast.id, is_watched)
    assert (row["sent_count"], row["lease_holder"]) == (CANARY, None)
    assert row["status_detail"].startswith("The first 50 people were sent to. Clarion waits")
    assert clarion.simulator.summary()["accepted"] == CANARY

    clarion.until_row(broadcast.id, lambda row: row["delivered_count"] == CANARY)
    let_pass(clarion, minutes=2)
    row = clarion.until_ended(broadcast.id)
    assert (row["status"], row["sent_count"]) == ("completed", PEOPLE)
    assert "The canary went well: of 50 people 0 failed and 0 opted out. Everybody else follows." in events_of(
        clarion, broadcast.id
    )
    assert_everybody_got_it_once(clarion, broadcast.id)


async def test_a_canary_that_fails_stops_the_broadcast_until_a_person_overrules_it(
    engine: AsyncEngine, unwelcome: Engine
) -> None:
    unwelcome.start("worker")
    broadcast = await a_broadcast(engine, recipients=PEOPLE, canary=BOUNDS)
    row = unwelcome.until_row(broadcast.id, is_stopped)
    assert "of the first 50 people failed" in row["status_detail"]
    assert row["lease_holder"] is None
    assert unwelcome.simulator.summary()["accepted"] == CANARY

    async with engine.begin() as connection:
        await broadcasts.make_or_refuse(connection, broadcast.id, Move.RESUME, by=Actor.USER)
    row = unwelcome.until_ended(broadcast.id)
    assert row["status"] == "partial"
    assert unwelcome.simulator.summary()["unique_people"] == PEOPLE
    assert unwelcome.simulator.most_messages_to_one_person() == 1


async def test_a_worker_killed_amid_the_canary_changes_nothing(engine: AsyncEngine, clarion: Engine) -> None:
    clarion.simulator.hold_answers(after=20)
    worker = clarion.start("worker")
    broadcast = await a_broadcast(engine, recipients=PEOPLE, canary=BOUNDS)
    clarion.simulator.holds(CANARY - 20)  # everybody's message has arrived: whoever is in doubt has got it
    worker.kill()
    clarion.simulator.release()
    clarion.start("worker")
    row = clarion.until_row(broadcast.id, is_watched)
    assert row["sent_count"] + row["unknown_count"] == CANARY

    # Whose answer was lost is found by the webhook that names them.
    clarion.until_row(broadcast.id, lambda row: row["delivered_count"] == CANARY)
    assert clarion.simulator.summary()["accepted"] == CANARY
    let_pass(clarion, minutes=2)
    row = clarion.until_ended(broadcast.id)
    assert (row["status"], row["sent_count"]) == ("completed", PEOPLE)
    assert_everybody_got_it_once(clarion, broadcast.id)


async def test_an_audience_inside_the_canary_needs_none(engine: AsyncEngine, clarion: Engine) -> None:
    clarion.start("worker")
    broadcast = await a_broadcast(engine, recipients=CANARY, canary=BOUNDS)
    row = clarion.until_ended(broadcast.id)
    assert (row["status"], row["canary_judged_at"]) == ("completed", None)


async def test_without_a_word_from_whatsapp_a_person_is_asked(
    engine: AsyncEngine, database_url: str, redis_url: str, tmp_path: Path
) -> None:
    with alive(database_url, redis_url, tmp_path, is_heard=False) as deaf:
        deaf.start("worker")
        broadcast = await a_broadcast(engine, recipients=PEOPLE, canary=BOUNDS)
        deaf.until_row(broadcast.id, is_watched)
        let_pass(deaf, minutes=16)
        row = deaf.until_row(broadcast.id, is_stopped)
        assert "WhatsApp has reported on none of the first 50" in row["status_detail"]
        assert deaf.simulator.summary()["accepted"] == CANARY


async def test_failures_that_are_told_afterwards_stop_a_broadcast_that_is_sending(
    engine: AsyncEngine, database_url: str, redis_url: str, tmp_path: Path
) -> None:
    """Nine in ten are not on WhatsApp: it takes every message, and says so by webhook."""
    with alive(database_url, redis_url, tmp_path, habits="off=0.9") as clarion:
        clarion.start("worker")
        broadcast = await a_broadcast(engine, recipients=PEOPLE * 5, rate_limit=100)
        row = clarion.until_row(broadcast.id, lambda row: row["status"] == "paused" and row["lease_holder"] is None)
        assert row["pause_reason"] == "failures"
        assert row["status_detail"].startswith("WhatsApp took the messages, and then reported ")
        assert row["processed_count"] < PEOPLE * 5
