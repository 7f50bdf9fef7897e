"""A business, the people who sign in for it, the keys that programs use, and what all of them did."""

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
    approval_over: Mapped[int | None]  # a broadcast to more people needs a second person; none: no broadcast does


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
    totp_secret_encrypted: Mapped[str | None]  # of the second step of the sign-in
    totp_confirmed_at: Mapped[datetime | None]  # a first code was right; without it nobody is asked for one
    totp_last_step: Mapped[int | None]  # of the last code that was taken: no code is taken twice


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


class RecoveryCode(Base):
    """A code that opens once, for whoever lost their second step. Only its hash is kept."""

    __tablename__ = "recovery_codes"

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    business_id: Mapped[int] = mapped_column(ForeignKey("businesses.id"))
    code_hash: Mapped[str]


class SignInStep(Base):
    """Somebody gave the right password, and owes the code. No session: nothing opens by it."""

    __tablename__ = "sign_in_steps"

    id: Mapped[int] = mapped_column(primary_key=True)
    token_hash: Mapped[str]
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    business_id: Mapped[int] = mapped_column(ForeignKey("businesses.id"))
    created_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())


class Invite(Base):
    """Somebody may join by a link. Gone once it was used; only the hash of what the link holds is kept."""

    __tablename__ = "invites"

    id: Mapped[int] = mapped_column(primary_key=True)
    business_id: Mapped[int] = mapped_column(ForeignKey("businesses.id"))
    token_hash: Mapped[str]
    email: Mapped[str]
    role: Mapped[str]
    invited_by: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    expires_at: Mapped[datetime]


class AuditEntry(Base):
    """Who did what: a person or a key, by name too, for both may be gone. Only ever added to."""

    __tablename__ = "audit_entries"

    id: Mapped[int] = mapped_column(primary_key=True)
    business_id: Mapped[int] = mapped_column(ForeignKey("businesses.id"))
    at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    user_id: Mapped[int | None]
    key_id: Mapped[int | None]
    who: Mapped[str]
    act: Mapped[str]
    subject: Mapped[str] = mapped_column(server_default="")  # to what or whom, by its name
    detail: Mapped[str] = mapped_column(server_default="")
    address: Mapped[str | None]  # of the network that it came from


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
