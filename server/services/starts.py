"""What every start of a broadcast does beside its moves, and how one on a schedule starts when its time has come."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from server.domain.preflight import Level, Report
from server.domain.scheduled_starts import Stopped, stopped_by
from server.domain.states import Act, Actor, Move
from server.services import broadcasts, local_times, messaging_limits, preflight, rates, snapshots
from server.services.broadcasts import Why
from server.services.events import add_act
from server.services.preflight import Outside

_ROW = text("""
    /* starts.row */
    SELECT business_id, status, run_epoch, by_local_time FROM whatsapp_broadcasts WHERE id = :broadcast_id
""")


async def learn(connection: AsyncConnection, business_id: int, outside: Outside) -> None:
    """Keep what WhatsApp said of the number's limits. The broadcast is locked by the caller."""
    if outside.messaging_limit is not None:
        await messaging_limits.remember(connection, business_id, outside.messaging_limit)
    if outside.channel_id is not None and outside.throughput is not None:
        await rates.follow_number(connection, business_id, outside.channel_id, outside.throughput)


async def write_down(connection: AsyncConnection, broadcast_id: int, found: Report, *, by: Actor, status: str) -> None:
    """Keep in the history what a person would have wanted to know before the start: the warnings, if there are any."""
    warnings = [finding.detail for finding in found.findings if finding.level is Level.WARNING]
    if warnings:
        detail = " ".join(warnings)
        await add_act(connection, broadcast_id, Act.LOOK_BEFORE_START, by=by, status=status, detail=detail)


async def by_schedule(connection: AsyncConnection, broadcast_id: int, outside: Outside) -> bool:
    """Start a scheduled broadcast that the caller has locked, unless its pre-flight finds an error by now.

    It is queued and has its audience whatever is found; an error then pauses it, or lets it fail, with a reason.
    outside: what a `Lookout` found of it before this transaction began. False: it is on no schedule any more.
    """
    row = (await connection.execute(_ROW, {"broadcast_id": broadcast_id})).one()
    await learn(connection, row.business_id, outside)
    found = await preflight.inspect_for_start(connection, broadcast_id, outside)
    if not await broadcasts.make(connection, broadcast_id, Move.QUEUE, by=Actor.STEWARD):
        return False
    await snapshots.take_or_fail(connection, broadcast_id)
    if row.by_local_time:
        await local_times.arrange(connection, broadcast_id)
    await write_down(connection, broadcast_id, found, by=Actor.STEWARD, status="queued")
    stopped = stopped_by(found.errors)
    if stopped is not None:
        await _stop(connection, broadcast_id, row.run_epoch, stopped)
    return True


async def _stop(connection: AsyncConnection, broadcast_id: int, epoch: int, stopped: Stopped) -> None:
    why = Why(stopped.pause_reason, stopped.detail)
    # With the epoch: where it fails, whoever is on it has failed with this reason, before anybody is told.
    await broadcasts.make(connection, broadcast_id, stopped.move, by=Actor.STEWARD, why=why, epoch=epoch)
