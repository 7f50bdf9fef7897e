"""Connections to PostgreSQL: engines for SQLAlchemy, and plain psycopg connections for the ledger.

Nothing here is made at import: RQ forks its workers, and a connection must not live through a fork.
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import psycopg
from psycopg import AsyncConnection
from sqlalchemy import Engine, create_engine
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from server.domain.errors import DatabaseAway, StorageFull
from server.domain.sentences import said

CONNECT_TIMEOUT_SECONDS = 5


def sqlalchemy_url(database_url: str) -> str:
    """`postgresql://…` as SQLAlchemy wants it: with the driver named."""
    scheme, _, rest = database_url.partition("://")
    return f"postgresql+psycopg://{rest}" if scheme in ("postgresql", "postgres") else database_url


@contextmanager
def sync_engine(database_url: str) -> Iterator[Engine]:
    """An engine for a few statements outside an event loop; closed with all its connections at the end.

    Raises `DatabaseAway` or `StorageFull`, in words, where the database cannot be reached or written.
    """
    engine = create_engine(sqlalchemy_url(database_url), connect_args={"connect_timeout": CONNECT_TIMEOUT_SECONDS})
    try:
        with database_errors():
            yield engine
    finally:
        engine.dispose()


@asynccontextmanager
async def async_engine(database_url: str, *, pool_size: int = 5) -> AsyncIterator[AsyncEngine]:
    """An engine for the running event loop; closed with all its connections at the end."""
    engine = create_async_engine(
        sqlalchemy_url(database_url),
        pool_size=pool_size,
        max_overflow=pool_size,
        pool_pre_ping=True,
        connect_args={"connect_timeout": CONNECT_TIMEOUT_SECONDS},
    )
    try:
        yield engine
    finally:
        await engine.dispose()


@contextmanager
def database_errors() -> Iterator[None]:
    """Turn a database that is away or full into an error for people; let every other error through."""
    try:
        yield
    except OperationalError as error:
        raise in_words(error.orig or error) from error
    except DBAPIError as error:
        if isinstance(error.orig, psycopg.OperationalError | psycopg.InterfaceError):
            raise in_words(error.orig) from error
        raise
    except psycopg.OperationalError as error:
        raise in_words(error) from error


def in_words(error: BaseException) -> DatabaseAway | StorageFull:
    """What became of the database, in one line."""
    if isinstance(error, psycopg.errors.DiskFull):
        return StorageFull("The database's disk is full. Free some space and try again; nothing was half done.")
    first_line = str(error).strip().partition("\n")[0]
    return DatabaseAway(said("The database does not answer: %(why)s", why=first_line))


async def plain_connection(database_url: str) -> AsyncConnection:
    """A psycopg connection of its own, each statement its own transaction, statements prepared at first use."""
    return await AsyncConnection.connect(
        database_url, autocommit=True, prepare_threshold=0, connect_timeout=CONNECT_TIMEOUT_SECONDS
    )
