"""The row that is the broadcast, its recipients, its history, and the gate in front of it."""

from datetime import datetime
from typing import Any

from sqlalchemy import DateTime, ForeignKey, Integer, SmallInteger, func
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from server.models.base import Base


class WhatsAppBroadcast(Base):
    """A broadcast: the one place that knows what happened and what is left.

    At every commit the counters equal a GROUP BY over the recipients:
    processed = sent + failed + cancelled + skipped; `unknown`, `queued` and `sending` make up the rest of the total.
    """

    __tablename__ = "whatsapp_broadcasts"

    id: Mapped[int] = mapped_column(primary_key=True)
    business_id: Mapped[int] = mapped_column(ForeignKey("businesses.id"))
    channel_id: Mapped[int | None] = mapped_column(ForeignKey("channels.id"))
    name: Mapped[str]
    message: Mapped[dict[str, Any]]  # {"template": {...}} or {"text": {...}}, as POST /broadcasts takes it
    default_country: Mapped[str | None]
    # Whom of the contacts it takes when it starts; none: it has a list.
    audience: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    retry_of: Mapped[int | None]  # the broadcast whose failed people this one goes to
    rate_limit: Mapped[int | None]  # messages per second; none: the channel's own
    canary: Mapped[dict[str, Any] | None]  # its bounds, as `domain/canary.py` has them; none: no canary
    canary_judged_at: Mapped[datetime | None]  # it passed, or a person resumed: everybody else may be sent to
    is_marketing: Mapped[bool] = mapped_column(server_default="false")  # its template, when the last run began
    spread_over_days: Mapped[bool] = mapped_column(server_default="false")

    status: Mapped[str] = mapped_column(server_default="draft")
    pause_reason: Mapped[str | None]
    status_detail: Mapped[str | None]  # one plain sentence on why it stands where it stands
    resume_at: Mapped[datetime | None]
    cancel_requested: Mapped[bool] = mapped_column(server_default="false")

    total_recipients: Mapped[int] = mapped_column(server_default="0")
    processed_count: Mapped[int] = mapped_column(server_default="0")
    sent_count: Mapped[int] = mapped_column(server_default="0")
    delivered_count: Mapped[int] = mapped_column(server_default="0")
    read_count: Mapped[int] = mapped_column(server_default="0")
    failed_count: Mapped[int] = mapped_column(server_default="0")
    cancelled_count: Mapped[int] = mapped_column(server_default="0")
    skipped_count: Mapped[int] = mapped_column(server_default="0")
    unknown_count: Mapped[int] = mapped_column(server_default="0")
    replied_count: Mapped[int] = mapped_column(server_default="0")  # people who answered
    # Since the last resume, by webhook: last words, failures among them, and those that may be everybody's.
    reported_count: Mapped[int] = mapped_column(server_default="0")
    reported_failed_count: Mapped[int] = mapped_column(server_default="0")
    reported_alike_count: Mapped[int] = mapped_column(server_default="0")

    # The cursor: every recipient with a smaller or equal id was claimed at least once.
    last_processed_recipient_id: Mapped[int] = mapped_column(server_default="0")
    # Every recipient with a smaller or equal id has an outcome or a next_attempt_at. What a dead run left `sending`
    # lies between this and the cursor (or waited, and has 1970 as next_attempt_at): taking over looks nowhere else.
    settled_through_id: Mapped[int] = mapped_column(server_default="0")

    run_epoch: Mapped[int] = mapped_column(Integer, server_default="0")
    lease_holder: Mapped[str | None]
    lease_expires_at: Mapped[datetime | None]

    current_rate: Mapped[float | None]  # messages per second, of the last seconds
    limited_by: Mapped[str | None]  # what the engine waits for: domain/limits.py

    # What an honest eta needs beside the counters (domain/eta.py), written once a run and with the records.
    allowed_rate: Mapped[float | None]  # messages per second that the run may send; none: as fast as it can
    reachable_count: Mapped[int | None]  # people who may have been dealt with when the messaging limit stops the run
    waits_until: Mapped[datetime | None]  # nobody who was put off is put off for longer
    waits: Mapped[dict[str, Any]] = mapped_column(server_default="{}")  # people by until when (since 1970) they wait

    rejected: Mapped[list[Any]] = mapped_column(server_default="[]")  # the first 1,000: row, phone, reason
    rejected_count: Mapped[int] = mapped_column(server_default="0")

    history_head: Mapped[str] = mapped_column(server_default="0" * 64)  # the hash of the last event

    # A draft that waits for a second person: who asked (none: they are gone), when, and for what exactly.
    approval_requested_by: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    approval_requested_at: Mapped[datetime | None]
    approval_fingerprint: Mapped[str | None]

    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    scheduled_at: Mapped[datetime | None]
    # By each person's own clock: what that clock shows when they get it, and when the first of them may.
    by_local_time: Mapped[bool] = mapped_column(server_default="false")
    local_time: Mapped[datetime | None] = mapped_column(DateTime(timezone=False))
    starts_at: Mapped[datetime | None]
    started_at: Mapped[datetime | None]
    completed_at: Mapped[datetime | None]


class WhatsAppBroadcastRecipient(Base):
    """One person of one broadcast. A phone stands in a broadcast once: a unique index holds it."""

    __tablename__ = "whatsapp_broadcast_recipients"

    broadcast_id: Mapped[int] = mapped_column(primary_key=True)
    id: Mapped[int] = mapped_column(primary_key=True)
    business_id: Mapped[int]
    row_number: Mapped[int | None]  # line of the person in the list they came in
    phone: Mapped[str]  # E.164 with its plus
    variables: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
    status: Mapped[str] = mapped_column(server_default="queued")
    attempts: Mapped[int] = mapped_column(SmallInteger, server_default="0")
    # The fencing token of one recipient: every claim adds one, and an outcome is recorded for its own claim alone.
    claim_number: Mapped[int] = mapped_column(Integer, server_default="0")
    next_attempt_at: Mapped[
        datetime | None
    ]  # while it waits behind the cursor; claimed from there, until its outcome, 1970
    unknown_at: Mapped[datetime | None]  # set while the row is unknown
    was_unknown: Mapped[bool] = mapped_column(server_default="false")  # failed, and may have got it all the same
    message_id: Mapped[str | None]
    error_code: Mapped[int | None] = mapped_column(Integer)
    error_message: Mapped[str | None]
    sent_at: Mapped[datetime | None]
    delivered_at: Mapped[datetime | None]
    read_at: Mapped[datetime | None]
    failed_at: Mapped[datetime | None]
    claimed_at: Mapped[datetime | None]  # of the last claim: a request left soon after, if it left
    heard_at: Mapped[datetime | None]  # when the first status of a message to this person came by webhook
    replied_at: Mapped[datetime | None]
    price_category: Mapped[str | None]  # as WhatsApp says it bills: marketing, utility …
    price_type: Mapped[str | None]  # regular, free_customer_service, free_entry_point


class BroadcastEvent(Base):
    """One change of a broadcast: who or what, from, to, why. Only ever added to, and only by `services/events`."""

    __tablename__ = "broadcast_events"

    id: Mapped[int] = mapped_column(primary_key=True)
    broadcast_id: Mapped[int] = mapped_column(ForeignKey("whatsapp_broadcasts.id"))
    business_id: Mapped[int]
    at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    actor: Mapped[str]
    move: Mapped[str]
    from_status: Mapped[str]
    to_status: Mapped[str]
    reason: Mapped[str | None]
    detail: Mapped[str | None]
    recipient_id: Mapped[int | None]  # whom alone it is about
    hash: Mapped[str]  # of this event and all before it: `domain/history`


class BroadcastSample(Base):
    """The counters of a broadcast at an instant, for a plot over time."""

    __tablename__ = "broadcast_samples"

    broadcast_id: Mapped[int] = mapped_column(ForeignKey("whatsapp_broadcasts.id"), primary_key=True)
    at: Mapped[datetime] = mapped_column(primary_key=True)
    business_id: Mapped[int]
    sent_count: Mapped[int]
    delivered_count: Mapped[int]
    read_count: Mapped[int]
    failed_count: Mapped[int]


class SendAttempt(Base):
    """An attempt that did not simply end in acceptance: what the recipient's row has room for only until the next.

    outcome: `failed`, `put_off`, `unknown`, or `accepted` where WhatsApp reported a failure later and another attempt
    was due.
    """

    __tablename__ = "send_attempts"

    broadcast_id: Mapped[int] = mapped_column(primary_key=True)
    recipient_id: Mapped[int] = mapped_column(primary_key=True)
    claim_number: Mapped[int] = mapped_column(Integer, primary_key=True)
    business_id: Mapped[int]
    claimed_at: Mapped[datetime | None]
    ended_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    outcome: Mapped[str]
    is_counted: Mapped[bool]  # false where it does not count against the attempts that a person may have
    message_id: Mapped[str | None]
    error_code: Mapped[int | None] = mapped_column(Integer)
    error_message: Mapped[str | None]


class ReceiptKey(Base):
    """The key pair that signs receipts: one for all processes of this database."""

    __tablename__ = "receipt_keys"

    id: Mapped[int] = mapped_column(SmallInteger, primary_key=True, server_default="1")
    private_key_encrypted: Mapped[str]
    public_key: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class BulkGateRow(Base):
    """The gate of one business and one kind of bulk operation. The row stays, so that the token only ever grows."""

    __tablename__ = "bulk_gates"

    business_id: Mapped[int] = mapped_column(ForeignKey("businesses.id"), primary_key=True)
    operation: Mapped[str] = mapped_column(primary_key=True)
    holder: Mapped[str | None]
    broadcast_id: Mapped[int | None]
    fencing_token: Mapped[int] = mapped_column(server_default="0")
    expires_at: Mapped[datetime | None]
    window_started_at: Mapped[datetime | None]
    starts_in_window: Mapped[int] = mapped_column(Integer, server_default="0")


class IdempotencyKey(Base):
    """A request that was answered: the same key and body give the same answer for 24 hours.

    A request that made a broadcast names it, and its answer is the broadcast as it stands; every other has its answer.
    """

    __tablename__ = "idempotency_keys"

    business_id: Mapped[int] = mapped_column(ForeignKey("businesses.id"), primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    body_hash: Mapped[str]
    broadcast_id: Mapped[int | None] = mapped_column(ForeignKey("whatsapp_broadcasts.id"))
    status: Mapped[int | None]
    answer: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Suppression(Base):
    """A person who gets nothing from this business until they say otherwise."""

    __tablename__ = "suppressions"

    business_id: Mapped[int] = mapped_column(ForeignKey("businesses.id"), primary_key=True)
    phone: Mapped[str] = mapped_column(primary_key=True)
    reason: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
