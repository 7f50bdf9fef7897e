"""What tests of services share."""

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.support.world import World, a_world


@pytest.fixture
async def world(engine: AsyncEngine, database_url: str) -> World:
    """Three people were sent to: `wamid.0` to `wamid.2`."""
    return await a_world(engine, database_url, people=3)
