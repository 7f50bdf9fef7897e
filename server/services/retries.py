"""A new broadcast to those whom an earlier one did not reach."""

from collections.abc import Sequence

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from server.domain.errors import BadInput, NotFound, StateDoesNotAllow
from server.domain.sentences import said
from server.domain.states import FINAL, LIVE, Act, Actor, BroadcastStatus
from server.services import outbox
from server.services.events import add_act
from server.services.ledger import GOT_IT

MAY_BE_RETRIED = ("failed", "unknown")
# An unknown one of a broadcast that settles may be sent to again.
_CAN_SEND = LIVE | {BroadcastStatus.SETTLING}

_COPY_BROADCAST = text("""
    /* retries.copy_broadcast */
    INSERT INTO whatsapp_broadcasts (business_id, channel_id, name, message, default_country, rate_limit, retry_of)
    SELECT business_id, channel_id, left(name, 200) || ' (again)', message, default_country, rate_limit, id
      FROM whatsapp_broadcasts WHERE id = :broadcast_id
    RETURNING id
""")

_COPY_RECIPIENTS = text("""
    /* retries.copy_recipients
       Set-based; never to those who opted out since, and to those who failed only because nobody knows what became of
       their message not unless unknowns were asked for: they may have got it. Who is in an earlier retry already is
       left out, so that asking twice sends once, unless it left them out in its turn; and who has got it by a broadcast
       that this one tries again itself. */
    WITH RECURSIVE earlier AS (
        SELECT retry_of AS id FROM whatsapp_broadcasts WHERE id = :broadcast_id AND retry_of IS NOT NULL
         UNION
        SELECT b.retry_of FROM earlier JOIN whatsapp_broadcasts b ON b.id = earlier.id WHERE b.retry_of IS NOT NULL
    ), copied AS (
        INSERT INTO whatsapp_broadcast_recipients (broadcast_id, business_id, row_number, phone, variables)
        SELECT :new_id, r.business_id, r.row_number, r.phone, r.variables
          FROM whatsapp_broadcast_recipients r
         WHERE r.broadcast_id = :broadcast_id
           AND CASE WHEN r.status = 'unknown' OR r.was_unknown
                    THEN :with_unknown ELSE r.status = 'failed' AND :with_failed END
           AND NOT EXISTS (SELECT FROM whatsapp_broadcasts b JOIN whatsapp_broadcast_recipients again
                               ON again.broadcast_id = b.id AND again.phone = r.phone
                            WHERE b.retry_of = :broadcast_id AND again.status NOT IN ('cancelled', 'skipped'))
           AND NOT EXISTS (SELECT FROM earlier JOIN whatsapp_broadcast_recipients before
                               ON before.broadcast_id = earlier.id AND before.phone = r.phone
                            WHERE before.status IN ('sent', 'delivered', 'read') OR before.delivered_at IS NOT NULL)
           AND r.delivered_at IS NULL  -- reported as delivered and then as failed: they have got it
           AND NOT EXISTS (SELECT FROM suppressions s WHERE s.business_id = r.business_id AND s.phone = r.phone)
         ORDER BY r.id
        RETURNING 1
    )
    UPDATE whatsapp_broadcasts SET total_recipients = (SELECT count(*) FROM copied) WHERE id = :new_id
    RETURNING total_recipients
""")

_HAND_OVER = text("""
    /* retries.hand_over
       Why:  unknown ones whom the new broadcast sends to must not be sent to again by the old one as well, whatever the
             evidence says or a person decides later. */
    WITH settled AS (
        UPDATE whatsapp_broadcast_recipients r
           SET status = 'failed', failed_at = clock_timestamp(), unknown_at = NULL, was_unknown = true,
               error_message = :reason
          FROM whatsapp_broadcast_recipients again
         WHERE r.broadcast_id = :broadcast_id AND r.status = 'unknown'
           AND again.broadcast_id = :new_id AND again.phone = r.phone
        RETURNING r.id
    )
    UPDATE whatsapp_broadcasts
       SET unknown_count = unknown_count - (SELECT count(*) FROM settled),
           failed_count = failed_count + (SELECT count(*) FROM settled),
           processed_count = processed_count + (SELECT count(*) FROM settled)
     WHERE id = :broadcast_id AND EXISTS (SELECT FROM settled)
    RETURNING array(SELECT id FROM settled)
""")

_RETRIES = text("""
    /* retries.retries   Those of it, and those of them, which can still send. Few, by their partial index. */
    WITH RECURSIVE later AS (
        SELECT id, status FROM whatsapp_broadcasts WHERE retry_of = :broadcast_id
         UNION
        SELECT b.id, b.status FROM later JOIN whatsapp_broadcasts b ON b.retry_of = later.id
    )
    SELECT id FROM later WHERE status = ANY(:live) ORDER BY id
""")

_LOCK = text("""
    /* retries.lock   First and alone: a record that holds the retry may be putting somebody back into its queue. */
    SELECT FROM whatsapp_broadcasts WHERE id = :retry_id FOR UPDATE
""")

_SPARE = text("""
    /* retries.spare
       Why:  who waits is skipped; who is unknown there must not be sent to again, and counts as failed until a report
             tells. Who is being sent to just now cannot be called back; if they are put off, `ledger.spare_due` finds
             them.
       Lock: its recipients; the retry is locked already. */
    WITH found AS (
        SELECT r.id, r.status
          FROM whatsapp_broadcast_recipients before, whatsapp_broadcast_recipients r
         WHERE before.broadcast_id = :broadcast_id AND before.id = ANY(:recipient_ids)
           AND r.broadcast_id = :retry_id AND r.phone = before.phone AND r.status IN ('queued', 'unknown')
           FOR UPDATE OF r
    ), spared AS (
        UPDATE whatsapp_broadcast_recipients r
           SET status = CASE f.status WHEN 'queued' THEN 'skipped' ELSE 'failed' END,
               was_unknown = f.status = 'unknown', unknown_at = NULL, next_attempt_at = NULL, error_message = :reason,
               failed_at = CASE f.status WHEN 'unknown' THEN clock_timestamp() END
          FROM found f WHERE r.broadcast_id = :retry_id AND r.id = f.id
        RETURNING r.id, f.status AS before
    ), tally AS (
        SELECT count(*) FILTER (WHERE before = 'queued') AS skipped,
               count(*) FILTER (WHERE before = 'unknown') AS failed
          FROM spared
    )
    UPDATE whatsapp_broadcasts b
       SET skipped_count = b.skipped_count + t.skipped, failed_count = b.failed_count + t.failed,
           unknown_count = b.unknown_count - t.failed, processed_count = b.processed_count + t.skipped + t.failed
      FROM tally t WHERE b.id = :retry_id AND t.skipped + t.failed > 0
    RETURNING array(SELECT id FROM spared WHERE before = 'unknown')
""")


async def spare(connection: AsyncConnection, broadcast_id: int, recipient_ids: Sequence[int]) -> None:
    """Send nothing more to people of a broadcast in its retries: they turned out to have got it after all."""
    values = {"broadcast_id": broadcast_id, "recipient_ids": list(recipient_ids), "reason": GOT_IT}
    found = await connection.scalars(_RETRIES, {"broadcast_id": broadcast_id, "live": sorted(_CAN_SEND)})
    for retry_id in found.all():
        await connection.execute(_LOCK, {"retry_id": retry_id})
        failed_ids = await connection.scalar(_SPARE, {**values, "retry_id": retry_id})
        await outbox.recipients_failed(connection, retry_id, failed_ids)


async def create(connection: AsyncConnection, broadcast_id: int, include: Sequence[str]) -> int:
    """A draft to those of an ended broadcast who failed (or are unknown, who may get it twice). Returns its id.

    Who was unknown counts as failed there from here on: they are the new broadcast's to send to.

    Raises `NotFound`, `StateDoesNotAllow` while the broadcast still goes on, `BadInput` where nobody is left.
    """
    wrong = [status for status in include if status not in MAY_BE_RETRIED]
    if wrong or not include:
        raise BadInput(f"Only {' and '.join(MAY_BE_RETRIED)} can be tried again.", pointer="/include")
    status = await connection.scalar(
        text("SELECT status FROM whatsapp_broadcasts WHERE id = :id FOR UPDATE"), {"id": broadcast_id}
    )
    if status is None:
        raise NotFound(said("There is no broadcast %(number)s.", number=broadcast_id))
    if status not in FINAL and status != BroadcastStatus.SETTLING:
        raise StateDoesNotAllow("be retried", status)
    new_id = int(await connection.scalar(_COPY_BROADCAST, {"broadcast_id": broadcast_id}) or 0)
    values = {
        "broadcast_id": broadcast_id,
        "new_id": new_id,
        "with_failed": "failed" in include,
        "with_unknown": "unknown" in include,
    }
    count = await connection.scalar(_COPY_RECIPIENTS, values)
    if not count:
        raise BadInput(
            said(
                "Nobody of broadcast %(number)s is %(states)s and not in an earlier retry of it.",
                number=broadcast_id,
                states=" or ".join(include),
            ),
            pointer="/include",
        )
    again = said("Broadcast %(number)s sends it again.", number=new_id)
    reason = f"{said('Nobody knows whether WhatsApp accepted this message.')} {again}"
    handed_over = {"broadcast_id": broadcast_id, "new_id": new_id, "reason": reason}
    await outbox.recipients_failed(connection, broadcast_id, await connection.scalar(_HAND_OVER, handed_over))
    detail = said("Broadcast %(number)s tries %(count)s of its people again.", number=new_id, count=count)
    await add_act(connection, broadcast_id, Act.RETRY, by=Actor.USER, status=status, detail=detail)
    return new_id
