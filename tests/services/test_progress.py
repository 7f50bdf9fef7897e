"""Watching broadcasts: whoever watches hears of changes, and many cost what one costs."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncEngine

from server.services.progress import ProgressHub, snapshot
from tests.support.builders import Made, a_broadcast

WATCHERS = 100


@pytest.fixture
async def broadcast(engine: AsyncEngine) -> Made:
    return await a_broadcast(engine, 3)


@pytest.fixture
async def hub(engine: AsyncEngine) -> AsyncIterator[ProgressHub]:
    made = ProgressHub(engine)
    yield made
    await made.close()


async def rename(engine: AsyncEngine, broadcast_id: int, name: str) -> None:
    async with engine.begin() as connection:
        await connection.execute(
            text("UPDATE whatsapp_broadcasts SET name = :name WHERE id = :id"), {"name": name, "id": broadcast_id}
        )


async def test_all_who_watch_hear_of_a_change_and_cost_one_query_a_look(
    engine: AsyncEngine, hub: ProgressHub, broadcast: Made
) -> None:
    asked: list[str] = []
    event.listen(engine.sync_engine, "before_cursor_execute", lambda *a: asked.append(a[2]))
    async with AsyncExitStack() as stack:
        watchers = [await stack.enter_async_context(hub.watch(broadcast.id)) for _ in range(WATCHERS)]
        await asyncio.gather(*(watcher.changed.wait() for watcher in watchers))  # the present state
        for watcher in watchers:
            watcher.changed.clear()
        looks_before = len(asked)
        await rename(engine, broadcast.id, "Renamed")
        await asyncio.gather(*(watcher.changed.wait() for watcher in watchers))
    assert {watcher.latest.shown["name"] for watcher in watchers if watcher.latest} == {"Renamed"}
    assert looks_before < WATCHERS / 10
    assert len(asked) < WATCHERS / 5


async def test_nothing_is_asked_once_nobody_watches(engine: AsyncEngine, hub: ProgressHub, broadcast: Made) -> None:
    async with hub.watch(broadcast.id) as watcher:
        await watcher.changed.wait()
    looking = hub.looking
    assert looking is not None
    await looking
    async with hub.watch(broadcast.id) as watcher:
        await watcher.changed.wait()
        assert watcher.latest is not None


async def test_who_watches_what_is_deleted_is_sent_away(engine: AsyncEngine, hub: ProgressHub, broadcast: Made) -> None:
    async with hub.watch(broadcast.id) as watcher:
        await watcher.changed.wait()
        watcher.changed.clear()
        async with engine.begin() as connection:
            await connection.execute(text("DELETE FROM whatsapp_broadcasts"))
        await watcher.changed.wait()
        assert watcher.is_over


def test_a_state_has_one_name_whatever_the_clock_says() -> None:
    shown: dict[str, Any] = {"id": 1, "status": "running", "sent_count": 3, "eta": "2026-01-01T00:00:00Z"}
    assert snapshot(shown).version == snapshot({**shown, "eta": None}).version
    assert snapshot(shown).version != snapshot({**shown, "sent_count": 4}).version
