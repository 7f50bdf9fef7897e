"""Webhooks of a business as the API takes and shows them."""

from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from server.api_models.shared import Instant, Strict, storable
from server.domain.webhook_events import EventKind

_URL = "https://example.com/clarion"
Address = Annotated[str, Field(min_length=1, max_length=2000, examples=[_URL]), AfterValidator(storable)]
Description = Annotated[str, Field(max_length=200, description="what it is for"), AfterValidator(storable)]
Events = Annotated[list[EventKind], Field(min_length=1, max_length=100)]


class DeliveryStatus(StrEnum):
    """Where a delivery stands."""

    PENDING = "pending"  # to be delivered at next_attempt_at
    DELIVERED = "delivered"
    FAILED = "failed"  # given up; it may be redelivered


class WebhookRequest(Strict):
    """An address to be told of events."""

    url: Address
    events: Annotated[Events | None, Field(description="which events; null: all there are now")] = None
    description: Description = ""


class WebhookChange(Strict):
    """What is to be another; what is left out stays."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"enabled": True}, "minProperties": 1})

    url: Address = ""
    events: Events = Field(default_factory=list)
    description: Description = ""
    enabled: Annotated[bool, Field(description="true enables one that was disabled: what waits is delivered")] = True

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("Name what is to be changed: url, events, description or enabled.")
        return self


class WebhookShown(BaseModel):
    """An address that is told of events, without its secret."""

    id: int
    url: str
    events: list[EventKind]
    description: str
    enabled: bool
    disabled_at: Instant | None
    disabled_reason: str | None = Field(description="who disabled it, or what it did")
    failing_since: Instant | None = Field(description="the first failure after its last success")
    old_secret_until: Instant | None = Field(description="until then the secret before this one signs too")
    created_at: Instant


class WebhookMade(WebhookShown):
    """The same, with its secret as it is shown once."""

    secret: str = Field(description="`whsec_…`; it is shown only now", repr=False)


class WebhookPage(BaseModel):
    """One page of webhooks, in the order in which they were made."""

    items: list[WebhookShown]
    next_cursor: str | None


class DeliveryShown(BaseModel):
    """One event for one address."""

    id: int
    event: str = Field(description="its `type`")
    message_id: str = Field(description="its `webhook-id`, the same at every attempt")
    status: DeliveryStatus
    attempt_count: int
    created_at: Instant
    next_attempt_at: Instant | None = Field(description="null where it is not tried again")
    delivered_at: Instant | None


class DeliveryAttempt(BaseModel):
    """One request, and what came of it. One that is missing was under way when its worker died."""

    number: int
    at: Instant = Field(description="when it was over")
    status_code: int | None
    answer: str = Field(description="the first 1,024 bytes")
    error: str | None = Field(description="why no answer came")
    duration_ms: int


class DeliveryDetail(DeliveryShown):
    """The same, with what is sent and the last 50 attempts."""

    body: dict[str, Any]
    attempts: list[DeliveryAttempt]


class DeliveryPage(BaseModel):
    """One page of deliveries, the newest first."""

    items: list[DeliveryShown]
    next_cursor: str | None
