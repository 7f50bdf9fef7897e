"""What is written back to a person who stopped, or started again, by a message of their own: once, or not at all.

Off unless the business has a text for it. The reply is promised in the transaction in which the wish begins to hold, so
there is one for each change and none for a second STOP. It is claimed, and the claim committed, before the request
leaves; a claim that nobody finished is `unknown` and is never sent again: rather no confirmation than two. It goes out
inside the 24-hour window that the person's message opened, as free text, which costs nothing. Who uses WhatsApp's own
switch gets none: that opens no window.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, Final, assert_never

import msgspec
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from server.domain.errors import BadInput, NotFound
from server.domain.meanings import explain
from server.domain.outcomes import Accepted, Ambiguous, NeverLeft, Outcome, Refused
from server.domain.reactions import Breaker, Fail, reaction_for
from server.providers.whatsapp import WhatsAppClient
from server.secrets import Vault
from server.services import channels, consents
from server.services.channels import Sender
from server.services.consents import WishTold
from server.services.replies import Written

# Of one number in one round of the steward, which is every second or two: the rest of its pace is the broadcasts'.
A_ROUND: Final = 5
MOST_A_ROUND: Final = 50
MOST_ATTEMPTS: Final = 5
_RETRY_SECONDS: Final = 60
# A request is over within its time-out of seconds; who is `sending` after this had a process that died.
_CLAIM_SECONDS: Final = 120
# A little less than WhatsApp's 24 hours, for the way there.
_WINDOW_MINUTES: Final = 24 * 60 - 10

_STANDING = text("""
    /* wish_replies.standing   Whether the person gets nothing now, and what would be written back. */
    SELECT EXISTS (SELECT FROM suppressions WHERE business_id = :business_id AND phone = :phone) AS is_out,
           CASE CAST(:wish AS text) WHEN 'stop' THEN b.opt_out_reply ELSE b.opt_in_reply END AS body
      FROM businesses b WHERE b.id = :business_id
""")

_PROMISE = text("""
    /* wish_replies.promise   One for each message, whatever phones of its writer are known. */
    INSERT INTO wish_replies (business_id, channel_id, phone, wish, answers, written_at, body)
    VALUES (:business_id, :channel_id, :phone, :wish, :answers, :written_at, :body)
        ON CONFLICT (channel_id, answers) DO NOTHING
""")

_GIVE_UP = text("""
    /* wish_replies.give_up   Cost: what is open, by a partial index. */
    UPDATE wish_replies w
       SET status = CASE w.status WHEN 'sending' THEN 'unknown' ELSE 'dropped' END,
           error_message = CASE w.status WHEN 'sending' THEN 'The worker stopped before it heard an answer.'
                                         ELSE 'It could not be sent while it was still of use.' END
     WHERE (w.status = 'sending' AND w.claimed_at < clock_timestamp() - :claim_seconds * interval '1 second')
        OR (w.status = 'waiting'
            AND (w.written_at < clock_timestamp() - :window_minutes * interval '1 minute'
                 OR (w.wish = 'stop') <> EXISTS (SELECT FROM suppressions s
                                                  WHERE s.business_id = w.business_id AND s.phone = w.phone)))
""")

_CLAIM = text("""
    /* wish_replies.claim   Whoever else claims takes others. Committed before any request leaves. */
    WITH due AS (
        SELECT w.id FROM wish_replies w
         WHERE w.status = 'waiting' AND w.id IN (
               SELECT id FROM (SELECT id, row_number() OVER (PARTITION BY channel_id ORDER BY id) AS place
                                 FROM wish_replies
                                WHERE status = 'waiting' AND coalesce(next_attempt_at, '-infinity') <= clock_timestamp()
                              ) AS ranked
                WHERE place <= :a_round)
         ORDER BY w.id LIMIT :most FOR UPDATE SKIP LOCKED
    )
    UPDATE wish_replies w
       SET status = 'sending', attempts = w.attempts + 1, claimed_at = clock_timestamp(), next_attempt_at = NULL
      FROM due WHERE w.id = due.id AND w.status = 'waiting'
    RETURNING w.id, w.channel_id, w.phone, w.body, w.attempts
""")

_RECORD = text("""
    /* wish_replies.record   Also where it has been given up in between: an answer is worth more than none. */
    UPDATE wish_replies
       SET status = :status, message_id = :message_id, error_code = :error_code, error_message = :error_message,
           next_attempt_at = CASE WHEN CAST(:status AS text) = 'waiting'
                                  THEN clock_timestamp() + :retry_seconds * interval '1 second' END
     WHERE id = :id AND attempts = :attempts AND status IN ('sending', 'unknown')
""")

RETENTION_DAYS: Final = 90
_FORGET = text("""
    /* wish_replies.forget   Cost: the oldest five thousand are looked at, by their key. */
    WITH oldest AS (SELECT id, status, created_at FROM wish_replies ORDER BY id LIMIT 5000)
    DELETE FROM wish_replies WHERE id IN (
        SELECT id FROM oldest
         WHERE created_at < clock_timestamp() - :days * interval '1 day' AND status NOT IN ('waiting', 'sending'))
""")


async def forget(connection: AsyncConnection) -> None:
    """Delete what was written back so long ago that nobody asks; who wanted what is kept with their wishes."""
    await connection.execute(_FORGET, {"days": RETENTION_DAYS})


# --- promised with the wish


async def tell(connection: AsyncConnection, wish: WishTold, written: Written | None) -> None:
    """Let a wish be known (`consents.tell`); where it changes whether the person gets messages, promise the reply.

    written: the message that the person wrote or tapped; None where they used WhatsApp's own switch.
    """
    if written is None:
        await consents.tell(connection, wish)
        return
    which = {"business_id": wish.business_id, "phone": wish.phone, "wish": wish.wish}
    before = (await connection.execute(_STANDING, which)).one()
    await consents.tell(connection, wish)
    if before.body is None:
        return
    after = (await connection.execute(_STANDING, which)).one()
    if before.is_out == after.is_out:
        return
    promised = {
        **which,
        "phone": written.message.phone or wish.phone,
        "channel_id": written.channel_id,
        "answers": written.message.message_id,
        "written_at": written.message.at,
        "body": before.body,
    }
    await connection.execute(_PROMISE, promised)


# --- sent


async def send_due(engine: AsyncEngine, vault: Vault, client: WhatsAppClient) -> int:
    """Send a few of the replies that wait, each in its own request. Returns how many were tried.

    client: its time-out is how long a round may take.
    """
    async with engine.begin() as connection:
        values = {"claim_seconds": _CLAIM_SECONDS, "window_minutes": _WINDOW_MINUTES}
        await connection.execute(_GIVE_UP, values)
    async with engine.begin() as connection:
        claimed = (await connection.execute(_CLAIM, {"a_round": A_ROUND, "most": MOST_A_ROUND})).all()
        senders = {row.channel_id: await _sender(connection, vault, row.channel_id) for row in claimed}
    if not claimed:
        return 0
    answers = await asyncio.gather(*(_send(client, senders[row.channel_id], row) for row in claimed))
    await _record(engine, answers)
    return len(claimed)


async def _record(engine: AsyncEngine, answers: Sequence[dict[str, Any]]) -> None:
    async with engine.begin() as connection:
        await connection.execute(_RECORD, [{"retry_seconds": _RETRY_SECONDS, **answer} for answer in answers])


async def _sender(connection: AsyncConnection, vault: Vault, channel_id: int) -> Sender | str:
    """The number, or why it cannot send."""
    try:
        return await channels.sender(connection, vault, channel_id)
    except (BadInput, NotFound) as error:
        return str(error)


async def _send(client: WhatsAppClient, sender: Sender | str, row: Row[Any]) -> dict[str, Any]:
    answer = {"id": row.id, "attempts": row.attempts, "message_id": None, "error_code": None, "error_message": None}
    if isinstance(sender, str):
        return {**answer, "status": "failed", "error_message": sender}
    body = {
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        "to": row.phone,
        "type": "text",
        "text": {"body": row.body, "preview_url": False},
        "biz_opaque_callback_data": f"w{row.id}",
    }
    outcome = await client.send(sender.phone_number_id, sender.token, msgspec.json.encode(body))
    return {**answer, **_meaning(outcome, row.attempts)}


def _meaning(outcome: Outcome, attempts: int) -> dict[str, Any]:
    again = "waiting" if attempts < MOST_ATTEMPTS else "failed"
    match outcome:
        case Accepted():
            return {"status": "sent", "message_id": outcome.message_id}
        case Refused():
            is_final = isinstance(reaction_for(outcome), Fail | Breaker)
            said = {"error_code": outcome.code, "error_message": explain(outcome)}
            return {"status": "failed" if is_final else again, **said}
        case NeverLeft():
            return {"status": again, "error_message": outcome.reason}
        case Ambiguous():
            return {"status": "unknown", "error_message": outcome.reason}
        case _:
            assert_never(outcome)
