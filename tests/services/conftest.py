"""What tests of services share."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from psycopg import AsyncConnection
from sqlalchemy.ext.asyncio import AsyncEngine

from server.database import plain_connection
from server.services.ledger import Ledger, RunKey
from tests.support.world import World, a_world

LedgerOf = Callable[[RunKey], Awaitable[Ledger]]


@pytest.fixture
async def world(engine: AsyncEngine, database_url: str) -> World:
    """Three people were sent to: `wamid.0` to `wamid.2`."""
    return await a_world(engine, database_url, people=3)


@pytest.fixture
async def ledger_of(database_url: str) -> AsyncIterator[LedgerOf]:
    """Makes the ledger of a run."""
    made: list[AsyncConnection[Any]] = []

    async def make(run: RunKey) -> Ledger:
        made.append(await plain_connection(database_url))
        return Ledger(made[-1], run)

    yield make
    for connection in made:
        await connection.close()
