"""What WhatsApp charges, as a business has imported it."""

from datetime import date, datetime
from decimal import Decimal

from sqlalchemy import ForeignKey, Numeric, func
from sqlalchemy.orm import Mapped, mapped_column

from server.models.base import Base


class RateCardPrice(Base):
    """One price of a business's rate card; `domain/rate_cards.py` says what it means."""

    __tablename__ = "rate_card_prices"

    business_id: Mapped[int] = mapped_column(ForeignKey("businesses.id"), primary_key=True)
    country: Mapped[str] = mapped_column(primary_key=True)  # ISO 3166, or * for every other
    category: Mapped[str] = mapped_column(primary_key=True)
    valid_from: Mapped[date] = mapped_column(primary_key=True)
    price: Mapped[Decimal] = mapped_column(Numeric(12, 6))
    currency: Mapped[str]  # the same for a whole card
    imported_at: Mapped[datetime] = mapped_column(server_default=func.now())
