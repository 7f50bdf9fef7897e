"""The curve of a broadcast: from nothing at its start to what its row says now, whatever was sampled in between."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from server.models import WhatsAppBroadcast
from server.services import samples
from server.services.samples import Sample
from tests.support.builders import Made, a_broadcast, a_run


async def count(engine: AsyncEngine, broadcast: Made, **counters: int | str | datetime) -> None:
    """What a run or a report has written into the row."""
    statement = update(WhatsAppBroadcast).where(WhatsAppBroadcast.id == broadcast.id)
    async with engine.begin() as connection:
        await connection.execute(statement.values(**counters))


async def curve(engine: AsyncEngine, broadcast: Made) -> list[Sample]:
    async with engine.connect() as connection:
        return await samples.of_broadcast(connection, broadcast.id)


async def sample(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        await samples.take(connection)


async def test_what_has_not_started_has_no_curve(engine: AsyncEngine) -> None:
    assert await curve(engine, await a_broadcast(engine, recipients=2)) == []


async def test_it_begins_with_nothing_at_the_start_and_ends_with_the_row_however_old_the_last_sample_is(
    engine: AsyncEngine,
) -> None:
    broadcast = await a_broadcast(engine, recipients=2_000)
    await a_run(engine, broadcast)
    await count(engine, broadcast, sent_count=600)
    await sample(engine)
    await count(engine, broadcast, sent_count=700, delivered_count=650)
    grown = await curve(engine, broadcast)
    assert [point[1:] for point in grown] == [(0, 0, 0, 0), (600, 0, 0, 0), (700, 650, 0, 0)]
    assert [point.at for point in grown] == sorted(point.at for point in grown)
    async with engine.connect() as connection:
        assert grown[0].at == await connection.scalar(
            select(WhatsAppBroadcast.started_at).where(WhatsAppBroadcast.id == broadcast.id)
        )


async def test_what_has_ended_stands_still_until_somebody_reports_more(engine: AsyncEngine) -> None:
    broadcast = await a_broadcast(engine, recipients=2)
    await a_run(engine, broadcast)
    await count(engine, broadcast, sent_count=2)
    await sample(engine)
    await count(engine, broadcast, status="completed")
    ended = await curve(engine, broadcast)
    assert await curve(engine, broadcast) == ended
    await count(engine, broadcast, delivered_count=2)
    assert [point[1:] for point in await curve(engine, broadcast)] == [*(point[1:] for point in ended), (2, 2, 0, 0)]


async def test_a_report_long_after_the_end_does_not_stretch_the_curve_to_this_day(engine: AsyncEngine) -> None:
    broadcast = await a_broadcast(engine, recipients=2)
    await a_run(engine, broadcast)
    long_ago = datetime.now(UTC) - timedelta(days=30)
    await count(engine, broadcast, status="completed", started_at=long_ago, completed_at=long_ago, sent_count=2)
    grown = await curve(engine, broadcast)
    assert [point[1:] for point in grown] == [(0, 0, 0, 0), (2, 0, 0, 0)]
    assert grown[-1].at <= long_ago + timedelta(minutes=10)
