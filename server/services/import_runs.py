"""How an import of contacts goes, for whoever watches it: kept in the queue's server, seen by every web process.

A business has one import at a time. What is kept here is a picture alone: the contacts are in the database, and a list
that broke off is taken in again from its beginning, which doubles nobody.
"""

import time
from collections.abc import Mapping
from typing import Any, Final

import msgspec
import redis

from server.domain.errors import NotNow
from server.domain.sentences import said

# A runner tells of itself twice a second; one that was silent for so long is no more.
SILENCE_SECONDS: Final = 20.0
_KEPT_SECONDS: Final = 7 * 86_400
_PREFIX: Final = "clarion:contact-import"


class ImportRun(msgspec.Struct):
    """One import. status: `running`, `finished`, `stopped` or `failed`. Instants are seconds since 1970.

    columns: what each column of the file was taken for. share: of the file that was read, 0 to 1. detail: what went
    wrong, for people. rejected: the first of them, with `row`, `phone` and `reason`.
    """

    id: str
    file_name: str
    started_at: float
    heard_at: float
    columns: Mapping[str, str] = {}
    status: str = "running"
    share: float = 0.0
    rows_count: int = 0
    accepted_count: int = 0
    rejected_count: int = 0
    created_count: int | None = None
    updated_count: int | None = None
    merged_count: int = 0
    opted_out_count: int = 0
    still_opted_out_count: int = 0
    rejected: list[dict[str, Any]] = []
    detail: str = ""

    @property
    def seconds(self) -> float:
        """How long it has been at work."""
        return max(0.001, self.heard_at - self.started_at)

    @property
    def rows_per_second(self) -> float:
        """Its speed, from the beginning on."""
        return self.rows_count / self.seconds


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(ImportRun).decode


def begin(connection: redis.Redis, business_id: int, run: ImportRun) -> None:
    """Be the one import of the business. Raises `NotNow` where another is under way, `redis.RedisError`."""
    last = latest(connection, business_id)
    if last is not None and last.status == "running":
        raise NotNow("Another import is under way. Wait for its end, or stop it first.")
    keep(connection, business_id, run)


def keep(connection: redis.Redis, business_id: int, run: ImportRun) -> None:
    """Show how it goes. Raises `redis.RedisError`."""
    connection.set(_key(business_id), _encode(run), ex=_KEPT_SECONDS)


def latest(connection: redis.Redis, business_id: int) -> ImportRun | None:
    """The import that is under way, or the last one. Raises `redis.RedisError`."""
    found = connection.get(_key(business_id))
    if not isinstance(found, bytes):
        return None
    run = _decode(found)
    if run.status == "running" and time.time() - run.heard_at > SILENCE_SECONDS:
        run.status = "failed"
        run.detail = said("It broke off. Import the same file again: nobody comes in twice.")
    return run


def ask_to_stop(connection: redis.Redis, business_id: int) -> None:
    """Stop the import that is under way, soon. Raises `redis.RedisError`."""
    run = latest(connection, business_id)
    if run is not None and run.status == "running":
        connection.set(f"{_key(business_id)}:stop", run.id, ex=_KEPT_SECONDS)


def is_to_stop(connection: redis.Redis, business_id: int, run: ImportRun) -> bool:
    """Whether somebody asked this import to stop. Raises `redis.RedisError`."""
    return connection.get(f"{_key(business_id)}:stop") == run.id.encode()


def _key(business_id: int) -> str:
    return f"{_PREFIX}:{business_id}"
