"""Cancel: everybody who is left accounted for, beside the bare UPDATE of as many rows."""

import asyncio
import time

import psycopg

from server.bench.measurement import Measurement
from server.bench.workshop import Workshop
from server.database import async_engine
from server.domain.states import Actor
from server.services import broadcasts


def run(shop: Workshop, *, people: int) -> list[Measurement]:
    """Recipients per second, ours and bare."""
    ours = asyncio.run(_cancel(shop, shop.broadcast(people)))
    bare = _bare_update(shop, shop.broadcast(people, status="draft"))
    remark = f"{people:,} people in {ours:.1f} s"
    return [Measurement("cancel", people / ours, "recipients/s", people / bare, remark)]


async def _cancel(shop: Workshop, broadcast_id: int) -> float:
    async with async_engine(shop.database_url) as engine:
        began = time.perf_counter()
        async with engine.begin() as connection:
            await broadcasts.request_cancel(connection, broadcast_id, by=Actor.USER)
        async with engine.begin() as connection:
            assert await broadcasts.finish_cancel(connection, broadcast_id)
        return time.perf_counter() - began


def _bare_update(shop: Workshop, broadcast_id: int) -> float:
    began = time.perf_counter()
    with psycopg.connect(shop.database_url, autocommit=True) as connection:
        connection.execute(
            "UPDATE whatsapp_broadcast_recipients SET status = 'cancelled' WHERE broadcast_id = %s", (broadcast_id,)
        )
    return time.perf_counter() - began
