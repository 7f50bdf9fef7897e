"""What can be proven of a broadcast: one person's story, who is unknown, and the receipt."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from server.api_models.recipients import RecipientShown
from server.api_models.shared import Instant, Strict
from server.services.settlements import Settlement


class Asked(BaseModel):
    """The request of an attempt, without its token. It is not kept: it is built again when somebody asks."""

    rendered_now: Annotated[bool, Field(description="always true: built now, from the message and the values")]
    method: str
    path: Annotated[str, Field(examples=["/v25.0/106540352242922/messages"])]
    body: Annotated[dict[str, Any], Field(description="the exact Cloud API message")]


class AttemptEntry(BaseModel):
    """One attempt: what was asked, and what was answered."""

    kind: Literal["attempt"]
    at: Annotated[Instant, Field(description="when it was claimed; the request left soon after")]
    claim_number: int
    asked: Asked | None
    not_rendered_because: Annotated[str | None, Field(description="where `asked` is null")]
    outcome: Literal["accepted", "failed", "put_off", "unknown", "under_way"]
    answered_at: Instant | None
    is_counted: Annotated[bool, Field(description="whether it counts against the attempts that a person may have")]
    message_id: str | None
    error_code: int | None
    error_message: str | None


class StatusEntry(BaseModel):
    """One status that WhatsApp reported by webhook."""

    kind: Literal["status"]
    at: Annotated[Instant, Field(description="when the webhook came")]
    said_at: Annotated[Instant, Field(description="WhatsApp's own time, in whole seconds")]
    status: str
    message_id: str
    webhook: Annotated[Any, Field(description="the status as it came")]


class ReplyEntry(BaseModel):
    """One message that the person answered the broadcast with."""

    kind: Literal["reply"]
    at: Instant
    said_at: Instant
    type: str
    body: str | None
    message_id: str
    webhook: Annotated[Any, Field(description="the message as it came")]


class ConsentEntry(BaseModel):
    """One wish of the person: to get no more, or to get messages again."""

    kind: Literal["consent"]
    at: Instant
    said_at: Instant
    wish: str
    source: str
    proof: str | None


class HistoryOfPerson(BaseModel):
    """One change of the broadcast, or something that was done to this person by hand."""

    kind: Literal["history"]
    at: Instant
    actor: str
    move: str
    from_status: str
    to_status: str
    reason: str | None
    detail: str | None
    is_about_them: bool


Entry = Annotated[AttemptEntry | StatusEntry | ReplyEntry | ConsentEntry | HistoryOfPerson, Field(discriminator="kind")]


class Story(BaseModel):
    """Everything that is known of one person of a broadcast, in the order in which Clarion learned of it."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "broadcast_id": 7,
                "recipient": {
                    "id": 3,
                    "phone": "+972501234567",
                    "status": "delivered",
                    "attempts": 1,
                    "message_id": "wamid.HBgM",
                    "error_code": None,
                    "error_message": None,
                    "variables": {"first_name": "Dana", "order_id": "A-17"},
                    "sent_at": "2026-11-25T09:00:01.2Z",
                    "delivered_at": "2026-11-25T09:00:03Z",
                    "read_at": None,
                    "failed_at": None,
                },
                "entries": [
                    {
                        "kind": "attempt",
                        "at": "2026-11-25T09:00:01.1Z",
                        "claim_number": 1,
                        "asked": {
                            "rendered_now": True,
                            "method": "POST",
                            "path": "/v25.0/106540352242922/messages",
                            "body": {"messaging_product": "whatsapp", "to": "+972501234567", "type": "template"},
                        },
                        "not_rendered_because": None,
                        "outcome": "accepted",
                        "answered_at": "2026-11-25T09:00:01.2Z",
                        "is_counted": True,
                        "message_id": "wamid.HBgM",
                        "error_code": None,
                        "error_message": None,
                    },
                    {
                        "kind": "status",
                        "at": "2026-11-25T09:00:03.4Z",
                        "said_at": "2026-11-25T09:00:03Z",
                        "status": "delivered",
                        "message_id": "wamid.HBgM",
                        "webhook": {"id": "wamid.HBgM", "status": "delivered"},
                    },
                ],
            }
        }
    )

    broadcast_id: int
    recipient: RecipientShown
    entries: list[Entry]


class Unknown(BaseModel):
    """Somebody of whom nobody knows whether WhatsApp accepted their message."""

    id: int
    phone: str
    attempts: int
    reason: Annotated[str | None, Field(description="why it is unknown")]
    claimed_at: Instant | None
    unknown_at: Instant
    age_seconds: float
    decided_by: Annotated[Instant, Field(description="when it is decided at the latest, if nothing tells before")]
    evidence: Annotated[str, Field(description="what the evidence says now")]
    accepted_around_count: Annotated[int, Field(description="messages around it, accepted in the same minute")]
    heard_around_count: Annotated[int, Field(description="those of them that a webhook told of")]
    would_be: Annotated[Literal["wait", "resend", "fail"], Field(description="what would be done at this moment")]


class UnknownPage(BaseModel):
    """One page of those who are unknown, in the order of the list."""

    items: list[Unknown]
    next_cursor: str | None


class SettleRequest(Strict):
    """What a person says of somebody unknown."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"as": "sent"}}, populate_by_name=True)

    settlement: Annotated[
        Settlement,
        Field(alias="as", description="`sent`: WhatsApp has it; `failed`: count it so; `resend`: send it again"),
    ]
