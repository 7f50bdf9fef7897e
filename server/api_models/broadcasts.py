"""A broadcast: as it is asked for, and as it stands."""

from typing import Annotated, Any, Self

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from server.api_models.audiences import AudienceRequest
from server.api_models.messages import TemplateMessage, TextMessage
from server.api_models.recipients import People, Rejected
from server.api_models.shared import Instant, Name, Strict, country, within_the_calendar
from server.domain.canary import Bounds
from server.domain.limits import Limit
from server.domain.states import BroadcastStatus


class Canary(Strict):
    """How the first people are watched before everybody else is sent to, and what lets it go on."""

    failed_percent: Annotated[float, Field(ge=0, le=100, description="who may fail, at most")] = 5
    opted_out_percent: Annotated[float, Field(ge=0, le=100, description="who may opt out, at most")] = 2
    wait_minutes: Annotated[int, Field(ge=1, le=1_440, description="the longest wait for reports")] = 15


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
    audience: Annotated[AudienceRequest | None, Field(description="in place of recipients; taken when it starts")] = (
        None
    )
    default_country: Annotated[str | None, AfterValidator(lambda code: code and country(code))] = None
    rate_limit: Annotated[int | None, Field(ge=1, le=1_000_000, description="messages per second")] = None
    scheduled_at: Annotated[AwareDatetime, AfterValidator(within_the_calendar)] | None = None
    by_local_time: Annotated[
        bool,
        Field(description="what scheduled_at reads, without its offset, is when each person gets it by their clock"),
    ] = False
    canary: Annotated[bool | Canary, Field(description="true for the usual bounds; false for none")] = False
    spread_over_days: Annotated[bool, Field(description="more people than a day allows are meant")] = False
    start: bool = True

    @model_validator(mode="after")
    def _one_message(self) -> Self:
        if (self.template is None) == (self.text is None):
            raise ValueError("A broadcast has either a template or a text.")
        if self.recipients and self.audience is not None:
            raise ValueError("A broadcast has either recipients or an audience.")
        return self

    def bounds(self) -> Bounds | None:
        """What its canary may show; None for no canary."""
        if isinstance(self.canary, Canary):
            return Bounds(**self.canary.model_dump())
        return Bounds() if self.canary else None

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
                "by_local_time": False,
                "local_time": None,
                "started_at": "2026-11-25T09:00:01Z",
                "completed_at": None,
                "eta": "2026-11-25T09:00:14Z",
                "rejected": [{"row": 3, "phone": "12", "reason": "not a phone number"}],
                "rejected_count": 1,
                "canary": {"failed_percent": 5, "opted_out_percent": 2, "wait_minutes": 15},
                "canary_judged_at": "2026-11-25T09:00:03Z",
                "spread_over_days": False,
                "audience": None,
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
    limited_by: Limit | None
    created_at: Instant
    scheduled_at: Instant | None
    by_local_time: bool
    local_time: Annotated[str | None, Field(description="what each person's clock shows when they get it")]
    started_at: Instant | None
    completed_at: Instant | None
    eta: Instant | None
    rejected: list[Rejected]
    rejected_count: int
    canary: Canary | None
    canary_judged_at: Instant | None
    spread_over_days: bool
    audience: dict[str, Any] | None
    retry_of: Annotated[int | None, Field(description="the broadcast whose failed people this one goes to")]
    retried_by: Annotated[list[int], Field(description="the broadcasts that try its failed people again")]


class StoppedBroadcast(Broadcast):
    """A broadcast that was just paused or cancelled.

    in_flight_count: people who were claimed and not written down at that instant. How each of them ended is in the
    history as soon as their answers are there.
    """

    in_flight_count: int


class BroadcastPage(BaseModel):
    """One page of broadcasts, the newest first."""

    items: list[Broadcast]
    next_cursor: str | None
