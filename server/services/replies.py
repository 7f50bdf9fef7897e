"""What people write: kept, linked to the broadcast it answers, counted, and obeyed where it is a wish.

A reply quotes the message it answers (its context), or else belongs to the latest message to that person within 72
hours. Each person is counted once a broadcast.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from server.domain.phones import ways_of_writing
from server.domain.sentences import said
from server.domain.webhook_events import EventKind
from server.domain.wishes import Wish, wish_of, wish_of_payload
from server.providers.webhooks import PersonWrote
from server.services import outbox, statuses
from server.services.consents import WishTold
from server.services.statuses import Place

REPLY_WITHIN_HOURS: Final = 72
_LONGEST_QUOTE: Final = 100

_BY_CONTEXT = text("""
    /* replies.by_context */
    SELECT s.broadcast_id, s.recipient_id, r.phone
      FROM message_statuses s
      JOIN whatsapp_broadcast_recipients r ON r.broadcast_id = s.broadcast_id AND r.id = s.recipient_id
     WHERE s.message_id = :answers AND r.business_id = :business_id LIMIT 1
""")

_AT_PLACE = text("""
    /* replies.at_place */
    SELECT broadcast_id, id AS recipient_id, phone FROM whatsapp_broadcast_recipients
     WHERE broadcast_id = :broadcast_id AND id = :recipient_id AND business_id = :business_id
""")

_LATEST = text("""
    /* replies.latest   Cost: one look-up for each broadcast of the business that ran within the time. */
    SELECT r.broadcast_id, r.id AS recipient_id, r.phone
      FROM whatsapp_broadcasts b
      JOIN whatsapp_broadcast_recipients r ON r.broadcast_id = b.id AND r.phone = ANY(:phones)
     WHERE b.business_id = :business_id AND b.started_at IS NOT NULL
       AND coalesce(b.completed_at, 'infinity') > CAST(:at AS timestamptz) - :hours * interval '1 hour'
       AND r.sent_at BETWEEN CAST(:at AS timestamptz) - :hours * interval '1 hour'
                         AND CAST(:at AS timestamptz) + interval '1 minute'
       AND (CAST(:answers AS text) IS NULL OR r.message_id = :answers)
     ORDER BY r.sent_at DESC LIMIT 1
""")

_KEEP = text("""
    /* replies.keep   Each message once, however often it comes. */
    INSERT INTO inbound_messages (business_id, channel_id, message_id, phone, user_id, kind, body, at, received_at,
                                  broadcast_id, recipient_id, raw)
    VALUES (:business_id, :channel_id, :message_id, :phone, :user_id, :kind, :body, :at, :received_at,
            :broadcast_id, :recipient_id, :raw)
        ON CONFLICT (channel_id, message_id) DO NOTHING RETURNING id
""")

_COUNT = text("""
    /* replies.count   Each person once. Lock: the broadcast (the caller's), then the recipient. */
    WITH first AS (
        UPDATE whatsapp_broadcast_recipients SET replied_at = :at
         WHERE broadcast_id = :broadcast_id AND id = :recipient_id AND replied_at IS NULL RETURNING 1
    )
    UPDATE whatsapp_broadcasts SET replied_count = replied_count + 1
     WHERE id = :broadcast_id AND EXISTS (SELECT FROM first)
""")

_TOLD: Final = ("broadcast_id", "recipient_id", "channel_id", "message_id", "phone", "user_id", "kind", "body", "at")

_WORDS = text("SELECT stop_words, start_words FROM businesses WHERE id = :business_id")


class Written(NamedTuple):
    """A message of a person, with the number it came to."""

    channel_id: int
    business_id: int
    received_at: datetime
    message: PersonWrote


class Answered(NamedTuple):
    """The recipient that a message answers. phone: as we have it, which WhatsApp may write in another way."""

    broadcast_id: int
    recipient_id: int
    phone: str


class Words(NamedTuple):
    """A business's own words, beside those of every language."""

    stop: Sequence[str]
    start: Sequence[str]


async def words_of(connection: AsyncConnection, business_id: int) -> Words:
    """The business's own words for stop and start."""
    row = (await connection.execute(_WORDS, {"business_id": business_id})).one()
    return Words([str(word) for word in row.stop_words], [str(word) for word in row.start_words])


async def link(connection: AsyncConnection, written: Written, told: Mapping[str, Place]) -> Answered | None:
    """Which recipient it comes from: by the message it quotes, else by the latest one to that line.

    told: where messages belong by statuses that are applied in the same transaction.
    """
    message = written.message
    values: dict[str, Any] = {
        "business_id": written.business_id,
        "answers": message.answers,
        "phones": list(ways_of_writing(message.phone)) if message.phone is not None else [],
        "at": message.at,
        "hours": REPLY_WITHIN_HOURS,
    }
    if message.answers is not None:
        row = (await connection.execute(_BY_CONTEXT, values)).one_or_none()
        if row is not None:
            return Answered(*row)
        place = told.get(message.answers)
        if place is None and message.phone is None and await _asks_for_something(connection, written):
            # Nothing else says whose wish it is, and another process may hold all that was told of the message.
            place = await statuses.search(connection, written.channel_id, message.answers)
        if place is not None:
            row = (await connection.execute(_AT_PLACE, {**values, **place._asdict()})).one_or_none()
            if row is not None:
                return Answered(*row)
    if message.phone is None:
        return None
    row = (await connection.execute(_LATEST, values)).one_or_none()
    if row is None and message.answers is not None:
        row = (await connection.execute(_LATEST, {**values, "answers": None})).one_or_none()
    return None if row is None else Answered(*row)


async def keep(connection: AsyncConnection, written: Written, answered: Answered | None) -> None:
    """Keep a message, and count its person among those who answered the broadcast (locked by the caller)."""
    message = written.message
    values = {
        "business_id": written.business_id,
        "channel_id": written.channel_id,
        "message_id": message.message_id,
        "phone": message.phone or (answered and answered.phone),
        "user_id": message.user_id,
        "kind": message.kind,
        "body": message.text,
        "at": message.at,
        "received_at": written.received_at,
        "broadcast_id": answered and answered.broadcast_id,
        "recipient_id": answered and answered.recipient_id,
        "raw": message.raw,
    }
    if await connection.scalar(_KEEP, values) is not None and answered is not None:
        await connection.execute(_COUNT, values)
        told = {name: values[name] for name in _TOLD}
        told["at"] = message.at.astimezone(UTC).isoformat().replace("+00:00", "Z")
        await outbox.tell(connection, written.business_id, EventKind.MESSAGE_REPLIED, told)


def wish_in(written: Written, answered: Answered | None, words: Words) -> list[WishTold]:
    """What the person wants, for each way of writing their phone and the one we sent to; nothing where it is no wish.

    Both ways, whether or not they were sent to: the next list may have the other one.
    """
    message = written.message
    wish, source = _wish_of(message, words)
    if wish is None:
        return []
    known = (message.phone, answered and answered.phone)
    phones = dict.fromkeys(way for phone in known if phone for way in ways_of_writing(phone))
    return [WishTold(written.business_id, phone, wish, source, message.at, message.message_id) for phone in phones]


async def _asks_for_something(connection: AsyncConnection, written: Written) -> bool:
    wish, _ = _wish_of(written.message, await words_of(connection, written.business_id))
    return wish is not None


def _wish_of(message: PersonWrote, words: Words) -> tuple[Wish | None, str]:
    """The wish in a message, and how it was told."""
    wish: Wish | None = wish_of_payload(message.payload) if message.payload else None
    if wish is None and message.text:
        return wish_of(message.text, words.stop, words.start), said('wrote "%(text)s"', text=_short(message.text))
    return wish, said('tapped "%(text)s"', text=_short(message.text or message.payload))


def _short(words: str | None) -> str:
    """Enough to recognise them by; no index takes four thousand characters."""
    return " ".join((words or "").split())[:_LONGEST_QUOTE]
