"""An engine for each test: simulator, database, queue, and processes that a test may start and kill."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.engine import Engine
from tests.support.simulator import Simulator


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    """A Cloud API of its own, without any limit of throughput."""
    with Simulator.start(rate=0) as started:
        yield started


@pytest.fixture
def clarion(database_url: str, redis_url: str, simulator: Simulator, tmp_path: Path) -> Iterator[Engine]:
    """The engine, with nothing running yet."""
    with Engine(database_url, redis_url, simulator, tmp_path) as made:
        yield made
