"""The people a business knows, and the groups of them that it has saved."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Text, func
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from server.models.base import Base


class Contact(Base):
    """A person. Whether they opted out is not here: `suppressions` is the one place that says it, by phone."""

    __tablename__ = "contacts"

    id: Mapped[int] = mapped_column(primary_key=True)
    business_id: Mapped[int] = mapped_column(ForeignKey("businesses.id"))
    phone: Mapped[str]  # E.164 with its plus; once a business
    name: Mapped[str | None]
    tags: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default="{}")  # as `domain/contacts.py` writes them
    attributes: Mapped[dict[str, Any]] = mapped_column(server_default="{}")  # text to text, no value empty
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Segment(Base):
    """An audience with a name. Who is in it is looked up whenever it is used."""

    __tablename__ = "segments"

    id: Mapped[int] = mapped_column(primary_key=True)
    business_id: Mapped[int] = mapped_column(ForeignKey("businesses.id"))
    name: Mapped[str]
    audience: Mapped[dict[str, Any]]  # as `domain/audience.py` reads it
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())
