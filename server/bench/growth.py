"""How cost grows with the audience: the same work on one broadcast to ten thousand people, and so on to ten million.

What happens while a broadcast is sent, watched, taken over or stopped must not grow with it: a claim and its record, a
look at the broadcast over HTTP while it runs, a page of its people, a take-over. What concerns everybody may: making
them, the pre-flight, a cancel by the number of those who are left, and a page of people that are not to be found.

Each audience stays in the table for the next. `needed_bytes` says how much disk all of it takes at most; it is looked
for before anything begins, and all of it is deleted at the end.
"""

import asyncio
import itertools
import shutil
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from server.bench.audience import Audience, make
from server.bench.bare import sink_process
from server.bench.claim import go_on, take_lease
from server.bench.reads import Waits, api_key, even_paced
from server.bench.runs import running
from server.bench.takeover import take_over
from server.bench.web import web_process
from server.bench.workshop import Workshop, workshop
from server.database import async_engine, plain_connection
from server.domain.errors import StorageFull
from server.domain.states import Actor
from server.logs import configure_logs
from server.services import broadcasts, preflight, recipients
from server.services.ledger import Ledger

LEAST: Final = 10_000
MOST: Final = 10_000_000
BATCH: Final = 100
BATCHES: Final = 20
PAGE: Final = 100
PAGES: Final = 5
SENT_PER_SECOND: Final = 80  # what WhatsApp gives a number
READS_PER_SECOND: Final = 100
SECONDS: Final = 10.0
# Rows with their indexes, and what PostgreSQL keeps beside them: its log (2 GB, and some more under such a load).
BYTES_EACH: Final = 800
BYTES_BESIDE: Final = 4_000_000_000


@dataclass(frozen=True, slots=True)
class Grown:
    """What it costs with one broadcast to so many people. Milliseconds, but for `made_seconds` and the cancel.

    batch: claim and record of a hundred, the middle of twenty. read, read_p99: `GET /broadcasts/{id}` while it runs.
    page, page_of_none: a hundred people from the middle; those who failed, of whom there are none.
    """

    people: int
    made_seconds: float
    megabytes: float
    batch_ms: float
    read_ms: float
    read_p99_ms: float
    page_ms: float
    page_of_none_ms: float
    take_over_ms: float
    preflight_ms: float
    cancel_us_each: float


def audiences(most: int) -> list[int]:
    """Powers of ten from ten thousand up to `most`, and `most` itself."""
    powers = (LEAST * 10**exponent for exponent in itertools.count())
    return [*itertools.takewhile(lambda people: people < most, powers), most]


def needed_bytes(most: int) -> int:
    """Disk that an experiment up to so many people takes at most."""
    return sum(audiences(most)) * BYTES_EACH + BYTES_BESIDE


def run(*, most: int, seconds: float = SECONDS) -> Iterator[Grown]:
    """Each audience as it is done. seconds: for how long a broadcast is looked at. Raises `StorageFull` beforehand."""
    free = shutil.disk_usage(tempfile.gettempdir()).free
    if free < needed_bytes(most):
        raise StorageFull(
            f"This takes up to {needed_bytes(most) / 1e9:.0f} GB in {tempfile.gettempdir()}, which has "
            f"{free / 1e9:.0f} GB. Choose fewer people with --most, or another folder with TMPDIR."
        )
    configure_logs("json", level=30)
    with workshop() as shop, sink_process() as sink, web_process() as address:
        key = asyncio.run(api_key(shop))
        for people in audiences(most):
            audience = make(shop, people, rate=SENT_PER_SECOND)
            url = f"{address}/api/whatsapp/broadcasts/{audience.broadcast_id}"
            preflight_ms = asyncio.run(_preflight(shop, audience))
            page_ms = asyncio.run(_page(shop, audience, None, audience.cursor - PAGE // 2))
            page_of_none_ms = asyncio.run(_page(shop, audience, "failed", 0))
            waits, take_over_ms = _watched_and_killed(shop, audience, sink, url, key, seconds)
            batch_ms = asyncio.run(_batch(shop, audience))
            yield Grown(
                people=people,
                made_seconds=audience.made_seconds,
                megabytes=audience.megabytes,
                batch_ms=batch_ms,
                read_ms=waits.half,
                read_p99_ms=waits.p99,
                page_ms=page_ms,
                page_of_none_ms=page_of_none_ms,
                take_over_ms=take_over_ms,
                preflight_ms=preflight_ms,
                cancel_us_each=asyncio.run(_cancel(shop, audience)),
            )


def times(first: Grown, last: Grown) -> dict[str, float]:
    """How many times the first the last one costs."""
    return {name: getattr(last, name) / max(getattr(first, name), 1e-9) for name in Grown.__dataclass_fields__}


Work = Callable[[AsyncConnection], Awaitable[object]]


async def _timed(shop: Workshop, work: Work, *, rounds: int = 1) -> float:
    """Milliseconds of some work in a transaction, the middle of the rounds; the connection is there already."""
    took = []
    async with async_engine(shop.database_url) as engine:
        async with engine.connect():
            pass
        for _ in range(rounds):
            began = time.perf_counter()
            async with engine.begin() as connection:
                await work(connection)
            took.append(1000 * (time.perf_counter() - began))
    return statistics.median(took)


async def _preflight(shop: Workshop, audience: Audience) -> float:
    async def inspect(connection: AsyncConnection) -> None:
        report = await preflight.inspect(connection, audience.broadcast_id, preflight.Outside())
        assert report.recipients == audience.waiting_count

    return await _timed(shop, inspect)


async def _page(shop: Workshop, audience: Audience, status: str | None, after_id: int) -> float:
    async def look(connection: AsyncConnection) -> None:
        await recipients.page(connection, audience.broadcast_id, status=status, after_id=after_id, limit=PAGE)

    return await _timed(shop, look, rounds=PAGES)


def _watched_and_killed(
    shop: Workshop, audience: Audience, sink: str, url: str, key: str, seconds: float
) -> tuple[Waits, float]:
    """Looked at while it is sent; then the run is killed, and another takes over."""
    with running(shop, audience.broadcast_id, sink):
        waits = even_paced(url, key, seconds, READS_PER_SECOND)
    return waits, 1000 * asyncio.run(take_over(shop, audience.broadcast_id))


async def _batch(shop: Workshop, audience: Audience) -> float:
    """Milliseconds to claim and record a hundred people, the middle of twenty."""
    took = []
    audience.end_lease(shop.database_url)
    run_key = await take_lease(shop, audience.broadcast_id)
    async with await plain_connection(shop.database_url) as connection:
        ledger = Ledger(connection, run_key)
        for _ in range(BATCHES):
            began = time.perf_counter()
            await go_on(ledger, BATCH)
            took.append(1000 * (time.perf_counter() - began))
    return statistics.median(took)


async def _cancel(shop: Workshop, audience: Audience) -> float:
    """Microseconds for each recipient who was left."""

    async def cancel(connection: AsyncConnection) -> None:
        await broadcasts.request_cancel(connection, audience.broadcast_id, by=Actor.USER)
        assert await broadcasts.finish_cancel(connection, audience.broadcast_id)

    left = audience.count("queued", shop.database_url)
    audience.end_lease(shop.database_url)
    return 1000 * await _timed(shop, cancel) / left
