"""The moves of a broadcast: each a compare-and-set with its event, in the caller's transaction.

A person's pause or cancel is never overwritten by the engine: the engine's moves are compare-and-sets as well, and
carry the epoch of the run that makes them.
"""

from datetime import datetime
from typing import Final, NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from server.domain.errors import NotFound, StateDoesNotAllow
from server.domain.sentences import said
from server.domain.states import FINAL, RULES, Actor, BroadcastStatus, Move, PauseReason
from server.domain.webhook_events import KIND_OF_MOVE
from server.services import leases, ledger, outbox
from server.services.events import add_event
from server.services.signals import look_at_row

_MAKE = text("""
    /* broadcasts.make   The one writer of `status` beside leases.take. */
    WITH before AS (SELECT id, status FROM whatsapp_broadcasts WHERE id = :broadcast_id FOR UPDATE)
    UPDATE whatsapp_broadcasts b
       SET status = :to, pause_reason = :pause_reason, status_detail = :detail, resume_at = :resume_at,
           completed_at = CASE WHEN :is_final THEN coalesce(b.completed_at, clock_timestamp()) END,
           scheduled_at = coalesce(CAST(:scheduled_at AS timestamptz), b.scheduled_at),
           -- A person who resumes overrules the canary; whoever resumes, what was reported before is history.
           canary_judged_at = CASE WHEN :is_overruling AND b.pause_reason = 'canary' THEN clock_timestamp()
                                   ELSE b.canary_judged_at END,
           reported_count = CASE WHEN :is_resumed THEN 0 ELSE b.reported_count END,
           reported_failed_count = CASE WHEN :is_resumed THEN 0 ELSE b.reported_failed_count END,
           reported_alike_count = CASE WHEN :is_resumed THEN 0 ELSE b.reported_alike_count END
      FROM before
     WHERE b.id = before.id
       -- A canary that is watched would go on by itself: what WhatsApp says stops it as it stops a run.
       AND (b.status = ANY(:allowed_from)
            OR (:is_hold AND b.status = 'paused' AND b.pause_reason = 'canary' AND b.resume_at IS NOT NULL))
       AND (NOT b.cancel_requested OR CAST(:to AS text) = 'cancelled')  -- a wish to cancel is overwritten by nothing
       -- A person may take over a pause of the engine's own, which would end by itself; their own they have already.
       AND NOT (b.status = CAST(:to AS text) AND b.pause_reason IS NOT DISTINCT FROM CAST(:pause_reason AS text))
       -- What was counted a moment ago may have changed: nobody is left behind by an end, and no failure is hidden.
       AND (CAST(:to AS text) NOT IN ('completed', 'partial')
            OR (b.processed_count = b.total_recipients AND b.unknown_count = 0))
       AND (CAST(:to AS text) <> 'completed' OR b.failed_count = 0)
       AND (CAST(:to AS text) <> 'settling' OR b.processed_count + b.unknown_count = b.total_recipients)
       AND (CAST(:epoch AS integer) IS NULL OR b.run_epoch = :epoch)
    RETURNING before.status, b.business_id
""")

_WISH_TO_CANCEL = text("""
    /* broadcasts.wish_to_cancel   The flag is what the runner obeys; everything else follows from it. */
    UPDATE whatsapp_broadcasts SET cancel_requested = true
     WHERE id = :broadcast_id AND status = ANY(:allowed_from) AND NOT cancel_requested
    RETURNING status
""")

_LOCK = text("""
    /* broadcasts.lock */
    SELECT status, cancel_requested, run_epoch,
           lease_holder IS NOT NULL AND lease_expires_at > clock_timestamp() AS has_runner
      FROM whatsapp_broadcasts WHERE id = :broadcast_id FOR UPDATE
""")

_NEW_EPOCH = text("""
    /* broadcasts.new_epoch   Whatever runner may still be about has lost the row. */
    UPDATE whatsapp_broadcasts SET run_epoch = run_epoch + 1, lease_holder = NULL, lease_expires_at = NULL
     WHERE id = :broadcast_id RETURNING run_epoch
""")


_LOOK_EVERYWHERE = text("""
    /* broadcasts.look_everywhere */
    UPDATE whatsapp_broadcasts
       SET settled_through_id = 0,
           last_processed_recipient_id = coalesce((SELECT max(id) FROM whatsapp_broadcast_recipients
                                                    WHERE broadcast_id = :broadcast_id), 0)
     WHERE id = :broadcast_id AND run_epoch = :epoch
""")

_REWIND = text("""
    /* broadcasts.rewind   The cursor stays: what was claimed already is counted up to it. */
    UPDATE whatsapp_broadcast_recipients r SET next_attempt_at = clock_timestamp()
      FROM whatsapp_broadcasts b
     WHERE b.id = :broadcast_id AND b.run_epoch = :epoch
       AND r.broadcast_id = b.id AND r.status = 'queued' AND r.next_attempt_at IS NULL
""")


_WAIT_FOR_RECIPIENTS = text("""
    /* broadcasts.wait_for_recipients
       Until the first of them may be tried again: sooner, never later. Also where everybody who was left was left
       alone: it need not be for whoever has come back. */
    UPDATE whatsapp_broadcasts
       SET resume_at = least(resume_at, (SELECT min(next_attempt_at) FROM whatsapp_broadcast_recipients
                                          WHERE broadcast_id = :id AND next_attempt_at IS NOT NULL
                                            AND status = 'queued'))
     WHERE id = :id
       AND (status = 'queued' AND (resume_at IS NOT NULL OR :reopened)
            OR status = 'paused' AND pause_reason IN ('quiet_hours', 'local_time') AND resume_at IS NOT NULL)
""")


class Why(NamedTuple):
    """Why a broadcast stands where it stands. detail: one plain sentence. resume_at: when it goes on by itself."""

    pause_reason: PauseReason | None = None
    detail: str | None = None
    resume_at: datetime | None = None


NO_REASON: Final = Why()
CANCEL_REQUESTED: Final = said("Cancel requested.")


async def make(
    connection: AsyncConnection,
    broadcast_id: int,
    move: Move,
    *,
    by: Actor,
    why: Why = NO_REASON,
    scheduled_at: datetime | None = None,
    epoch: int | None = None,
    told: str | None = None,
) -> bool:
    """Make one move and write its event.

    epoch: of the run that makes the move, if a run does. told: what the history says of it beyond the reason, such as
    who it was.
    False: the row was not in a state that allows it, or the run is lost; nothing was written.
    """
    rule = RULES[move]
    values = {
        "broadcast_id": broadcast_id,
        "to": rule.to,
        "allowed_from": sorted(rule.allowed_from),
        **why._asdict(),
        "scheduled_at": scheduled_at,
        "is_final": rule.to in FINAL,
        "epoch": epoch,
        # How many failed is the canary's own to judge.
        "is_hold": move is Move.HOLD and why.pause_reason is not PauseReason.FAILURES,
        "is_resumed": move is Move.RESUME,
        "is_overruling": move is Move.RESUME and by is Actor.USER,
    }
    row = (await connection.execute(_MAKE, values)).one_or_none()
    if row is None:
        return False
    before: str = row.status
    detail = told or why.detail
    await add_event(connection, broadcast_id, move, by=by, before=before, reason=why.pause_reason, detail=detail)
    if move is Move.FAIL and epoch is not None:  # nothing more can be sent: whoever is left has failed with this reason
        rest = {"broadcast_id": broadcast_id, "epoch": epoch, "why": why.detail}
        await ledger.within(connection, ledger.FAIL_REST, rest)
    if move in KIND_OF_MOVE:
        change = outbox.Change(row.business_id, broadcast_id, KIND_OF_MOVE[move], by, before)
        await outbox.broadcast_changed(connection, change)
    return True


async def make_or_refuse(
    connection: AsyncConnection,
    broadcast_id: int,
    move: Move,
    *,
    by: Actor,
    why: Why = NO_REASON,
    scheduled_at: datetime | None = None,
    told: str | None = None,
) -> None:
    """Make a move that a person asked for, and wake the runner. Raises `NotFound` or `StateDoesNotAllow`."""
    if await make(connection, broadcast_id, move, by=by, why=why, scheduled_at=scheduled_at, told=told):
        await look_at_row(connection, broadcast_id)
        return
    row = (await connection.execute(_LOCK, {"broadcast_id": broadcast_id})).one_or_none()
    if row is None:
        raise NotFound(said("There is no broadcast %(number)s.", number=broadcast_id))
    raise StateDoesNotAllow(move, row.status)


async def request_cancel(
    connection: AsyncConnection, broadcast_id: int, *, by: Actor, told: str = CANCEL_REQUESTED
) -> None:
    """Store the wish to cancel; from the commit on no request leaves later than 250 ms.

    told: what the history says of it. Asking twice is asking once. Raises `NotFound`, or `StateDoesNotAllow` where it
    has ended already.
    """
    allowed_from = sorted(RULES[Move.CANCEL].allowed_from)
    status = await connection.scalar(_WISH_TO_CANCEL, {"broadcast_id": broadcast_id, "allowed_from": allowed_from})
    if status is not None:
        await add_event(connection, broadcast_id, Move.CANCEL, by=by, before=status, after=status, detail=told)
        await look_at_row(connection, broadcast_id)
        return
    row = (await connection.execute(_LOCK, {"broadcast_id": broadcast_id})).one_or_none()
    if row is None:
        raise NotFound(said("There is no broadcast %(number)s.", number=broadcast_id))
    if not (row.cancel_requested and row.status in (*allowed_from, BroadcastStatus.CANCELLED)):
        raise StateDoesNotAllow(Move.CANCEL, row.status)


async def finish_cancel(connection: AsyncConnection, broadcast_id: int, *, epoch: int | None = None) -> bool:
    """Account for everybody who is left and end the broadcast as cancelled.

    epoch: of the run that ends it; without one it is done only where no runner lives (who then does it itself).
    False: nothing to do here, or somebody else's to do.
    """
    row = (await connection.execute(_LOCK, {"broadcast_id": broadcast_id})).one_or_none()
    if row is None or not row.cancel_requested or row.status not in RULES[Move.CANCEL].allowed_from:
        return False
    if epoch is None:
        if row.has_runner:
            return False
        epoch = int(await connection.scalar(_NEW_EPOCH, {"broadcast_id": broadcast_id}) or 0)
    elif row.run_epoch != epoch:
        return False
    # What a run that lives holds is recorded by now: whoever is still `sending` was left by one that died, or by a
    # claim that nobody saw.
    unknown_count = await leases.mark_strays(connection, broadcast_id, epoch)
    await ledger.within(connection, ledger.CANCEL_REST, {"broadcast_id": broadcast_id})
    why = Why(detail=_left_unknown(unknown_count)) if unknown_count else NO_REASON
    return await make(connection, broadcast_id, Move.CANCEL, by=Actor.USER, why=why, epoch=epoch)


async def try_again(connection: AsyncConnection, broadcast_id: int, *, by: Actor, why: str) -> None:
    """Somebody went back into the queue from outside a run: the broadcast goes on, after its end too, in time."""
    reopened = await make(connection, broadcast_id, Move.REOPEN, by=by, why=Why(None, why))
    await connection.execute(_WAIT_FOR_RECIPIENTS, {"id": broadcast_id, "reopened": reopened})


async def rewind(connection: AsyncConnection, broadcast_id: int, epoch: int) -> None:
    """Let whoever is still `queued` behind the cursor be found again, as one who waits for another attempt.

    Whoever is `sending` although the run holds nobody is `unknown`; here alone the whole audience is looked through.
    """
    values = {"broadcast_id": broadcast_id, "epoch": epoch}
    await connection.execute(_LOOK_EVERYWHERE, values)
    await leases.mark_strays(connection, broadcast_id, epoch)
    await connection.execute(_REWIND, values)


def _left_unknown(count: int) -> str:
    return said("%(count)s in flight under a run that died are unknown.", count=count)
