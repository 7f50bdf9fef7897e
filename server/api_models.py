"""What the API takes and gives, as types: checked on the way in, described in OpenAPI."""

from datetime import UTC, datetime
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    FailFast,
    Field,
    WithJsonSchema,
    model_validator,
)

from server.domain.phones import is_country
from server.domain.preflight import Code, Level
from server.domain.states import BroadcastStatus


def storable(text: str) -> str:
    """The text itself. Raises `ValueError` where PostgreSQL cannot keep it."""
    if "\x00" in text:
        raise ValueError("It has a NUL character, which cannot be stored.")
    if not text.isascii() and any("\ud800" <= char <= "\udfff" for char in text):
        raise ValueError("It has half of a character (a lone surrogate), which cannot be stored.")
    return text


def _country(code: str) -> str:
    if not is_country(code):
        raise ValueError(f'"{code}" is not a country; it should be two capital letters, such as IL.')
    return code


def _within_the_calendar(instant: datetime) -> datetime:
    # In another time zone it may lie in the year 10000, which no client can read back.
    if instant.year >= 9999:
        raise ValueError("It should be before the year 9999.")
    return instant


Text = Annotated[str, AfterValidator(storable)]
Name = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(storable)]
Variables = dict[Text, Text]
Instant = Annotated[datetime, AfterValidator(lambda instant: instant.astimezone(UTC))]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Media(_Strict):
    """A picture, film or document of a header."""

    link: Annotated[str, Field(max_length=2000), AfterValidator(storable)] | None = None
    id: Text | None = None
    filename: Text | None = None


class Location(_Strict):
    """A place."""

    latitude: Annotated[float, Field(ge=-90, le=90)]
    longitude: Annotated[float, Field(ge=-180, le=180)]
    name: Text | None = None
    address: Text | None = None


class Header(_Strict):
    """What stands above a template's body: one of these, as the template has it."""

    text: Text | None = None
    image: Media | None = None
    video: Media | None = None
    document: Media | None = None
    location: Location | None = None


class TemplateMessage(_Strict):
    """An approved template and what fills its variables: literal text with {{column}} placeholders."""

    name: Name
    language: Annotated[str, Field(min_length=2, max_length=20), AfterValidator(storable)]
    variables: Variables = {}
    header: Header | None = None
    buttons: Variables = {}


class TextMessage(_Strict):
    """A free text, for people inside their 24-hour window."""

    body: Annotated[str, Field(min_length=1, max_length=4096), AfterValidator(storable)]
    preview_url: bool = False


class Recipient(_Strict):
    """One person of a list. A number is taken for its digits; a variable that is null is as one that is missing."""

    model_config = ConfigDict(extra="forbid", coerce_numbers_to_str=True)

    phone: Annotated[Text, WithJsonSchema({"type": ["string", "integer"], "examples": ["+972501234567"]})]
    variables: dict[Text, Annotated[Text | None, WithJsonSchema({"type": ["string", "number", "null"]})]] = {}


# The first that has the wrong shape is named, and not each of a million.
People = Annotated[list[Recipient], FailFast()]


class Recipients(_Strict):
    """People to add to a draft."""

    recipients: Annotated[People, Field(min_length=1)]


class BroadcastRequest(_Strict):
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
    recipients: People = []
    default_country: Annotated[str | None, AfterValidator(lambda code: code and _country(code))] = None
    rate_limit: Annotated[int | None, Field(ge=1, le=1_000_000, description="messages per second")] = None
    scheduled_at: Annotated[AwareDatetime, AfterValidator(_within_the_calendar)] | None = None
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


class Rejected(BaseModel):
    """A row that cannot be used."""

    row: int
    phone: str
    reason: str


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


class BroadcastPage(BaseModel):
    """One page of broadcasts, the newest first."""

    items: list[Broadcast]
    next_cursor: str | None


class RecipientShown(BaseModel):
    """One person of a broadcast: what became of their message."""

    id: int
    phone: str
    status: str
    attempts: int
    message_id: str | None
    error_code: int | None
    error_message: str | None
    variables: dict[str, Any]
    sent_at: Instant | None
    delivered_at: Instant | None
    read_at: Instant | None
    failed_at: Instant | None


class RecipientPage(BaseModel):
    """One page of recipients, in the order of the list."""

    items: list[RecipientShown]
    next_cursor: str | None


class HistoryEntry(BaseModel):
    """One change of a broadcast: who or what, from, to, why."""

    at: Instant
    actor: str
    move: str
    from_status: str
    to_status: str
    reason: str | None
    detail: str | None


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
            }
        }
    )

    ok: bool
    findings: list[PreflightFinding]
    recipients: Annotated[int, Field(description="people who would be sent to")]
    seconds: Annotated[float, Field(description="what the rate alone makes it take; 0 where there is no limit")]


class RetryRequest(_Strict):
    """Whom a new broadcast goes to."""

    include: Annotated[list[str], Field(min_length=1, max_length=2)] = ["failed"]
