"""The plan of a broadcast: whom WhatsApp's messaging limit lets it reach on which day."""

from datetime import date

from pydantic import BaseModel, ConfigDict


class PlannedDay(BaseModel):
    """How many people are reached on a day of UTC."""

    date: date
    people: int


class SendingPlan(BaseModel):
    """The days on which anybody is reached. limit, left: people a day, and now; null where there is no limit."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "recipients": 2500,
                "limit": 1000,
                "left": 1000,
                "spread_over_days": True,
                "days": [
                    {"date": "2026-11-25", "people": 1000},
                    {"date": "2026-11-26", "people": 1000},
                    {"date": "2026-11-27", "people": 500},
                ],
                "later_count": 0,
            }
        }
    )

    recipients: int
    limit: int | None
    left: int | None
    spread_over_days: bool
    days: list[PlannedDay]
    later_count: int
