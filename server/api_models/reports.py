"""What can be asked about a broadcast beside how it stands: its history, its bill, its pre-flight."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from server.api_models.prices import CostShown
from server.api_models.shared import Instant
from server.domain.preflight import Code, Level


class HistoryEntry(BaseModel):
    """One change of a broadcast: who or what, from, to, why."""

    at: Instant
    actor: str
    move: str
    from_status: str
    to_status: str
    reason: str | None
    detail: str | None
    recipient_id: Annotated[int | None, Field(description="whom alone it is about")]
    hash: Annotated[str, Field(description="of this change and all before it: docs/receipt.md")]


class HistoryPage(BaseModel):
    """The audit trail, the oldest first."""

    items: list[HistoryEntry]
    next_cursor: str | None


class Billed(BaseModel):
    """Messages that WhatsApp billed alike. Only the type `regular` costs anything."""

    category: Annotated[str, Field(examples=["marketing"])]
    type: Annotated[str, Field(examples=["regular"])]
    country: Annotated[str | None, Field(examples=["IL"])]
    count: int


class Billing(BaseModel):
    """What WhatsApp says it bills of a broadcast."""

    items: list[Billed]


class PreflightFinding(BaseModel):
    """One thing that was found."""

    level: Level
    code: Code
    detail: str


class Preflight(BaseModel):
    """What can be known of a broadcast before it starts; `ok` where nothing stops it."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "ok": True,
                "findings": [{"level": "info", "code": "duration", "detail": "At 80 messages a second it takes 12 s."}],
                "recipients": 1000,
                "seconds": 12.5,
                "cost": None,
            }
        }
    )

    ok: bool
    findings: list[PreflightFinding]
    recipients: Annotated[int, Field(description="people who would be sent to")]
    seconds: Annotated[float, Field(description="what the rate alone makes it take; 0 where there is no limit")]
    cost: Annotated[CostShown | None, Field(description="null where it is not known: no rate card, or free text")]
