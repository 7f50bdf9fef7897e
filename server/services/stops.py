"""What was under way when a broadcast was stopped, and what became of each: the two ends of one account.

Whoever pauses or cancels is told how many people were in flight at that commit. The run that ends because of it writes
into the history how each of them ended; where it died first, whoever finds the row writes how many are unknown.
"""

from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from server.domain.sentences import said
from server.domain.states import Actor, BroadcastStatus, Move, PauseReason
from server.services import leases, ledger
from server.services.events import add_event
from server.services.ledger import RunKey

_STANDING = text("""
    /* stops.standing   Only for the run that has it. */
    SELECT status, pause_reason, cancel_requested FROM whatsapp_broadcasts
     WHERE id = :broadcast_id AND run_epoch = :epoch FOR UPDATE
""")

DEAD_RUNS: Final = text("""
    /* stops.dead_runs   Paused, and whoever ran it is gone without a word. Cost: the live broadcasts, which are few. */
    SELECT id FROM whatsapp_broadcasts
     WHERE status = 'paused' AND NOT cancel_requested
       AND lease_holder IS NOT NULL AND lease_expires_at <= clock_timestamp()
""")

_END_DEAD_RUN = text("""
    /* stops.end_dead_run   Asked again under the lock; a runner that wakes up after this has lost the row. */
    UPDATE whatsapp_broadcasts
       SET run_epoch = run_epoch + 1, lease_holder = NULL, lease_expires_at = NULL, current_rate = NULL
     WHERE id = :broadcast_id AND status = 'paused' AND NOT cancel_requested
       AND lease_holder IS NOT NULL AND lease_expires_at <= clock_timestamp()
    RETURNING run_epoch, pause_reason
""")


async def in_flight_count(connection: AsyncConnection, broadcast_id: int) -> int:
    """How many people a run has claimed whose outcome is not written down: in the transaction of the stop, exact."""
    ((count,),) = await ledger.within(connection, ledger.IN_FLIGHT, {"broadcast_id": broadcast_id})
    return int(count)


async def account(connection: AsyncConnection, run: RunKey, detail: str) -> None:
    """Write into the history how what was in flight ended, if somebody stopped the run and it still has the row."""
    values = {"broadcast_id": run.broadcast_id, "epoch": run.epoch}
    row = (await connection.execute(_STANDING, values)).one_or_none()
    if row is None or (row.status == BroadcastStatus.RUNNING and not row.cancel_requested):
        return
    move = Move.CANCEL if row.cancel_requested else _kind_of_pause(row.pause_reason)
    await add_event(
        connection, run.broadcast_id, move, by=Actor.ENGINE, before=row.status, after=row.status, detail=detail
    )


async def end_dead_run(connection: AsyncConnection, broadcast_id: int) -> bool:
    """Say of a paused broadcast whose worker died what nobody knows. False: it has a runner, or none was left."""
    row = (await connection.execute(_END_DEAD_RUN, {"broadcast_id": broadcast_id})).one_or_none()
    if row is None:
        return False
    unknown_count = await leases.mark_strays(connection, broadcast_id, row.run_epoch)
    await add_event(
        connection,
        broadcast_id,
        _kind_of_pause(row.pause_reason),
        by=Actor.STEWARD,
        before=BroadcastStatus.PAUSED,
        after=BroadcastStatus.PAUSED,
        detail=died(unknown_count),
    )
    return True


def died(unknown_count: int) -> str:
    """The account of a run that did not live to give it."""
    if not unknown_count:
        return said("The worker died after it was stopped. Nothing was in flight any more.")
    return said(
        "The worker died before it could account for what was in flight: %(count)s are unknown.", count=unknown_count
    )


def _kind_of_pause(reason: str | None) -> Move:
    return Move.PAUSE if reason in (None, PauseReason.USER) else Move.HOLD
