"""A business, the people who sign in for it and are signed in, and the keys that programs use."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, func
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from server.models.base import Base


class Business(Base):
    """A tenant. Everything else belongs to one."""

    __tablename__ = "businesses"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    unknown_policy: Mapped[str] = mapped_column(server_default="evidence")
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    messaging_limit: Mapped[int | None]  # unique people a day, 0 for no limit; none: Meta has not told it
    stop_words: Mapped[list[Any]] = mapped_column(server_default="[]")  # beside those of every language
    start_words: Mapped[list[Any]] = mapped_column(server_default="[]")
    opt_out_reply: Mapped[str | None]  # written back to whoever stops by a message; none: nothing is
    opt_in_reply: Mapped[str | None]  # the same for whoever starts again
    time_zone: Mapped[str] = mapped_column(server_default="UTC")  # of people whose number says nothing of a place
    quiet_hours: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))  # none: off
    frequency_cap: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))  # none: off


class User(Base):
    """A person who may sign in for a business."""

    __tablename__ = "users"

    id: Mapped[int] = mapped_column(primary_key=True)
    business_id: Mapped[int] = mapped_column(ForeignKey("businesses.id"))
    email: Mapped[str]
    password_hash: Mapped[str]
    role: Mapped[str] = mapped_column(server_default="owner")
    name: Mapped[str] = mapped_column(server_default="")  # what others call them; empty: their address
    language: Mapped[str | None]  # of the dashboard; none: their browser's
    last_signed_in_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Session(Base):
    """Somebody is signed in to the dashboard. Only the hash of what the cookie holds is kept."""

    __tablename__ = "sessions"

    id: Mapped[int] = mapped_column(primary_key=True)
    token_hash: Mapped[str]
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    business_id: Mapped[int] = mapped_column(ForeignKey("businesses.id"))
    address: Mapped[str]
    browser: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    last_seen_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())


class ApiKey(Base):
    """A key for programs. Only its SHA-256 is kept: 256 random bits need no slow hash."""

    __tablename__ = "api_keys"

    id: Mapped[int] = mapped_column(primary_key=True)
    business_id: Mapped[int] = mapped_column(ForeignKey("businesses.id"))
    name: Mapped[str]
    key_hash: Mapped[str]
    scope: Mapped[str]
    last_used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
