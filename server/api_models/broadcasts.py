"""A broadcast: as it is asked for, and as it stands."""

from typing import Annotated, Any, Self

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from server.api_models.messages import TemplateMessage, TextMessage
from server.api_models.recipients import People, Rejected
from server.api_models.shared import Instant, Name, Strict, country, within_the_calendar
from server.domain.states import BroadcastStatus


class BroadcastRequest(Strict):
    """A broadcast to make."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {
                "name": "Spring sale",
                "template": {
                    "name": "order_update",
                    "language": "en_US",
                    "variables": {"1": "{{first_name}}", "2": "{{order_id}}"},
                },
                "recipients": [{"phone": "+972501234567", "variables": {"first_name": "Dana", "order_id": "A-17"}}],
                "default_country": "IL",
                "start": True,
            }
        },
    )

    name: Name
    channel_id: Annotated[int | None, Field(ge=1, lt=2**63)] = None
    template: TemplateMessage | None = None
    text: TextMessage | None = None
    recipients: People = Field(default=[])
    default_country: Annotated[str | None, AfterValidator(lambda code: code and country(code))] = None
    rate_limit: Annotated[int | None, Field(ge=1, le=1_000_000, description="messages per second")] = None
    scheduled_at: Annotated[AwareDatetime, AfterValidator(within_the_calendar)] | None = None
    start: bool = True

    @model_validator(mode="after")
    def _one_message(self) -> Self:
        if (self.template is None) == (self.text is None):
            raise ValueError("A broadcast has either a template or a text.")
        return self

    def message(self) -> dict[str, Any]:
        """The message as the row keeps it."""
        if self.template is not None:
            return {"template": self.template.model_dump(exclude_none=True, exclude_defaults=True)}
        assert self.text is not None
        return {"text": self.text.model_dump()}


class Broadcast(BaseModel):
    """A broadcast as it stands."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "id": 7,
                "business_id": 1,
                "name": "Spring sale",
                "status": "running",
                "pause_reason": None,
                "status_detail": None,
                "resume_at": None,
                "total_recipients": 1000,
                "processed_count": 400,
                "sent_count": 390,
                "delivered_count": 310,
                "read_count": 120,
                "failed_count": 10,
                "cancelled_count": 0,
                "skipped_count": 0,
                "unknown_count": 0,
                "replied_count": 0,
                "cancel_requested": False,
                "last_processed_recipient_id": 400,
                "rate_limit": 80,
                "current_rate": 79.6,
                "limited_by": "your_rate",
                "created_at": "2026-11-25T09:00:00Z",
                "scheduled_at": None,
                "started_at": "2026-11-25T09:00:01Z",
                "completed_at": None,
                "eta": "2026-11-25T09:00:14Z",
                "rejected": [{"row": 3, "phone": "12", "reason": "not a phone number"}],
                "rejected_count": 1,
                "retry_of": None,
                "retried_by": [],
            }
        }
    )

    id: int
    business_id: int
    name: str
    status: BroadcastStatus
    pause_reason: str | None
    status_detail: str | None
    resume_at: Instant | None
    total_recipients: int
    processed_count: int
    sent_count: int
    delivered_count: int
    read_count: int
    failed_count: int
    cancelled_count: int
    skipped_count: int
    unknown_count: int
    replied_count: int
    cancel_requested: bool
    last_processed_recipient_id: int
    rate_limit: int | None
    current_rate: float | None
    limited_by: str | None
    created_at: Instant
    scheduled_at: Instant | None
    started_at: Instant | None
    completed_at: Instant | None
    eta: Instant | None
    rejected: list[Rejected]
    rejected_count: int
    retry_of: Annotated[int | None, Field(description="the broadcast whose failed people this one goes to")]
    retried_by: Annotated[list[int], Field(description="the broadcasts that try its failed people again")]


class BroadcastPage(BaseModel):
    """One page of broadcasts, the newest first."""

    items: list[Broadcast]
    next_cursor: str | None
