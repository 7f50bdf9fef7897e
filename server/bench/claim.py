"""Claim and record alone: what the ledger does for each recipient, without any HTTP.

The ceiling is two bare UPDATEs of the same rows, committed as often: one that says `sending` and gives the people, and
one that says `sent`. It guards nothing, counts nothing and moves no cursor. One connection, one batch after the other.
"""

import asyncio
import time
from typing import Final

from server.bench.measurement import Measurement
from server.bench.workshop import Workshop
from server.database import async_engine, plain_connection
from server.domain.states import RecipientStatus
from server.services import leases
from server.services.ledger import Claimed, Ledger, Pace, Result, RunKey

BATCH: Final = 500
LEASE_SECONDS: Final = 300.0
_PACE: Final = Pace(1.0, "nothing")
_FIRST: Final = "SELECT min(id) FROM whatsapp_broadcast_recipients WHERE broadcast_id = %s"
_BARE_CLAIM: Final = """
    UPDATE whatsapp_broadcast_recipients SET status = 'sending', attempts = attempts + 1
     WHERE broadcast_id = %s AND id >= %s AND id < %s RETURNING id, phone, variables
"""
_BARE_RECORD: Final = """
    UPDATE whatsapp_broadcast_recipients SET status = 'sent', message_id = 'wamid.' || id, sent_at = clock_timestamp()
     WHERE broadcast_id = %s AND id >= %s AND id < %s
"""


def run(shop: Workshop, *, people: int) -> list[Measurement]:
    """Recipients a second, ours and bare."""
    ours = asyncio.run(_ours(shop, shop.broadcast(people)))
    bare = asyncio.run(_bare(shop, shop.broadcast(people, status="draft"), people))
    remark = f"{people:,} people in batches of {BATCH}, each step committed"
    return [Measurement("claim and record", people / ours, "recipients/s", people / bare, remark)]


async def _ours(shop: Workshop, broadcast_id: int) -> float:
    run_key = await take_lease(shop, broadcast_id)
    async with await plain_connection(shop.database_url) as connection:
        ledger = Ledger(connection, run_key)
        began = time.perf_counter()
        while await go_on(ledger, BATCH):
            pass
        return time.perf_counter() - began


async def take_lease(shop: Workshop, broadcast_id: int) -> RunKey:
    """Become the runner of a broadcast that waits."""
    async with async_engine(shop.database_url) as engine, engine.begin() as connection:
        lease = await leases.take(connection, broadcast_id, LEASE_SECONDS)
    assert lease is not None
    return RunKey(broadcast_id, shop.business_id, lease.epoch)


async def go_on(ledger: Ledger, wanted: int) -> bool:
    """Claim so many and record that each was accepted. False: nobody is left."""
    claimed = await ledger.claim(wanted)
    if not claimed:
        return False
    await ledger.record([_accepted(one) for one in claimed], _PACE, claimed[-1].id)
    return True


def _accepted(one: Claimed) -> Result:
    return Result(one.id, one.claim_number, RecipientStatus.SENT, f"wamid.{one.id:016d}")


async def _bare(shop: Workshop, broadcast_id: int, people: int) -> float:
    async with await plain_connection(shop.database_url) as connection, connection.cursor(binary=True) as cursor:
        await cursor.execute(_FIRST, (broadcast_id,))
        (first,) = await cursor.fetchone() or (0,)
        began = time.perf_counter()
        for start in range(first, first + people, BATCH):
            which = (broadcast_id, start, start + BATCH)
            await cursor.execute(_BARE_CLAIM, which, prepare=True)
            await cursor.fetchall()
            await cursor.execute(_BARE_RECORD, which, prepare=True)
        return time.perf_counter() - began
