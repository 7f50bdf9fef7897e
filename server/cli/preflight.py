"""The pre-flight at the terminal: `clarion send` shows it before it asks, `clarion broadcasts preflight` by itself."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from sqlalchemy.ext.asyncio import AsyncEngine

from server.addresses import vault
from server.cli.output import say
from server.config import settings
from server.database import async_engine, database_errors
from server.domain.preflight import Code, Finding, Level, Report, refuse_errors
from server.services.drafts import NewBroadcast
from server.services.preflight import Lookout, Outside, inspect

_BEGINNINGS = {Level.ERROR: "Error: ", Level.WARNING: "Warning: ", Level.INFO: ""}
# Of these `clarion send` shows every row, with its line and the reason.
_SHOWN_ROW_BY_ROW = (Code.REJECTED_ROWS, Code.DUPLICATES)


def ask_outside(database_url: str, broadcast_id: int) -> Outside:
    """What WhatsApp and the media link say of a broadcast. Raises `NotFound`."""

    async def ask() -> Outside:
        async with async_engine(database_url) as engine:
            return await _lookout(engine).of_broadcast(broadcast_id)

    with database_errors():
        return asyncio.run(ask())


def look(database_url: str, broadcast_id: int) -> Report:
    """Everything that can be known of a broadcast before it starts. Raises `NotFound`."""

    async def ask_and_look() -> Report:
        async with async_engine(database_url) as engine:
            outside = await _lookout(engine).of_broadcast(broadcast_id)
            async with engine.connect() as connection:
                return await inspect(connection, broadcast_id, outside)

    with database_errors():
        return asyncio.run(ask_and_look())


@asynccontextmanager
async def asking(engine: AsyncEngine, business_id: int, new: NewBroadcast) -> AsyncIterator[asyncio.Task[Outside]]:
    """Ask outside while something else is done; what has not answered when the block is left is let go."""
    task = asyncio.create_task(_lookout(engine).of_message(business_id, new.channel_id, new.message))
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _lookout(engine: AsyncEngine) -> Lookout:
    return Lookout(engine, settings(), vault(settings()))


def say_or_refuse(found: Report) -> None:
    """Show what was found of a draft whose rows were shown already. Raises `BadInput` or `NotNow` for an error."""
    say_findings(
        finding
        for finding in found.findings
        if finding.level is not Level.ERROR and finding.code not in _SHOWN_ROW_BY_ROW
    )
    refuse_errors(found)


def say_findings(findings: Iterable[Finding]) -> None:
    """One line each, the gravest first."""
    for finding in findings:
        say(f"{_BEGINNINGS[finding.level]}{finding.detail}")
