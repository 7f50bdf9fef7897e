"""Messages that were sent as a test of a broadcast: counted nowhere."""

from datetime import datetime

from sqlalchemy import ForeignKey, func
from sqlalchemy.orm import Mapped, mapped_column

from server.models.base import Base


class TestMessage(Base):
    """One test message and what became of the request; what WhatsApp reports later is among `message_statuses`."""

    __tablename__ = "test_messages"

    id: Mapped[int] = mapped_column(primary_key=True)
    business_id: Mapped[int] = mapped_column(ForeignKey("businesses.id"))
    broadcast_id: Mapped[int] = mapped_column(ForeignKey("whatsapp_broadcasts.id"))
    channel_id: Mapped[int]
    phone: Mapped[str]
    status: Mapped[str]
    message_id: Mapped[str | None]
    error_code: Mapped[int | None]
    error_message: Mapped[str | None]
    sent_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
