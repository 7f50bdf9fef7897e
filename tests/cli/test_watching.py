"""When a watcher has seen enough, and what it sees that the row does not say."""

import asyncio
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from server.cli.watch import live, watch
from tests.support.builders import Made, a_broadcast, a_run, run_out_of_lease

Look = Callable[[str, int, Callable[[], None]], dict[str, Any]]


def _then(database_url: str, status: str, broadcast: Made) -> Callable[[], None]:
    """Let the broadcast come into this status while somebody watches."""

    def make() -> None:
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute("UPDATE whatsapp_broadcasts SET status = %s WHERE id = %s", (status, broadcast.id))

    return make


@pytest.mark.parametrize(("look_on", "seen"), [(watch, "settling"), (live, "partial")])
async def test_a_command_leaves_while_it_settles_and_the_demo_stays(
    engine: AsyncEngine, database_url: str, look_on: Look, seen: str
) -> None:
    broadcast = await a_broadcast(engine, 3, status="settling")
    end = _then(database_url, "partial", broadcast)
    shown = await asyncio.to_thread(look_on, database_url, broadcast.id, end)
    assert shown["status"] == seen


async def test_the_watcher_sees_that_a_lease_has_run_out(
    engine: AsyncEngine, database_url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.cli.watch.SAY_EVERY_SECONDS", 0.0)
    broadcast = await a_broadcast(engine, 3)
    await a_run(engine, broadcast)
    async with engine.begin() as connection:
        await run_out_of_lease(connection, broadcast.id)
    await asyncio.to_thread(watch, database_url, broadcast.id, _then(database_url, "cancelled", broadcast))
    said = capsys.readouterr().err
    assert "0 of 3: running: its worker is gone, waiting for another to take over" in said
    assert f"Broadcast {broadcast.id} is cancelled" in said
