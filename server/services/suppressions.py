"""Who gets nothing from a business. It holds at once, in broadcasts that are running too."""

from collections.abc import Sequence

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from server.domain.states import LIVE, BroadcastStatus
from server.services import outbox
from server.services.outbox_sql import opt_outs_told
from server.services.signals import opted_out

# A draft is locked while its list is read in, which may take minutes; it is looked at again when it starts.
_REACHED = sorted(LIVE - {BroadcastStatus.DRAFT})

_LOCK_LIVE = text("""
    /* suppressions.lock_live   First, as a record does: the broadcasts, then whom they may not send to. */
    SELECT id FROM whatsapp_broadcasts
     WHERE business_id = :business_id AND status = ANY(:live) ORDER BY id FOR UPDATE
""")

_SUPPRESS = text(f"""
    /* suppressions.suppress   Told: whom it is new of, where an endpoint wants to know. */
    WITH added AS (
        INSERT INTO suppressions (business_id, phone, reason)
        SELECT :business_id, phone, :reason FROM unnest(CAST(:phones AS text[])) AS told (phone) ORDER BY phone
            ON CONFLICT (business_id, phone) DO NOTHING RETURNING phone, reason
    ), {opt_outs_told("added", ":business_id")}
    SELECT count(*) FROM added
""")  # noqa: S608 - names of our own statements

_SKIP = text("""
    /* suppressions.skip
       Why:  an opt-out reaches into every broadcast that can still send; who is claimed already is stopped by the
             runner, which hears of it.
       Lock: the broadcasts in the order of their ids, then the recipients.
       Cost: for each phone one index look-up in each live broadcast of the business. */
    WITH live AS (
        SELECT id FROM whatsapp_broadcasts
         WHERE business_id = :business_id AND status = ANY(:live) ORDER BY id FOR UPDATE
    ), skipped AS (
        UPDATE whatsapp_broadcast_recipients r
           SET status = 'skipped', error_message = 'opted out', next_attempt_at = NULL
          FROM live WHERE r.broadcast_id = live.id AND r.phone = ANY(:phones) AND r.status = 'queued'
        RETURNING r.broadcast_id
    ), counted AS (SELECT broadcast_id, count(*) AS n FROM skipped GROUP BY broadcast_id)
    UPDATE whatsapp_broadcasts b
       SET skipped_count = b.skipped_count + counted.n, processed_count = b.processed_count + counted.n
      FROM counted WHERE b.id = counted.broadcast_id
""")


_ALLOW = text("""
    /* suppressions.allow */
    DELETE FROM suppressions WHERE business_id = :business_id AND phone = :phone RETURNING phone
""")


async def suppress(connection: AsyncConnection, business_id: int, phone: str, reason: str) -> None:
    """Send nothing more to this person, from the commit of the caller's transaction on.

    phone: E.164 with its plus. reason: in plain words, kept with the entry.
    """
    await suppress_all(connection, business_id, [phone], reason)


async def suppress_all(connection: AsyncConnection, business_id: int, phones: Sequence[str], reason: str) -> None:
    """The same for several people who say so at once."""
    await connection.execute(_LOCK_LIVE, {"business_id": business_id, "live": _REACHED})
    await connection.execute(_SUPPRESS, {"business_id": business_id, "phones": phones, "reason": reason})
    await connection.execute(_SKIP, {"business_id": business_id, "phones": phones, "live": _REACHED})
    await opted_out(connection, business_id, phones)


async def allow(connection: AsyncConnection, business_id: int, phone: str, reason: str) -> None:
    """Take a person off the list again, for broadcasts from now on: who was skipped stays skipped.

    reason: in plain words, for whoever is told of it.
    """
    if await connection.scalar(_ALLOW, {"business_id": business_id, "phone": phone}) is not None:
        await outbox.opted_in(connection, business_id, phone, reason)
