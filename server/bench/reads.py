"""Looking at a broadcast over HTTP while one is sent, with many recipients in the table.

The web process is asked at an even pace, as pages and scripts ask it; an answer's time is counted from when its request
was due. The ceiling is the same loop against a route that asks nothing of the database.
"""

import asyncio
import time
from typing import Final, NamedTuple

import uvloop
from pyreqwest.client import ClientBuilder

from server.bench.bare import sink_process
from server.bench.measurement import Measurement
from server.bench.runs import running
from server.bench.web import web_process
from server.bench.workshop import Workshop
from server.database import async_engine
from server.services import accounts

READS_PER_SECOND: Final = 200
SENT_PER_SECOND: Final = 1_000  # what WhatsApp gives a number at most
SECONDS: Final = 10
CONNECTIONS: Final = 16


class Waits(NamedTuple):
    """How long answers took at an even pace, in milliseconds: half of them, and all but one in a hundred."""

    half: float
    p99: float


def run(shop: Workshop, *, people: int, seconds: float = SECONDS) -> list[Measurement]:
    """`GET /broadcasts/{id}`: answers a second, and their p99 at an even pace. people: recipients in the table."""
    shop.broadcast(people, status="settling")
    key = asyncio.run(api_key(shop))
    broadcast_id = shop.broadcast(round(SENT_PER_SECOND * (seconds + 10)), rate=SENT_PER_SECOND)
    with sink_process() as sink, web_process() as address, running(shop, broadcast_id, sink):
        url = f"{address}/api/whatsapp/broadcasts/{broadcast_id}"
        waits = even_paced(url, key, seconds * 0.6, READS_PER_SECOND)
        most = len(uvloop.run(_ask(url, key, seconds * 0.2))) / (seconds * 0.2)
        bare = len(uvloop.run(_ask(f"{address}/healthz", key, seconds * 0.2))) / (seconds * 0.2)
    remark = (
        f"{people:,} recipients in the table, {SENT_PER_SECOND:,}/s being sent; "
        f"at {READS_PER_SECOND}/s half take {waits.half:.1f} ms, p99 {waits.p99:.1f} ms"
    )
    return [Measurement("read a broadcast", most, "answers/s", bare, remark)]


async def api_key(shop: Workshop) -> str:
    """A key that may look at the business's broadcasts."""
    async with async_engine(shop.database_url) as engine, engine.begin() as connection:
        return await accounts.create_api_key(connection, shop.business_id, "bench")


def even_paced(url: str, key: str, seconds: float, rate: float) -> Waits:
    """How long answers take to so many requests a second."""
    uvloop.run(_ask(url, key, 0.5))  # the first requests make connections and import what they need
    waits = sorted(uvloop.run(_ask(url, key, seconds, rate)))
    return Waits(*(1000 * waits[int(len(waits) * share)] for share in (0.5, 0.99)))


async def _ask(url: str, key: str, seconds: float, rate: float | None = None) -> list[float]:
    """How long each answer took, in seconds. rate: requests a second; None for as many as can be."""
    waits: list[float] = []
    async with ClientBuilder().no_proxy().default_headers({"authorization": f"Bearer {key}"}).build() as client:
        started = time.perf_counter()
        due = iter(range(round(rate * seconds))) if rate else None

        async def ask() -> None:
            while time.perf_counter() < started + seconds:
                began = time.perf_counter()
                if due is not None and rate is not None:
                    number = next(due, None)
                    if number is None:
                        return
                    began = started + number / rate
                    await asyncio.sleep(max(began - time.perf_counter(), 0))
                response = await client.get(url).build().send()
                if response.status != 200:
                    raise RuntimeError(f"the web process answered {response.status}")
                await response.bytes()
                waits.append(time.perf_counter() - began)

        await asyncio.gather(*(ask() for _ in range(CONNECTIONS)))
    return waits
