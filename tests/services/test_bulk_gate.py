"""One bulk operation at a time for each business."""

import subprocess
import sys

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from server.domain.errors import LimitReached
from server.services.bulk_gate import BulkGate
from tests.support.builders import a_business

TAKE_IN_ANOTHER_PROCESS = """
import asyncio, sys
from server.database import async_engine
from server.services.bulk_gate import BulkGate
async def main(url, business_id):
    async with async_engine(url) as engine, engine.begin() as connection:
        print(await BulkGate(business_id).take(connection, 99, 30))
asyncio.run(main(sys.argv[1], int(sys.argv[2])))
"""


def take_in_another_process(database_url: str, business_id: int) -> str:
    """What somebody else gets from the gate: a fencing token, or None."""
    command = [sys.executable, "-c", TAKE_IN_ANOTHER_PROCESS, database_url, str(business_id)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


async def test_the_gate_lets_one_through_and_the_next_when_it_opens(engine: AsyncEngine, database_url: str) -> None:
    tenant = await a_business(engine)
    gate = BulkGate(tenant.business_id)
    async with engine.begin() as connection:
        assert await gate.take(connection, 1, 30) == 1
    assert take_in_another_process(database_url, tenant.business_id) == "None"
    assert gate.release(database_url)
    assert take_in_another_process(database_url, tenant.business_id) == "2"


async def test_only_the_holder_can_release_the_gate(engine: AsyncEngine, database_url: str) -> None:
    tenant = await a_business(engine)
    assert take_in_another_process(database_url, tenant.business_id) == "1"
    assert not BulkGate(tenant.business_id).release(database_url)


async def test_a_gate_whose_holder_died_opens_when_its_time_is_over(engine: AsyncEngine, database_url: str) -> None:
    tenant = await a_business(engine)
    take_in_another_process(database_url, tenant.business_id)
    async with engine.begin() as connection:
        assert await BulkGate(tenant.business_id).take(connection, 1, 30) is None
        await connection.execute(text("UPDATE bulk_gates SET expires_at = now() - interval '1 second'"))
        assert await BulkGate(tenant.business_id).take(connection, 1, 30) == 2


async def test_businesses_do_not_wait_for_one_another(engine: AsyncEngine, database_url: str) -> None:
    first, second = await a_business(engine, "First"), await a_business(engine, "Second")
    take_in_another_process(database_url, first.business_id)
    async with engine.begin() as connection:
        assert await BulkGate(second.business_id).take(connection, 1, 30) == 1


async def test_too_many_starts_in_a_minute_are_refused(engine: AsyncEngine) -> None:
    tenant = await a_business(engine)
    async with engine.begin() as connection:
        for _ in range(3):
            await BulkGate(tenant.business_id).count_start(connection, 3)
        with pytest.raises(LimitReached, match="3 broadcasts within a minute"):
            await BulkGate(tenant.business_id).count_start(connection, 3)
        await connection.execute(text("UPDATE bulk_gates SET window_started_at = now() - interval '61 seconds'"))
        await BulkGate(tenant.business_id).count_start(connection, 3)
