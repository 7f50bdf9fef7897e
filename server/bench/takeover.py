"""Taking over after a crash: a run is killed with SIGKILL, and the next finds what it left in flight.

The wait for the lease is left out; it is a setting. The ceiling is a bare UPDATE of as many rows by their keys.
"""

import asyncio
import statistics
import time
from collections.abc import Sequence
from typing import Final

import psycopg

from server.bench.bare import sink_process
from server.bench.claim import LEASE_SECONDS
from server.bench.measurement import Measurement
from server.bench.runs import running
from server.bench.workshop import Workshop
from server.database import async_engine
from server.services import leases

_SENDING: Final = """
    SELECT id FROM whatsapp_broadcast_recipients WHERE broadcast_id = %s AND status = 'sending'
"""
_BARE: Final = """
    UPDATE whatsapp_broadcast_recipients SET status = 'sending' WHERE broadcast_id = %s AND id = ANY(%s)
"""
_GIVEN_BACK: Final = "UPDATE whatsapp_broadcasts SET status = 'queued', lease_holder = NULL WHERE id = %s"


def run(shop: Workshop, *, people: int, kills: int) -> list[Measurement]:
    """Recipients a second that were in flight and are accounted for, ours and bare; medians over so many kills."""
    broadcast_id = shop.broadcast(people)
    found: list[tuple[int, float, float]] = []
    with sink_process() as sink:
        while len(found) < kills:
            with running(shop, broadcast_id, sink):
                pass
            if in_flight := _in_flight(shop, broadcast_id):  # a kill may fall between two claims
                bare = _bare(shop, broadcast_id, in_flight)
                found.append((len(in_flight), asyncio.run(take_over(shop, broadcast_id)), bare))
            with psycopg.connect(shop.database_url, autocommit=True) as connection:
                connection.execute(_GIVEN_BACK, (broadcast_id,))
    counts, ours, bare_seconds = (list(column) for column in zip(*found, strict=True))
    in_the_middle = statistics.median(counts)
    remark = (
        f"{people:,} people, SIGKILL with {' '.join(map(str, counts))} in flight; "
        f"half take {1000 * statistics.median(ours):.1f} ms, the longest {1000 * max(ours):.1f} ms"
    )
    rates = [in_the_middle / statistics.median(seconds) for seconds in (ours, bare_seconds)]
    return [Measurement("take over", rates[0], "recipients/s", rates[1], remark)]


async def take_over(shop: Workshop, broadcast_id: int) -> float:
    """Seconds until the lease of a dead runner is somebody else's and what it left is accounted for."""
    async with async_engine(shop.database_url) as engine:
        async with engine.connect():  # the connection is there already
            pass
        began = time.perf_counter()
        async with engine.begin() as connection:
            lease = await leases.take(connection, broadcast_id, LEASE_SECONDS)
        seconds = time.perf_counter() - began
    if lease is None:
        raise RuntimeError("the lease could not be taken")
    return seconds


def _in_flight(shop: Workshop, broadcast_id: int) -> Sequence[int]:
    with psycopg.connect(shop.database_url) as connection:
        return [recipient_id for (recipient_id,) in connection.execute(_SENDING, (broadcast_id,))]


def _bare(shop: Workshop, broadcast_id: int, ids: Sequence[int]) -> float:
    with psycopg.connect(shop.database_url, autocommit=True) as connection:
        began = time.perf_counter()
        connection.execute(_BARE, (broadcast_id, list(ids)))
        return time.perf_counter() - began
