"""What every command needs: the settings, a database with the newest schema, a queue, the keys.

Where no URL is set, the embedded servers of the data folder are found running, or started for as long as the command
lasts. Processes that a command starts get all of it through their environment.
"""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import FrameType
from typing import TYPE_CHECKING, NoReturn, TypeVar

from server.addresses import Addresses
from server.cli.only_one import running_in
from server.cli.output import say
from server.config import Settings, export, settings
from server.database import async_engine, database_errors
from server.domain.errors import BadInput, DatabaseAway, QueueAway
from server.embedded import EmbeddedServers
from server.migrations import upgrade
from server.secrets import key_of_data_dir

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

T = TypeVar("T")


@contextmanager
def environment(*, needs_queue: bool = True) -> Iterator[Addresses]:
    """The database and the queue of this command, ready to use.

    Raises `BadInput` for a wrong setting; `DatabaseAway`, `QueueAway` or `StorageFull` where they cannot be had.
    """
    configuration = settings()
    with ExitStack() as stack:
        stack.enter_context(_sigterm_leaves_cleanly())
        found = stack.enter_context(servers(configuration, needs_queue=needs_queue))
        upgrade(found.database_url)
        yield found


@contextmanager
def servers(configuration: Settings, *, needs_queue: bool = True) -> Iterator[Addresses]:
    """The servers alone, whatever the schema is; their addresses go into the environment of what is started."""
    own_database, own_queue = configuration.database_url, configuration.redis_url
    if not own_database:
        _go_where_the_running_one_goes(configuration)
    with ExitStack() as stack:
        database_url, redis_url = own_database, own_queue
        if not own_database or (needs_queue and not own_queue):
            embedded = stack.enter_context(
                EmbeddedServers(configuration.data_dir, postgres=not own_database, valkey=needs_queue and not own_queue)
            )
            database_url = database_url or embedded.database_url or ""
            redis_url = redis_url or embedded.redis_url or ""
        if not database_url:
            raise DatabaseAway("There is no database.")
        if needs_queue and not redis_url:
            raise QueueAway("There is no queue.")
        if needs_queue and own_queue:
            _check_queue(redis_url)
        key = configuration.secret_key or key_of_data_dir(configuration.data_dir)
        export(DATABASE_URL=database_url, REDIS_URL=redis_url, CLARION_SECRET_KEY=key)
        yield Addresses(database_url, redis_url)


def _go_where_the_running_one_goes(configuration: Settings) -> None:
    """Beside a `clarion up` it is its workers that send. Raises `BadInput` where this command is told of another place.

    Else a trial on a simulator would look at one place, and go to real people by another.
    """
    running = running_in(configuration.data_dir)
    if running is None or running.graph_api_url == configuration.graph_api_url:
        return
    if "graph_api_url" in configuration.model_fields_set:
        raise BadInput(
            f"CLARION_GRAPH_API_URL is {configuration.graph_api_url} here, but Clarion is running at {running.address}"
            f" in the data folder {configuration.data_dir}, and sends to {running.graph_api_url}."
            " Leave the setting out, or set CLARION_DATA_DIR to another folder."
        )
    export(CLARION_GRAPH_API_URL=running.graph_api_url)


def say_data_folder(configuration: Settings) -> None:
    """Say where the work of a command is kept, to whoever it may surprise.

    configuration: the settings as they were before `environment`, which hides whose database is used.
    """
    own = " The database is your own, by DATABASE_URL." if configuration.database_url else ""
    say(f"Data folder: {configuration.data_dir}.{own}")


def _check_queue(redis_url: str) -> None:
    from server.jobs.queues import connect

    connect(redis_url).close()


def transact(database_url: str, work: "Callable[[AsyncConnection], Awaitable[T]]") -> T:
    """Do some work in one transaction; it is committed if nothing is raised."""

    async def in_loop() -> T:
        async with async_engine(database_url) as engine, engine.begin() as connection:
            return await work(connection)

    with database_errors():
        return asyncio.run(in_loop())


@contextmanager
def _sigterm_leaves_cleanly() -> Iterator[None]:
    """Turn SIGTERM into an exception, so that the embedded servers are left as after Ctrl-C."""

    def leave(_number: int, _frame: FrameType | None) -> NoReturn:
        raise SystemExit(128 + signal.SIGTERM)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
