"""Why a run has to stop, heard from every side: a person, the lease, the clock, the process, WhatsApp itself.

The first reason counts. Whoever sends asks `may_send` right before the request leaves; a stop that is known to this
process is obeyed there, and a stop that is only in the row is known within LOOK_EVERY_SECONDS even if the notification
got lost.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from enum import StrEnum, auto
from typing import Any, NamedTuple

import psycopg
from psycopg import AsyncConnection, sql

from server.domain.errors import RunLost
from server.domain.states import BroadcastStatus, PauseReason
from server.services.ledger import RunKey, Standing
from server.services.signals import CONTROL_CHANNEL, OptOut, heard

# The promise is 250 ms from the request being stored to the last message leaving.
LOOK_EVERY_SECONDS = 0.2
# A lease is not trusted to its last instant: the send that is about to start takes a moment itself.
LEASE_MARGIN_SECONDS = 0.5
LISTEN_AGAIN_SECONDS = 0.25
# An opt-out has the time of its transaction's beginning, and is true only at its end.
UNHEARD_SECONDS = 60.0

# Quiet hours as JSON or None, and the time zone, as a run has read them.
HoursSaid = tuple[Any, str]


class Cause(StrEnum):
    """Why a run stops."""

    CANCELLED = auto()  # a person
    PAUSED = auto()  # a person
    HELD = auto()  # WhatsApp or a limit: the broadcast pauses with a reason
    FAILED = auto()  # WhatsApp: nothing more can be sent
    OUT_OF_TIME = auto()  # the next run goes on
    SHUT_DOWN = auto()  # the process is asked to end; the next run goes on
    FAULT = auto()  # an error of our own: what ended is recorded, and the error is told
    LOST = auto()  # another runner has the row


class Stop(NamedTuple):
    """A reason to stop, and what the row shall say of it.

    resume_seconds: until the engine goes on by itself. hours: the quiet hours and the time zone that it goes by.
    """

    cause: Cause
    pause_reason: PauseReason | None = None
    detail: str | None = None
    resume_seconds: float | None = None
    hours: HoursSaid | None = None


class RunControl:
    """What one run obeys. Made inside the event loop that runs it."""

    def __init__(self, run: RunKey) -> None:
        self._run = run
        self._clock = asyncio.get_running_loop().time
        self._looked_at = self._clock()
        self._lease_until = float("-inf")
        self.stop: Stop | None = None
        self.stopped = asyncio.Event()
        self.opted_out: set[str] = set()  # phones of this business that opted out while the run goes on

    def request(self, stop: Stop) -> None:
        """Stop, for this reason, if there was none before. A lost lease overrules every other."""
        if self.stop is None or stop.cause is Cause.LOST:
            self.stop = stop
            self.stopped.set()

    @property
    def seconds_of_lease(self) -> float:
        """How long the lease is still ours for certain."""
        return self._lease_until - self._clock()

    def lease_renewed(self, asked_at: float, seconds: float) -> None:
        """The lease lasts so many seconds from the instant at which the renewal was asked for."""
        self._lease_until = asked_at + seconds

    def may_send(self, now: float) -> bool:
        """Whether a request may leave at this instant of the loop's clock."""
        if self.stop is not None:
            return False
        if now >= self._lease_until - LEASE_MARGIN_SECONDS:
            self.request(Stop(Cause.LOST))
            return False
        return True

    def is_stale(self, now: float) -> bool:
        """Whether the row was not looked at for so long that a lost notification could matter."""
        return now - self._looked_at >= LOOK_EVERY_SECONDS

    def note_look(self, asked_at: float) -> None:
        """The row was looked at by a statement that was sent at this instant, and it said: go on."""
        self._looked_at = asked_at

    async def look(self, ask: Callable[[], Awaitable[Standing | None]]) -> None:
        """Look at the row and obey it."""
        asked_at = self._clock()
        standing = await ask()
        if standing is None or standing.run_epoch != self._run.epoch:
            self.request(Stop(Cause.LOST))
        elif standing.cancel_requested:
            self.request(Stop(Cause.CANCELLED))
        elif standing.status != BroadcastStatus.RUNNING:
            self.request(Stop(Cause.PAUSED))
        else:
            self.note_look(asked_at)

    @contextlib.asynccontextmanager
    async def listening(
        self,
        connect: Callable[[], Awaitable[AsyncConnection[Any]]],
        ask: Callable[[], Awaitable[Standing | None]],
        opt_outs: Callable[[float], Awaitable[list[str]]],
    ) -> AsyncIterator[None]:
        """Hear of a pause, a cancel or an opt-out as soon as it is stored, for as long as the block lasts."""
        listener = asyncio.create_task(self._listen(connect, ask, opt_outs))
        try:
            yield
        finally:
            listener.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await listener

    async def _listen(
        self,
        connect: Callable[[], Awaitable[AsyncConnection[Any]]],
        ask: Callable[[], Awaitable[Standing | None]],
        opt_outs: Callable[[float], Awaitable[list[str]]],
    ) -> None:
        began = self._clock()
        while True:
            try:
                async with await connect() as connection:
                    await connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(CONTROL_CHANNEL)))
                    # What was said before we listened.
                    await self.look(ask)
                    self.opted_out.update(await opt_outs(self._clock() - began + UNHEARD_SECONDS))
                    async for notice in connection.notifies():
                        await self._hear(notice.payload, ask)
            except RunLost:
                return
            except (psycopg.OperationalError, psycopg.InterfaceError):
                # The claims look at the row as well; the line is worth having back, not worth failing for.
                await asyncio.sleep(LISTEN_AGAIN_SECONDS)

    async def _hear(self, payload: str, ask: Callable[[], Awaitable[Standing | None]]) -> None:
        match heard(payload):
            case OptOut(business_id=business_id, phone=phone) if business_id == self._run.business_id:
                self.opted_out.add(phone)
            case int(broadcast_id) if broadcast_id == self._run.broadcast_id:
                await self.look(ask)
