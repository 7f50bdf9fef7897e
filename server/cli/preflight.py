"""The pre-flight at the terminal: `clarion send` shows it before it asks, `clarion broadcasts preflight` by itself."""

import asyncio
from collections.abc import Iterable

from server.addresses import vault
from server.cli.environment import transact
from server.cli.output import say
from server.config import settings
from server.database import async_engine, database_errors
from server.domain.preflight import Code, Finding, Level, Report, refuse_errors
from server.services.preflight import Lookout, Outside, inspect

_BEGINNINGS = {Level.ERROR: "Error: ", Level.WARNING: "Warning: ", Level.INFO: ""}
# Of these `clarion send` shows every row, with its line and the reason.
_SHOWN_ROW_BY_ROW = (Code.REJECTED_ROWS, Code.DUPLICATES)


def ask_outside(database_url: str, broadcast_id: int) -> Outside:
    """What WhatsApp and the media link say. Raises `NotFound`."""

    async def ask() -> Outside:
        async with async_engine(database_url) as engine:
            return await Lookout(engine, settings(), vault(settings())).of_broadcast(broadcast_id)

    with database_errors():
        return asyncio.run(ask())


def look(database_url: str, broadcast_id: int, outside: Outside) -> Report:
    """Everything that can be known of a broadcast before it starts. Raises `NotFound`."""
    return transact(database_url, lambda connection: inspect(connection, broadcast_id, outside))


def checked(database_url: str, broadcast_id: int) -> Outside:
    """Show what was found of a draft whose rows were shown already. Raises `BadInput` or `NotNow` for an error."""
    outside = ask_outside(database_url, broadcast_id)
    found = look(database_url, broadcast_id, outside)
    say_findings(
        finding
        for finding in found.findings
        if finding.level is not Level.ERROR and finding.code not in _SHOWN_ROW_BY_ROW
    )
    refuse_errors(found)
    return outside


def say_findings(findings: Iterable[Finding]) -> None:
    """One line each, the gravest first."""
    for finding in findings:
        say(f"{_BEGINNINGS[finding.level]}{finding.detail}")
