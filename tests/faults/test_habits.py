"""People of every habit over a bad network: nobody twice, nobody missed, and every row is what its person did."""

from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.faults.lively import run_lively


@pytest.mark.timeout(600)
async def test_two_thousand_people_of_every_habit(
    engine: AsyncEngine, database_url: str, redis_url: str, tmp_path: Path
) -> None:
    await run_lively(engine, database_url, redis_url, tmp_path, people=2_000, seconds=180)
