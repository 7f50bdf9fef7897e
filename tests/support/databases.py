"""One database a test, copied from a migrated template: a twentieth of a second where the server is in memory."""

import itertools
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg

from server.migrations import upgrade

TEMPLATE = "clarion_template"
MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of a name of its own is made in it
ROOM_BYTES = 6 * 1024**3
_numbers = itertools.count(1)


def is_in_memory() -> bool:
    """Whether the servers of a test session find room in memory. What must outlive a crash is tried on a disk."""
    return MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > ROOM_BYTES


@contextmanager
def servers_folder() -> Iterator[Path]:
    """Where the servers of a test session keep their data; gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="clarion-tests-", dir=MEMORY if is_in_memory() else None) as folder:
        yield Path(folder)


def at(server_url: str, database: str) -> str:
    """The URL of another database of the same server."""
    return urlunsplit(urlsplit(server_url)._replace(path=f"/{database}"))


def make_template(server_url: str) -> None:
    """Make the migrated database that every test's own is copied from."""
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {TEMPLATE}")
    upgrade(at(server_url, TEMPLATE))


@contextmanager
def fresh_database(server_url: str, *, template: str = TEMPLATE) -> Iterator[str]:
    """A database of one test, dropped at its end with whoever is still connected."""
    name = f"clarion_test_{os.getpid()}_{next(_numbers)}"
    strategy = "file_copy" if is_in_memory() else "wal_log"  # on a disk, copied files wait for a checkpoint
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY {strategy}")
        try:
            yield at(server_url, name)
        finally:
            _drop(connection, name)


def _drop(connection: psycopg.Connection, name: str) -> None:
    """Drop a database. PostgreSQL's own vacuum may be at work in it, which nobody may end, and which is soon done."""
    for _ in range(100):
        try:
            connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        except psycopg.errors.InsufficientPrivilege:
            time.sleep(0.1)
        else:
            return
    connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
