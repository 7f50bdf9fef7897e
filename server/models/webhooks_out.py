"""Whom a business wants told of events, and the outbox of what is to be told."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, FetchedValue, ForeignKey, Text, func
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from server.models.base import Base


class WebhookEndpoint(Base):
    """An address that is told of events. Disabled: by a person, or because it failed; removed: by a person."""

    __tablename__ = "webhook_endpoints"

    id: Mapped[int] = mapped_column(primary_key=True)
    business_id: Mapped[int] = mapped_column(ForeignKey("businesses.id"))
    url: Mapped[str]
    description: Mapped[str] = mapped_column(server_default="")
    events: Mapped[list[str]] = mapped_column(ARRAY(Text))
    secret_encrypted: Mapped[str]
    old_secret_encrypted: Mapped[str | None]
    old_secret_until: Mapped[datetime | None]  # until then it signs beside the new one
    failing_since: Mapped[datetime | None]  # the first failure after the last success
    rest_until: Mapped[datetime | None]  # one that fails is left alone between two attempts
    disabled_at: Mapped[datetime | None]
    disabled_reason: Mapped[str | None]
    removed_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())


class WebhookDelivery(Base):
    """One event for one endpoint. Due while it has a next attempt and no lease; attempts: the log of the last ones."""

    __tablename__ = "webhook_deliveries"

    id: Mapped[int] = mapped_column(primary_key=True)
    business_id: Mapped[int] = mapped_column(ForeignKey("businesses.id"))
    endpoint_id: Mapped[int]
    event: Mapped[str]
    message_id: Mapped[str] = mapped_column(server_default=FetchedValue())
    data: Mapped[dict[str, Any]] = mapped_column(JSON)
    status: Mapped[str] = mapped_column(server_default="pending")
    created_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    next_attempt_at: Mapped[datetime | None] = mapped_column(server_default=func.clock_timestamp())
    leased_until: Mapped[datetime | None]
    attempt_count: Mapped[int] = mapped_column(server_default="0")
    trying_since: Mapped[datetime | None]
    delivered_at: Mapped[datetime | None]
    attempts: Mapped[list[Any]] = mapped_column(server_default="[]")
