"""When a run that was held goes on by itself."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from server.domain.states import PauseReason
from server.services import holds
from server.services.run_control import Cause, Stop


class _Behind(datetime):
    """The clock of a process that is an hour late."""

    @classmethod
    def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
        return datetime.now(UTC) - timedelta(hours=1)


async def test_it_goes_on_by_the_clock_that_the_steward_goes_by(
    engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the other one it would be due at once, stop again, and so on for an hour."""
    monkeypatch.setattr(holds, "datetime", _Behind)
    before = datetime.now(UTC)
    stop = Stop(Cause.HELD, PauseReason.LOCAL_TIME, "It is early.", 600.0)
    found = await holds.goes_on_at(engine, 1, 10, stop)
    assert found is not None
    assert found >= before + timedelta(minutes=10)
    stop = Stop(Cause.HELD, PauseReason.FAILURES, "A person has to look.")
    assert await holds.goes_on_at(engine, 1, 10, stop) is None
