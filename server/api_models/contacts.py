"""The people a business knows: as they are told of, as they stand, and what went to and fro."""

from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, IPvAnyAddress

from server.api_models.recipients import RecipientShown, Rejected
from server.api_models.shared import Instant, Strict, Text, country, within_the_calendar

_Value = Text | int | float | bool | None
_Country = Annotated[str | None, AfterValidator(lambda code: code and country(code))]
_EXAMPLE: dict[str, Any] = {
    "phone": "+972501234567",
    "name": "Dana",
    "tags": ["vip", "north"],
    "attributes": {"city": "Haifa", "first_name": "Dana"},
}


class ContactQuery(BaseModel):
    """Which contacts to look at; all of it must hold."""

    tag: Annotated[list[Text], Field(max_length=50, description="has every one of these")] = []
    not_tag: Annotated[list[Text], Field(max_length=50, description="has none of these")] = []
    phone: Annotated[Text | None, Field(min_length=2, max_length=64, description="such as +972501234567")] = None
    opted_out: bool | None = None
    q: Annotated[Text | None, Field(max_length=200, description="a part of the name or of the phone")] = None
    limit: Annotated[int, Field(ge=1, le=500)] = 50
    cursor: Annotated[str | None, Field(description="`next_cursor` of the page before")] = None


class ContactRequest(Strict):
    """A person to keep."""

    model_config = ConfigDict(extra="forbid", coerce_numbers_to_str=True, json_schema_extra={"example": _EXAMPLE})

    phone: Annotated[Text, Field(max_length=64)]
    name: Text | None = None
    tags: list[Text] = Field(default=[])
    attributes: dict[Text, _Value] = Field(default={})
    default_country: Annotated[_Country, Field(description="of a phone without a country code")] = None


class ContactChanges(Strict):
    """What is to be another; what is left out stays. `tags` are all the tags; an attribute that is null goes."""

    phone: Annotated[Text, Field(max_length=64)] | None = None
    name: Text | None = None
    tags: list[Text] | None = None
    attributes: dict[Text, _Value] | None = None
    default_country: _Country = None


class ContactShown(BaseModel):
    """A person, as they stand. Opted out is who gets nothing from this business, whatever list they are on."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "id": 1,
                **_EXAMPLE,
                "opted_out": False,
                "opted_out_at": None,
                "opted_out_reason": None,
                "created_at": "2026-11-25T09:00:00Z",
                "updated_at": "2026-11-25T09:00:00Z",
            }
        }
    )

    id: int
    phone: str
    name: str | None
    tags: list[str]
    attributes: dict[str, str]
    opted_out: bool
    opted_out_at: Instant | None
    opted_out_reason: str | None
    created_at: Instant
    updated_at: Instant


class ContactPage(BaseModel):
    """One page of contacts, in the order in which they came."""

    items: list[ContactShown]
    next_cursor: str | None


class ImportShown(BaseModel):
    """What became of a list. A row that changed nothing is accepted, and neither created nor updated."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "accepted_count": 999,
                "created_count": 120,
                "updated_count": 14,
                "opted_out_count": 2,
                "still_opted_out_count": 0,
                "rejected": [{"row": 3, "phone": "12", "reason": "not a phone number"}],
                "rejected_count": 1,
            }
        }
    )

    accepted_count: int
    created_count: int
    updated_count: int
    opted_out_count: Annotated[int, Field(description="people whom the list opted out")]
    still_opted_out_count: Annotated[int, Field(description="people whom no list opts in again: they had stopped")]
    rejected: list[Rejected]
    rejected_count: int


class WishRequest(Strict):
    """What proves a wish. Left out, it is the request itself: now, by its address."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {"source": "form on the website", "ip": "203.0.113.7", "note": "box ticked: news by WhatsApp"}
        },
    )

    source: Annotated[Text, Field(min_length=1, max_length=200)] | None = None
    at: Annotated[AwareDatetime, AfterValidator(within_the_calendar)] | None = None
    ip: Annotated[IPvAnyAddress | None, Field(description="of the person; left out, of the request")] = None
    message_id: Annotated[Text, Field(min_length=1, max_length=200)] | None = None
    note: Annotated[Text, Field(max_length=2000)] | None = None


class ConsentShown(BaseModel):
    """One wish as it was told."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "wish": "start",
                "source": "form on the website",
                "message_id": None,
                "at": "2026-11-25T09:00:00Z",
                "ip": "203.0.113.7",
                "note": "box ticked: news by WhatsApp",
                "recorded_at": "2026-11-25T09:00:01Z",
            }
        }
    )

    wish: Annotated[str, Field(examples=["stop", "start"])]
    source: str
    message_id: str | None
    at: Instant
    ip: str | None
    note: str | None
    recorded_at: Instant


class ConsentPage(BaseModel):
    """One page of wishes, the newest told first."""

    items: list[ConsentShown]
    next_cursor: str | None


class MessageShown(BaseModel):
    """A message to (`out`) or from (`in`) a person."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "direction": "out",
                "at": "2026-11-25T09:00:01Z",
                "broadcast_id": 7,
                "broadcast_name": "Spring sale",
                "template": "order_update",
                "status": "read",
                "message_id": "wamid.HBgM",
                "kind": None,
                "body": None,
                "error_code": None,
                "error_message": None,
                "delivered_at": "2026-11-25T09:00:03Z",
                "read_at": "2026-11-25T09:04:00Z",
            }
        }
    )

    direction: Annotated[str, Field(examples=["out", "in"])]
    at: Instant
    broadcast_id: Annotated[int | None, Field(description="that it belongs to, or answers")]
    broadcast_name: str | None
    template: str | None
    status: str
    message_id: str | None
    kind: str | None
    body: str | None
    error_code: int | None
    error_message: str | None
    delivered_at: Instant | None
    read_at: Instant | None


class MessagePage(BaseModel):
    """One page of messages, the newest first."""

    items: list[MessageShown]
    next_cursor: str | None


class RecipientOfBroadcast(RecipientShown):
    """What became of a person in one broadcast."""

    broadcast_id: int
    broadcast_name: str


class RecipientOfBroadcastPage(BaseModel):
    """One page of it, the newest broadcast first."""

    items: list[RecipientOfBroadcast]
    next_cursor: str | None
