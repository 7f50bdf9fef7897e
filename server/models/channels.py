"""A channel is a sending number; its templates are what it may send."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, func
from sqlalchemy.orm import Mapped, mapped_column

from server.models.base import Base


class Channel(Base):
    """A WhatsApp number. Token, app secret and verify token are encrypted; see `secrets.py`."""

    __tablename__ = "channels"

    id: Mapped[int] = mapped_column(primary_key=True)
    business_id: Mapped[int] = mapped_column(ForeignKey("businesses.id"))
    phone_number_id: Mapped[str]
    waba_id: Mapped[str]
    display_phone_number: Mapped[str | None]
    token_encrypted: Mapped[str]
    app_secret_encrypted: Mapped[str]
    verify_token_encrypted: Mapped[str]
    rate_per_second: Mapped[int] = mapped_column(server_default="80")  # messages per second; 0: no limit of ours
    rate_is_chosen: Mapped[bool] = mapped_column(server_default="false")  # by a person; else it follows WhatsApp
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    removed_at: Mapped[datetime | None]  # late webhooks of it are still heard
    last_status_at: Mapped[datetime | None]  # when a status last came by webhook: whether the line is open
    verified_name: Mapped[str | None]  # as WhatsApp last said it, like `quality`
    quality: Mapped[str | None]
    webhook_verified_at: Mapped[datetime | None]  # Meta asked with this verify token, and was answered
    last_webhook_at: Mapped[datetime | None]  # when anything that this app secret proves last came


class Template(Base):
    """An approved (or not) message of a WhatsApp Business Account, as the Cloud API describes it."""

    __tablename__ = "templates"

    id: Mapped[int] = mapped_column(primary_key=True)
    business_id: Mapped[int] = mapped_column(ForeignKey("businesses.id"))
    waba_id: Mapped[str]
    provider_id: Mapped[str]
    name: Mapped[str]
    language: Mapped[str]
    status: Mapped[str]
    category: Mapped[str]
    parameter_format: Mapped[str] = mapped_column(server_default="POSITIONAL")
    components: Mapped[list[Any]]
    synced_at: Mapped[datetime] = mapped_column(server_default=func.now())
