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

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"as": "sent"}})

    settlement: Annotated[
        Settlement,
        Field(alias="as", description="`sent`: WhatsApp has it; `failed`: count it so; `resend`: send it again"),
    ]


class ReceiptBroadcast(BaseModel):
    """Which broadcast, and what it sent."""

    id: int
    business_id: int
    name: str
    status: str
    message: dict[str, Any]
    retry_of: int | None
    phone_number_id: str | None
    created_at: Instant
    started_at: Instant | None
    completed_at: Instant | None


class ReceiptRecipients(BaseModel):
    """The rows."""

    count: int
    different_phones: int
    by_status: dict[str, int]


class ReceiptAttempts(BaseModel):
    """The requests, and how each ended."""

    count: Annotated[int, Field(description="attempts that count against those that a person may have")]
    ended: Annotated[
        dict[str, int],
        Field(description="`accepted`, `accepted_then_failed`, `failed`, `put_off`, `unknown`, `under_way`"),
    ]
    not_counted: Annotated[int, Field(description="attempts that WhatsApp would take from nobody at that moment")]
    unexplained: Annotated[int, Field(description="recipients whose attempts do not add up; 0")]


class ReceiptMessages(BaseModel):
    """The message ids that WhatsApp gave."""

    ids: int
    different_ids: int
    with_id: Annotated[int, Field(description="accepted recipients with a message id")]
    without_id_settled_by_hand: int
    without_id_adopted: Annotated[int, Field(description="taken over from an older system without one")]


class ReceiptStatuses(BaseModel):
    """What WhatsApp reported by webhook, as far as it is still kept."""

    sent: int
    delivered: int
    read: int
    failed: int
    people: int
    delivered_with_a_report: int
    are_all_kept: bool


class ReceiptCounts(BaseModel):
    """Everything that was counted, in one snapshot."""

    counters: dict[str, int]
    recipients: ReceiptRecipients
    attempts: ReceiptAttempts
    messages: ReceiptMessages
    statuses: ReceiptStatuses
    doubles: Annotated[int, Field(description="people with more than one accepted message; 0")]
    unknowns: int


class ReceiptCheck(BaseModel):
    """Two numbers that must be the same."""

    name: str
    left: str
    left_count: int
    right: str
    right_count: int
    holds: bool


class ReceiptEvent(BaseModel):
    """One event of the history, with the hash that chains it to those before it."""

    broadcast_id: int
    at: Instant
    actor: str
    move: str
    from_status: str
    to_status: str
    reason: str | None
    detail: str | None
    recipient_id: int | None
    hash: str


class ReceiptHistory(BaseModel):
    """The whole history. head: the last hash, as the broadcast's row has it."""

    count: int
    head: str
    events: list[ReceiptEvent]


class PublicKey(BaseModel):
    """The key that receipts are signed with, as far as it is public."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "algorithm": "Ed25519",
                "public_key": "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=",
                "fingerprint": "SHA256:21fe31dfa154a261626bf854046fd2271b7bed4b6abe45aa58877ef47f9721b9",
            }
        }
    )

    algorithm: Literal["Ed25519"]
    public_key: Annotated[str, Field(description="32 bytes in base64")]
    fingerprint: Annotated[str, Field(description="their SHA-256, for people to compare")]


class Receipt(BaseModel):
    """A signed reconciliation of a broadcast: docs/receipt.md says what it proves and what it does not."""

    format: Literal["clarion-receipt-1"]
    issued_at: Instant
    final: Annotated[bool, Field(description="whether the broadcast had ended, and nobody was unknown")]
    holds: Annotated[bool, Field(description="whether every check holds, and the chain of its history")]
    broadcast: ReceiptBroadcast
    counts: ReceiptCounts
    checks: list[ReceiptCheck]
    history: ReceiptHistory
    key: PublicKey
    signature: Annotated[str, Field(description="Ed25519 over the rest as canonical JSON (RFC 8785), in base64")]
