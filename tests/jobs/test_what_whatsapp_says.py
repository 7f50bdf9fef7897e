"""A broadcast with webhooks on: whatever people and the network do, our books and the simulator's own agree."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.support.books import assert_counters_equal_rows
from tests.support.builders import a_broadcast, a_business
from tests.support.engine import Engine, until
from tests.support.simulator import Simulator

HABITS = "off=0.02,capped=0.01,stopped=0.01,reply=0.05,stop=0.02,only_read=0.05,silent=0.05,unread=0.1,slow=0.02"


@contextmanager
def alive(database_url: str, redis_url: str, folder: Path, *, habits: str = "") -> Iterator[Engine]:
    """An engine that WhatsApp talks back to. habits: of the simulator's people."""
    settings = {"CLARION_UNKNOWN_GRACE_SECONDS": "4", "CLARION_UNKNOWN_MAX_WAIT_SECONDS": "60"}
    with (
        Simulator.start(rate=0, seed=7, habits=habits) as simulator,
        Engine(database_url, redis_url, simulator, folder, **settings) as made,
    ):
        _, address = made.start_web()
        url = f"{address}/webhooks/whatsapp"
        simulator.call_back(url, "secret", doubled=0.1, shuffled=0.2, early=0.1, batch=200)
        made.start("worker")
        made.start("steward")
        yield made


@pytest.fixture
def among_ordinary_people(database_url: str, redis_url: str, tmp_path: Path) -> Iterator[Engine]:
    """Everybody gets their message and reads it."""
    with alive(database_url, redis_url, tmp_path) as made:
        yield made


@pytest.fixture
def among_all_kinds_of_people(database_url: str, redis_url: str, tmp_path: Path) -> Iterator[Engine]:
    """People have habits."""
    with alive(database_url, redis_url, tmp_path, habits=HABITS) as made:
        yield made


def assert_agreed(engine: Engine, broadcast_id: int) -> dict[str, int]:
    """Counters = rows = what the simulator has seen acknowledged, delivered and read included."""
    engine.simulator.wait_until_told()

    def is_applied() -> bool:
        statuses = assert_counters_equal_rows(engine.database_url, broadcast_id).statuses
        told = engine.simulator.acknowledged()
        return all(statuses[kind] == told[kind] for kind in ("read", "delivered", "sent"))

    until(is_applied, seconds=20, what=f"books that agree: {engine.simulator.acknowledged()}")
    return dict(assert_counters_equal_rows(engine.database_url, broadcast_id).statuses)


async def test_a_lively_audience_ends_in_books_that_agree(
    engine: AsyncEngine, among_all_kinds_of_people: Engine
) -> None:
    clarion = among_all_kinds_of_people
    broadcast = await a_broadcast(engine, recipients=3_000)
    clarion.until_row(broadcast.id, lambda row: row["run_epoch"] > 0 and row["lease_holder"] is None)
    statuses = assert_agreed(clarion, broadcast.id)
    simulator = clarion.simulator
    assert simulator.most_messages_to_one_person() == 1
    assert statuses["failed"] + statuses["queued"] == simulator.acknowledged()["failed"]
    assert statuses["queued"] == sum(entry.get("code") == 131049 for entry in simulator.statuses())
    row = clarion.row(broadcast.id)
    assert row["status"] == "queued"  # whoever has had enough marketing for today is tried again tomorrow
    assert row["replied_count"] > 0


async def test_with_evidence_a_lost_answer_costs_nobody_their_message(
    engine: AsyncEngine, among_ordinary_people: Engine
) -> None:
    """One request in a hundred is lost before WhatsApp took it, and of one in a hundred only the answer is."""
    clarion = among_ordinary_people
    clarion.simulator.faults(drop=0.01, lose=0.01)
    broadcast = await a_broadcast(engine, recipients=2_000)
    clarion.until_row(broadcast.id, lambda row: row["processed_count"] + row["unknown_count"] == 2_000)
    clarion.simulator.faults()
    row = clarion.until_row(broadcast.id, lambda row: row["status"] == "completed", seconds=120)
    assert row["sent_count"] == 2_000
    assert_agreed(clarion, broadcast.id)
    assert clarion.simulator.most_messages_to_one_person() == 1
    assert clarion.simulator.summary()["unique_people"] == 2_000


async def test_the_messaging_limit_pauses_before_whatsapp_refuses_and_goes_on_as_the_day_moves(
    engine: AsyncEngine, among_ordinary_people: Engine
) -> None:
    clarion = among_ordinary_people
    tenant = await a_business(engine)
    clarion.execute("UPDATE businesses SET messaging_limit = 250")
    broadcast = await a_broadcast(engine, recipients=400, tenant=tenant)
    row = clarion.until_row(broadcast.id, lambda row: row["status"] == "paused")
    assert (row["pause_reason"], row["sent_count"]) == ("messaging_limit", 250)
    left_in_hours = (row["resume_at"] - datetime.now(UTC)).total_seconds() / 3600
    assert 23.9 < left_in_hours <= 24
    assert clarion.simulator.summary()["accepted"] == 250

    # A day goes by.
    clarion.execute(
        "UPDATE whatsapp_broadcast_recipients SET sent_at = sent_at - interval '1 day',"
        " claimed_at = claimed_at - interval '1 day'"
    )
    clarion.execute("UPDATE whatsapp_broadcasts SET resume_at = now()")
    assert clarion.until_ended(broadcast.id)["status"] == "completed"
    assert clarion.simulator.most_messages_to_one_person() == 1
