"""Rate cards and costs. Amounts are decimals as text: no float has them exactly."""

from datetime import date
from typing import Annotated

from pydantic import BaseModel, Field

from server.api_models.shared import Instant

Amount = Annotated[str, Field(description="a decimal", examples=["0.0353"])]
Currency = Annotated[str | None, Field(description="ISO 4217", examples=["EUR"])]


class PriceShown(BaseModel):
    """What one delivered template message costs from a day on."""

    country: Annotated[str, Field(description="ISO 3166, or * for every other", examples=["IL"])]
    category: Annotated[str, Field(examples=["marketing"])]
    price: Amount
    valid_from: date


class RateCardShown(BaseModel):
    """The prices of a business, by country."""

    currency: Currency
    imported_at: Instant | None
    items: list[PriceShown]


class RateCardTaken(BaseModel):
    """What came in."""

    currency: Currency
    prices_count: int
    countries_count: int


class CountryCostShown(BaseModel):
    """What the people of one country cost."""

    country: Annotated[str | None, Field(description="null for numbers of no country", examples=["IL"])]
    category: str
    recipients: int
    free: Annotated[int, Field(description="of them, inside the 24-hour window, where a utility template is free")]
    price: Amount
    cost: Amount


class UnpricedCountry(BaseModel):
    """People for whom the rate card has no price."""

    country: str | None
    recipients: int


class CostShown(BaseModel):
    """What it costs if everybody gets it, by the rate card of the business."""

    currency: str
    total: Annotated[str, Field(description="of those who have a price", examples=["431.20"])]
    by_country: list[CountryCostShown]
    missing: list[UnpricedCountry]
    prices_date: Annotated[date | None, Field(description="since when the newest price that was used is valid")]
