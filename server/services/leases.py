"""One runner a broadcast. A lease with a fencing token: `run_epoch` on the row.

Taking the lease adds one to `run_epoch`; every write of a run asks for its own epoch, so that a runner that was
stopped, swapped out or cut off and wakes up after its lease ran out can change nothing. What the runner before left
`sending` becomes `unknown` in the same transaction.
"""

import os
import socket
from dataclasses import dataclass
from functools import cache

import psutil
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from server.domain.sentences import said
from server.domain.states import RULES, Actor, Move
from server.domain.webhook_events import EventKind
from server.services import ledger, outbox
from server.services.events import add_event

TAKEN_OVER = said("The worker stopped between asking WhatsApp and hearing its answer.")

_TAKE = text("""
    /* leases.take   Guarded by status, by the lease of another, and by a wish to cancel. */
    WITH before AS (
        SELECT id, status, started_at IS NULL AS is_first
          FROM whatsapp_broadcasts WHERE id = :broadcast_id FOR UPDATE
    )
    UPDATE whatsapp_broadcasts b
       SET status = :to, run_epoch = b.run_epoch + 1, lease_holder = :holder,
           lease_expires_at = clock_timestamp() + :seconds * interval '1 second',
           started_at = coalesce(b.started_at, clock_timestamp()),
           pause_reason = NULL, status_detail = NULL, resume_at = NULL
      FROM before
     WHERE b.id = before.id AND b.status = ANY(:allowed_from) AND NOT b.cancel_requested
       AND (b.lease_holder IS NULL OR b.lease_expires_at <= clock_timestamp())
       AND (b.resume_at IS NULL OR b.resume_at <= clock_timestamp())
    RETURNING b.run_epoch, b.business_id, before.status, before.is_first
""")

_RELEASE = text("""
    /* leases.release   Only the run that holds it. */
    UPDATE whatsapp_broadcasts SET lease_holder = NULL, lease_expires_at = NULL, current_rate = NULL
     WHERE id = :broadcast_id AND run_epoch = :epoch
""")

_SECONDS_LEFT = text("""
    /* leases.seconds_left   By the database's clock, which is the one that leases go by. */
    SELECT extract(epoch FROM lease_expires_at - clock_timestamp())
      FROM whatsapp_broadcasts WHERE id = :broadcast_id AND lease_holder IS NOT NULL
""")

_SKIP_SUPPRESSED = text("""
    /* leases.skip_suppressed
       Why:  who opted out while the list was being read in is not on it yet: look once more when the run starts.
       Cost: the business's opt-outs, each one index look-up, once a run. */
    WITH skipped AS (
        UPDATE whatsapp_broadcast_recipients r SET status = 'skipped', error_message = 'opted out'
          FROM suppressions s, whatsapp_broadcasts b
         WHERE b.id = :broadcast_id AND s.business_id = b.business_id
           AND r.broadcast_id = b.id AND r.phone = s.phone AND r.status = 'queued'
        RETURNING 1
    )
    UPDATE whatsapp_broadcasts
       SET skipped_count = skipped_count + (SELECT count(*) FROM skipped),
           processed_count = processed_count + (SELECT count(*) FROM skipped)
     WHERE id = :broadcast_id AND EXISTS (SELECT FROM skipped)
""")


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to run one broadcast. unknown_count: what the runner before left in flight."""

    broadcast_id: int
    epoch: int
    holder: str
    seconds: float
    unknown_count: int


@cache
def _holder_of(pid: int) -> str:
    # A pid comes back after a while, and after a restart at once; its start time does not.
    return f"{socket.gethostname()}:{pid}:{psutil.Process(pid).create_time():.2f}"


def this_process() -> str:
    """The holder that this process takes leases and gates as; one for each process, a forked one included."""
    return _holder_of(os.getpid())


async def take(connection: AsyncConnection, broadcast_id: int, seconds: float) -> Lease | None:
    """Become the runner of a broadcast, for so many seconds; None where it must not or need not be run.

    In the caller's transaction. Whoever was `sending` under an earlier run is `unknown` from here on.
    """
    holder = this_process()
    rule = RULES[Move.RUN]
    values = {
        "broadcast_id": broadcast_id,
        "holder": holder,
        "seconds": seconds,
        "to": rule.to,
        "allowed_from": sorted(rule.allowed_from),
    }
    row = (await connection.execute(_TAKE, values)).one_or_none()
    if row is None:
        return None
    epoch: int = row.run_epoch
    unknown_count = await mark_strays(connection, broadcast_id, epoch)
    await connection.execute(_SKIP_SUPPRESSED, {"broadcast_id": broadcast_id})
    await add_event(
        connection,
        broadcast_id,
        Move.RUN,
        by=Actor.ENGINE,
        before=row.status,
        detail=said("%(count)s in flight under the run before are unknown.", count=unknown_count)
        if unknown_count
        else None,
    )
    if row.is_first:
        told = outbox.Change(row.business_id, broadcast_id, EventKind.BROADCAST_STARTED, Actor.ENGINE, row.status)
        await outbox.broadcast_changed(connection, told)
    return Lease(broadcast_id, epoch, holder, seconds, unknown_count)


async def mark_strays(connection: AsyncConnection, broadcast_id: int, epoch: int) -> int:
    """Whoever is `sending` although no run lives becomes `unknown`. Returns how many."""
    rows = await ledger.within(
        connection, ledger.TAKE_OVER, {"broadcast_id": broadcast_id, "epoch": epoch, "why": TAKEN_OVER}
    )
    return int(rows[0][0]) if rows else 0


async def seconds_left(connection: AsyncConnection, broadcast_id: int) -> float | None:
    """How long the lease of a broadcast still lasts, below 0 where it ran out; None where nobody holds one."""
    seconds = await connection.scalar(_SECONDS_LEFT, {"broadcast_id": broadcast_id})
    return None if seconds is None else float(seconds)


async def release(connection: AsyncConnection, lease: Lease) -> None:
    """Give the lease back, if it is still ours."""
    await connection.execute(_RELEASE, {"broadcast_id": lease.broadcast_id, "epoch": lease.epoch})
