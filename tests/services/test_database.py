"""Connections out of the pool answer, whatever has become of the server meanwhile."""

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from server import database
from server.database import async_engine

_PID = text("SELECT pg_backend_pid()")
_END = text("SELECT pg_terminate_backend(:pid, 5000)")


async def _ended(engine: AsyncEngine, database_url: str) -> int:
    """The backend of the pool's one connection, which the server has ended."""
    async with engine.connect() as connection:
        pid = int(await connection.scalar(_PID) or 0)
    async with async_engine(database_url) as other, other.connect() as connection:
        assert await connection.scalar(_END, {"pid": pid})
    return pid


async def test_a_connection_that_was_closed_while_it_was_idle_is_made_anew(
    engine: AsyncEngine, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "IDLE_SECONDS", 0.0)
    ended = await _ended(engine, database_url)
    async with engine.connect() as connection:
        assert await connection.scalar(_PID) != ended


async def test_one_that_was_closed_right_after_its_use_fails_once(engine: AsyncEngine, database_url: str) -> None:
    ended = await _ended(engine, database_url)
    with pytest.raises(DBAPIError):
        async with engine.connect() as connection:
            await connection.execute(_PID)
    async with engine.connect() as connection:
        assert await connection.scalar(_PID) != ended
