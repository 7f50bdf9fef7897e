"""What WhatsApp said by webhook: raw bodies that wait, statuses, messages of people, and news of the account."""

from datetime import datetime

from sqlalchemy import ForeignKey, LargeBinary, func
from sqlalchemy.orm import Mapped, mapped_column

from server.models.base import Base


class WebhookBody(Base):
    """A POST that was answered with 200 and is not applied yet."""

    __tablename__ = "webhook_inbox"

    id: Mapped[int] = mapped_column(primary_key=True)
    channel_id: Mapped[int] = mapped_column(ForeignKey("channels.id"))  # whose app secret signed it
    received_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    body: Mapped[bytes] = mapped_column(LargeBinary)


class WebhookOddity(Base):
    """Something that nothing could be done with, as it came."""

    __tablename__ = "webhook_oddities"

    id: Mapped[int] = mapped_column(primary_key=True)
    channel_id: Mapped[int] = mapped_column(ForeignKey("channels.id"))
    received_at: Mapped[datetime]
    reason: Mapped[str]
    raw: Mapped[bytes] = mapped_column(LargeBinary)


class MessageStatus(Base):
    """One status of one message; each once, however often it comes."""

    __tablename__ = "message_statuses"

    message_id: Mapped[str] = mapped_column(primary_key=True)
    status: Mapped[str] = mapped_column(primary_key=True)
    channel_id: Mapped[int] = mapped_column(primary_key=True)
    broadcast_id: Mapped[int | None]
    recipient_id: Mapped[int | None]
    at: Mapped[datetime]
    received_at: Mapped[datetime]
    raw: Mapped[str]


class InboundMessage(Base):
    """What a person wrote or tapped, and the broadcast it answers."""

    __tablename__ = "inbound_messages"

    id: Mapped[int] = mapped_column(primary_key=True)
    business_id: Mapped[int] = mapped_column(ForeignKey("businesses.id"))
    channel_id: Mapped[int]
    message_id: Mapped[str]
    phone: Mapped[str | None]
    user_id: Mapped[str | None]  # the person's id within the business portfolio, where WhatsApp keeps the number back
    kind: Mapped[str]
    body: Mapped[str | None]
    at: Mapped[datetime]
    received_at: Mapped[datetime]
    broadcast_id: Mapped[int | None]
    recipient_id: Mapped[int | None]
    raw: Mapped[str]


class ConsentChange(Base):
    """Somebody stopped messages or asked for them again: when, how, and what proves it. Only ever added to."""

    __tablename__ = "consent_changes"

    id: Mapped[int] = mapped_column(primary_key=True)
    business_id: Mapped[int] = mapped_column(ForeignKey("businesses.id"))
    phone: Mapped[str]
    wish: Mapped[str]
    source: Mapped[str]
    proof: Mapped[str | None]
    ip: Mapped[str | None]  # where the person, or the request that told it, came from
    note: Mapped[str | None]
    at: Mapped[datetime]
    recorded_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())


class AccountUpdate(Base):
    """News of a template, a number or an account."""

    __tablename__ = "account_updates"

    id: Mapped[int] = mapped_column(primary_key=True)
    channel_id: Mapped[int] = mapped_column(ForeignKey("channels.id"))
    field: Mapped[str]
    hash: Mapped[bytes] = mapped_column(LargeBinary)
    received_at: Mapped[datetime]
    raw: Mapped[str]


class WishReply(Base):
    """What is written back to a person who stopped or started by a message: one for each such message, sent once."""

    __tablename__ = "wish_replies"

    id: Mapped[int] = mapped_column(primary_key=True)
    business_id: Mapped[int] = mapped_column(ForeignKey("businesses.id"))
    channel_id: Mapped[int]
    phone: Mapped[str]
    wish: Mapped[str]
    answers: Mapped[str]  # the id of the person's message
    written_at: Mapped[datetime]  # when the person wrote it: their window opened then
    body: Mapped[str]
    status: Mapped[str] = mapped_column(server_default="waiting")
    attempts: Mapped[int] = mapped_column(server_default="0")
    next_attempt_at: Mapped[datetime | None]
    claimed_at: Mapped[datetime | None]
    message_id: Mapped[str | None]
    error_code: Mapped[int | None]
    error_message: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
