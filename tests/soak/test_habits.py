"""A hundred thousand people of every habit over a bad network, by `make soak`; a short one is in tests/faults."""

from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.faults.lively import run_lively


@pytest.mark.soak
@pytest.mark.timeout(7_200)
async def test_a_hundred_thousand_people_of_every_habit(
    engine: AsyncEngine, database_url: str, redis_url: str, tmp_path: Path
) -> None:
    tally = await run_lively(engine, database_url, redis_url, tmp_path, people=100_000, seconds=3_600)
    print(f"\n{tally}")  # noqa: T201 - the figures of a long run
