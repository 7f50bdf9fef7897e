"""The ledger of one run, over connections that come back when the database does.

A run outlives a restart of PostgreSQL as long as its lease lasts: each statement is tried again on a new connection.
That is safe because every one of them is guarded by the run's epoch and by the state of the rows it changes; only a
claim whose answer got lost leaves something behind, which `HAND_BACK_STRAYS` puts right.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any, Self, TypeVar

import psycopg
from psycopg import AsyncConnection

from server.database import plain_connection
from server.domain.errors import RunLost
from server.logs import Event, get_logger
from server.services.ledger import Ledger, RunKey
from server.services.run_control import Cause, RunControl, Stop

T = TypeVar("T")

TRY_AGAIN_SECONDS = 0.1
_log = get_logger(__name__)


class RunLedger:
    """One line to the database for one use (claims, records, looks), so that they do not wait for one another."""

    def __init__(self, database_url: str, run: RunKey, control: RunControl) -> None:
        self._database_url = database_url
        self._run = run
        self._control = control
        self._connection: AsyncConnection[Any] | None = None
        self._ledger: Ledger | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._drop()

    async def once(self, use: Callable[[Ledger], Awaitable[T]]) -> T:
        """Use the ledger; a database that is away is the caller's to handle (psycopg.OperationalError)."""
        ledger = self._ledger or await self._open()
        try:
            return await use(ledger)
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            await self._drop()
            raise psycopg.OperationalError(str(error)) from error

    async def until_lost(self, use: Callable[[Ledger], Awaitable[T]]) -> T:
        """Use the ledger, again and again while the database is away and the lease lasts. Raises `RunLost`."""
        complained = False
        while True:
            try:
                return await self.once(use)
            except psycopg.OperationalError as error:
                if not complained:
                    _log.warning(Event.DATABASE_LOST, broadcast_id=self._run.broadcast_id, error=str(error).strip())
                    complained = True
                if self._control.seconds_of_lease <= 0:
                    self._control.request(Stop(Cause.LOST))
                    raise RunLost from error
                await asyncio.sleep(TRY_AGAIN_SECONDS)

    async def _open(self) -> Ledger:
        self._connection = await plain_connection(self._database_url)
        self._ledger = Ledger(self._connection, self._run)
        return self._ledger

    async def _drop(self) -> None:
        connection, self._connection, self._ledger = self._connection, None, None
        if connection is not None:
            with contextlib.suppress(psycopg.Error):
                await connection.close()
