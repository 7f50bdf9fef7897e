"""Who chose a rate keeps it; everybody else's follows what WhatsApp says; the history tells of each change."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from psycopg import sql
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from server.database import plain_connection
from server.domain.errors import NotFound, StateDoesNotAllow
from server.domain.states import Actor
from server.services import channels, rates
from server.services.channels import NewChannel
from server.services.signals import CONTROL_CHANNEL
from tests.support.builders import VAULT, WABA_ID, Made, Tenant, a_broadcast, a_business

NUMBER = "106540352242900"


@pytest.fixture
async def heard(database_url: str) -> AsyncIterator[asyncio.Queue[str]]:
    """What the runners hear."""
    said: asyncio.Queue[str] = asyncio.Queue()

    async def listen() -> None:
        async for notice in connection.notifies():
            said.put_nowait(notice.payload)

    async with await plain_connection(database_url) as connection:
        await connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(CONTROL_CHANNEL)))
        listener = asyncio.create_task(listen())
        yield said
        listener.cancel()
        await asyncio.gather(listener, return_exceptions=True)


async def rate_of(engine: AsyncEngine, channel_id: int) -> tuple[int, bool]:
    """Messages per second of a number, and whether somebody chose them."""
    async with engine.connect() as connection:
        row = await connection.execute(
            text("SELECT rate_per_second, rate_is_chosen FROM channels WHERE id = :id"), {"id": channel_id}
        )
        return tuple(row.one())


async def add(engine: AsyncEngine, tenant: Tenant, rate: int | None) -> int:
    """Set a number up, or again."""
    async with engine.begin() as connection:
        new = NewChannel(NUMBER, WABA_ID, "token", "secret", "verify", rate)
        return await channels.add(connection, VAULT, tenant.business_id, new)


async def says(engine: AsyncEngine, tenant: Tenant, channel_id: int, rate: int) -> None:
    """WhatsApp says how fast a number may send."""
    async with engine.begin() as connection:
        await rates.follow_number(connection, tenant.business_id, channel_id, rate)


async def test_a_rate_that_nobody_chose_follows_whatsapp_and_one_that_somebody_chose_stays(engine: AsyncEngine) -> None:
    tenant = await a_business(engine)
    channel_id = await add(engine, tenant, None)
    assert await rate_of(engine, channel_id) == (80, False)
    await says(engine, tenant, channel_id, 1000)
    assert await rate_of(engine, channel_id) == (1000, False)
    await add(engine, tenant, None)  # its token was renewed
    assert await rate_of(engine, channel_id) == (1000, False)
    await add(engine, tenant, 80)
    await says(engine, tenant, channel_id, 1000)
    assert await rate_of(engine, channel_id) == (80, True)
    await add(engine, tenant, None)
    assert await rate_of(engine, channel_id) == (80, True)


async def test_what_whatsapp_says_of_a_number_changes_no_other(engine: AsyncEngine) -> None:
    tenant, other = await a_business(engine), await a_business(engine, "Other")
    channel_id = await add(engine, tenant, None)
    await says(engine, other, channel_id, 1000)
    assert await rate_of(engine, channel_id) == (80, False)
    await says(engine, tenant, tenant.channel_id, 1000)
    assert await rate_of(engine, channel_id) == (80, False)


async def test_a_run_is_told_of_another_rate_of_its_number(engine: AsyncEngine, heard: asyncio.Queue[str]) -> None:
    tenant = await a_business(engine)
    channel_id = await add(engine, tenant, None)
    tenant = Tenant(tenant.business_id, channel_id)
    runs = await a_broadcast(engine, recipients=1, status="running", tenant=tenant)
    await a_broadcast(engine, recipients=1, status="paused", tenant=tenant)
    await says(engine, tenant, channel_id, 1000)
    assert await asyncio.wait_for(heard.get(), 10) == str(runs.id)
    await says(engine, tenant, channel_id, 1000)  # nothing new
    await add(engine, tenant, 500)
    assert await asyncio.wait_for(heard.get(), 10) == str(runs.id)
    assert heard.empty()


async def limit(engine: AsyncEngine, broadcast: Made, rate: int | None) -> None:
    """A person changes the rate of a broadcast."""
    async with engine.begin() as connection:
        await rates.limit(connection, broadcast.id, rate, by=Actor.USER)


async def test_the_history_tells_who_changed_the_rate_of_a_broadcast_and_what_it_was(engine: AsyncEngine) -> None:
    broadcast = await a_broadcast(engine, recipients=1, status="running")
    await limit(engine, broadcast, 40)
    await limit(engine, broadcast, 40)  # asking twice is asking once
    await limit(engine, broadcast, None)
    async with engine.connect() as connection:
        rows = await connection.execute(
            text("SELECT actor, move, from_status, to_status, detail FROM broadcast_events ORDER BY id")
        )
        assert [tuple(row) for row in rows] == [
            ("user", "rate", "running", "running", "The rate was the number's own and is 40 a second."),
            ("user", "rate", "running", "running", "The rate was 40 a second and is the number's own."),
        ]


@pytest.mark.parametrize("status", ["completed", "partial", "failed", "cancelled", "settling"])
async def test_a_broadcast_that_sends_nothing_more_has_no_rate_to_change(engine: AsyncEngine, status: str) -> None:
    broadcast = await a_broadcast(engine, recipients=1, status=status)
    with pytest.raises(StateDoesNotAllow, match=f"that is {status} cannot have another rate"):
        await limit(engine, broadcast, 40)
    with pytest.raises(NotFound):
        await limit(engine, Made(999, 1), 40)
