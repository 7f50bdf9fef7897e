"""Connections to PostgreSQL: engines for SQLAlchemy, and plain psycopg connections for the ledger.

Nothing here is made at import: RQ forks its workers, and a connection must not live through a fork.
"""

import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import psycopg
from psycopg import AsyncConnection
from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError, DisconnectionError, OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection

from server.domain.errors import DatabaseAway, StorageFull
from server.domain.sentences import said

CONNECT_TIMEOUT_SECONDS = 5
IDLE_SECONDS = 1.0
_USED_AT = "used_at"


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
        connect_args={"connect_timeout": CONNECT_TIMEOUT_SECONDS},
    )
    ping_the_idle(engine.sync_engine)
    try:
        yield engine
    finally:
        await engine.dispose()


def ping_the_idle(engine: Engine) -> None:
    """Let a connection out of the pool only when it was used a moment ago or answers now; else there is a new one.

    A database that was started again has closed them all. A ping for each use (`pool_pre_ping`) would be two of the
    seven round trips of a request, and a fifth of its time.
    """

    @event.listens_for(engine, "checkin")
    def note(_: DBAPIConnection | None, record: ConnectionPoolEntry) -> None:
        record.info[_USED_AT] = time.monotonic()

    @event.listens_for(engine, "checkout")
    def ping(connection: DBAPIConnection, record: ConnectionPoolEntry, _: PoolProxiedConnection) -> None:
        used_at = record.info.get(_USED_AT)
        if used_at is None or time.monotonic() - used_at < IDLE_SECONDS:
            return
        try:
            engine.dialect.do_ping(connection)
        except engine.dialect.loaded_dbapi.Error as error:
            raise DisconnectionError(str(error)) from error


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
