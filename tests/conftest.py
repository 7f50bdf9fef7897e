"""What all tests share: real servers for the session, a fresh database for each test."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import redis
from hypothesis import HealthCheck, settings
from sqlalchemy.ext.asyncio import AsyncEngine

from server.database import async_engine
from server.embedded import EmbeddedServers
from tests.support.databases import fresh_database, make_template, servers_folder

# The folders whose files take longest go first: of two processes none is left with a long one when the other is done.
LONGEST_FIRST = ("faults", "acceptance", "jobs", "browser", "api")
TESTS = Path(__file__).parent

# A machine that is busy with something else fails no property: none of them is about time.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort the tests for those who share them out file by file."""
    items.sort(key=_place)


def _place(item: pytest.Item) -> int:
    folder = item.path.relative_to(TESTS).parts[0]
    return LONGEST_FIRST.index(folder) if folder in LONGEST_FIRST else len(LONGEST_FIRST)


class Servers(NamedTuple):
    """The PostgreSQL and the Valkey of a test session."""

    database_url: str
    redis_url: str


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """Embedded PostgreSQL and Valkey in a folder of this session."""
    with servers_folder() as folder, EmbeddedServers(folder) as found:
        assert found.database_url
        assert found.redis_url
        make_template(found.database_url)
        yield Servers(found.database_url, found.redis_url)


@pytest.fixture
def database_url(servers: Servers) -> Iterator[str]:
    """A fresh, migrated database."""
    with fresh_database(servers.database_url) as url:
        yield url


@pytest.fixture
def empty_database_url(servers: Servers) -> Iterator[str]:
    """A fresh database without any table."""
    with fresh_database(servers.database_url, template="template1") as url:
        yield url


@pytest.fixture
def redis_url(servers: Servers) -> str:
    """The queue's server, emptied."""
    redis.Redis.from_url(servers.redis_url).flushdb()
    return servers.redis_url


@pytest.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    """SQLAlchemy over the test's database."""
    async with async_engine(database_url) as made:
        yield made
