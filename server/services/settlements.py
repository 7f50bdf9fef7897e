"""Unknowns settled by a person, who knows what no webhook said: one recipient at a time, each kept in the history.

Counters change in the transaction of the row they count. Locks: the broadcast, then the recipient, as everywhere.
"""

from enum import StrEnum
from typing import Any, Final, assert_never

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from server.domain.errors import NotFound, NotNow, StateDoesNotAllow
from server.domain.sentences import said
from server.domain.states import Act, Actor, BroadcastStatus, RecipientStatus, ending_of
from server.services import broadcasts, retries, unknowns
from server.services.events import add_act


class Settlement(StrEnum):
    """What a person says of somebody unknown."""

    SENT = "sent"  # WhatsApp has it
    FAILED = "failed"  # count it as failed
    RESEND = "resend"  # send it again


COUNTED_AS_FAILED: Final = said("A person had it counted as failed: nobody knows whether WhatsApp accepted it.")
SENT_AGAIN: Final = said("A person had it sent again: its answer never came.")

_PERSON = text("""
    /* settlements.person */
    SELECT id, status, extract(epoch FROM clock_timestamp() - unknown_at)::float8 AS age
      FROM whatsapp_broadcast_recipients WHERE broadcast_id = :broadcast_id AND id = :recipient_id FOR UPDATE
""")

_SENT = text("""
    /* settlements.sent */
    WITH settled AS (
        UPDATE whatsapp_broadcast_recipients
           SET status = 'sent', sent_at = coalesce(sent_at, claimed_at, clock_timestamp()), unknown_at = NULL,
               error_code = NULL, error_message = NULL
         WHERE broadcast_id = :broadcast_id AND id = :recipient_id AND status = 'unknown' RETURNING 1
    )
    UPDATE whatsapp_broadcasts
       SET unknown_count = unknown_count - (SELECT count(*) FROM settled),
           sent_count = sent_count + (SELECT count(*) FROM settled),
           processed_count = processed_count + (SELECT count(*) FROM settled)
     WHERE id = :broadcast_id
""")

_ENDING = text("""
    /* settlements.ending */
    SELECT status, sent_count, failed_count, unknown_count, processed_count = total_recipients AS is_all
      FROM whatsapp_broadcasts WHERE id = :broadcast_id
""")


async def settle(connection: AsyncConnection, broadcast_id: int, recipient_id: int, settlement: Settlement) -> None:
    """Make true what a person says of one unknown recipient; the last one of a broadcast that settles ends it.

    Raises `NotFound`; `NotNow` where the recipient is not unknown, or is to be sent to again and that may not be.
    """
    around = await unknowns.lock(connection, broadcast_id)
    which = {"broadcast_id": broadcast_id, "recipient_id": recipient_id}
    person = None if around is None else (await connection.execute(_PERSON, which)).one_or_none()
    if around is None or person is None:
        raise NotFound("This person is not in the broadcast.")
    if person.status != RecipientStatus.UNKNOWN:
        raise NotNow(
            said("This recipient is %(status)s, not unknown: there is nothing to settle.", status=person.status)
        )
    if settlement is Settlement.RESEND:
        _refuse_resend(around)
    detail = said(
        "Recipient %(number)s, unknown for %(seconds)s s, was settled as %(how)s.",
        number=recipient_id,
        seconds=f"{person.age or 0:.0f}",
        how=settlement.value,
    )
    await add_act(
        connection,
        broadcast_id,
        Act.SETTLE_BY_HAND,
        by=Actor.USER,
        status=around.status,
        recipient_id=recipient_id,
        detail=detail,
    )
    await _write(connection, which, settlement, detail)
    await _end(connection, broadcast_id)


def _refuse_resend(around: Row[Any]) -> None:
    """Nobody is sent to again after the end, or while the inbox may hold the very status that tells."""
    if around.status not in unknowns.CAN_SEND:
        raise StateDoesNotAllow("send to anybody again", around.status)
    if around.cancel_requested:
        raise StateDoesNotAllow("send to anybody again", "being cancelled")
    if around.is_behind:
        raise NotNow("Webhooks are waiting to be read, and one of them may tell. Try again in a moment.")


async def _write(connection: AsyncConnection, which: dict[str, int], settlement: Settlement, detail: str) -> None:
    broadcast_id, recipient_id = which["broadcast_id"], which["recipient_id"]
    match settlement:
        case Settlement.SENT:
            await connection.execute(_SENT, which)
            await retries.spare(connection, broadcast_id, [recipient_id])
        case Settlement.FAILED:
            await unknowns.fail(connection, broadcast_id, [recipient_id], COUNTED_AS_FAILED)
        case Settlement.RESEND:
            await unknowns.resend(connection, broadcast_id, [recipient_id], SENT_AGAIN, by=Actor.USER, why=detail)
        case _:
            assert_never(settlement)


async def _end(connection: AsyncConnection, broadcast_id: int) -> None:
    row = (await connection.execute(_ENDING, {"broadcast_id": broadcast_id})).one()
    if row.status == BroadcastStatus.SETTLING and row.is_all and not row.unknown_count:
        move = ending_of(row.sent_count, row.failed_count)
        await broadcasts.make(connection, broadcast_id, move, by=Actor.USER)
