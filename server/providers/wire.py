"""The wire format of the WhatsApp Cloud API: what its JSON looks like, and nothing about what to do with it.

Meta adds fields, enum values and error shapes without notice, so every enum is a plain `str`, unknown fields are
skipped, and a field that Meta may leave out, or has been seen to, has a default. A required field is one without
which the object has no meaning. Identifiers are opaque strings, however numeric they look.
"""

from typing import Annotated, Any

from msgspec import Meta, Struct

ErrorCode = Annotated[int, Meta(ge=-(2**31), le=2**31 - 1)]
"""What a code can be, here and in the database; anything beyond is not one."""


class SentMessage(Struct, frozen=True):
    """The message that was accepted; accepted is not delivered."""

    id: str
    message_status: str | None = None
    """`accepted`, `held_for_quality_assessment` or `paused`; only templates have it, and not always."""


class SendResponse(Struct, frozen=True):
    """The answer to a send that was accepted.

    Its `contacts` are not read: a message is found again by its id or its opaque data, never by a phone number that
    WhatsApp may have rewritten; and no change in them may make an acceptance unreadable, which would leave it unknown.
    """

    messages: list[SentMessage]


class GraphError(Struct, frozen=True):
    """The error object of the Graph API. `code` is what to decide by; titles and HTTP statuses change."""

    code: ErrorCode | None = None
    message: str | None = None
    type: str | None = None
    error_subcode: ErrorCode | None = None
    error_data: Any = None
    """An object with `details`, a string, or missing: read it with `details_of`."""
    fbtrace_id: str | None = None
    """What Meta's support asks for."""
    is_transient: bool | None = None
    error_user_title: str | None = None
    error_user_msg: str | None = None


class ErrorBody(Struct, frozen=True):
    """The body of an answer that refuses."""

    error: GraphError


class BareError(Struct, frozen=True):
    """The one field of an error that matters, for the day when another one of them changes its type."""

    code: ErrorCode


class BareErrorBody(Struct, frozen=True):
    """`ErrorBody`, read with the least demands."""

    error: BareError


def details_of(error: GraphError) -> str:
    """The sentence that says which value was wrong; empty where the error has none."""
    match error.error_data:
        case {"details": str(details)}:
            return details
        case str(details):
            return details
        case _:
            return error.error_user_msg or ""


class Cursors(Struct, frozen=True):
    """Where a page of a list begins and ends."""

    before: str | None = None
    after: str | None = None


class Paging(Struct, frozen=True):
    """The list goes on for as long as `next` is there; `cursors` alone do not mean that it does."""

    cursors: Cursors | None = None
    next: str | None = None
    previous: str | None = None


class TemplateQuality(Struct, frozen=True):
    """How people take the template: `GREEN`, `YELLOW`, `RED` or `UNKNOWN`."""

    score: str | None = None
    date: int | None = None


class TemplateNode(Struct, frozen=True):
    """One template in one language. Names are not unique across languages."""

    id: str
    name: str
    language: str
    status: str
    """Only `APPROVED` can be sent."""
    category: str
    components: list[dict[str, Any]] = []
    """As Meta has them: kept whole, because new kinds of component appear."""
    parameter_format: str | None = None
    """`POSITIONAL` (also where missing) or `NAMED`."""
    quality_score: TemplateQuality | None = None
    rejected_reason: str | None = None
    previous_category: str | None = None
    correct_category: str | None = None
    sub_category: str | None = None
    message_send_ttl_seconds: int | None = None
    last_updated_time: str | int | None = None


class TemplatePage(Struct, frozen=True):
    """`GET /{waba_id}/message_templates`, one page."""

    data: list[TemplateNode] = []
    paging: Paging | None = None


class Throughput(Struct, frozen=True):
    """How fast a number may send: `STANDARD` (80 messages a second), `HIGH` or `NOT_APPLICABLE`."""

    level: str | None = None


class HealthError(Struct, frozen=True):
    """Why something cannot send, and what Meta suggests."""

    error_code: int | None = None
    error_description: str | None = None
    possible_solution: str | None = None


class HealthEntity(Struct, frozen=True):
    """One link of the chain: `PHONE_NUMBER`, `MESSAGE_TEMPLATE`, `WABA`, `BUSINESS` or `APP`."""

    entity_type: str | None = None
    id: str | None = None
    can_send_message: str | None = None
    additional_info: list[str] = []
    errors: list[HealthError] = []


class HealthStatus(Struct, frozen=True):
    """Whether messages can be sent at all: `AVAILABLE`, `LIMITED` or `BLOCKED`, and by which link."""

    can_send_message: str
    entities: list[HealthEntity] = []


class PhoneNumberNode(Struct, frozen=True):
    """`GET /{phone_number_id}`: the number that sends. It has the fields that were asked for, and not all of those."""

    id: str
    display_phone_number: str | None = None
    verified_name: str | None = None
    status: str | None = None
    """`CONNECTED` is what it takes to send."""
    quality_rating: str | None = None
    name_status: str | None = None
    code_verification_status: str | None = None
    platform_type: str | None = None
    account_mode: str | None = None
    is_on_biz_app: bool | None = None
    throughput: Throughput | None = None
    whatsapp_business_manager_messaging_limit: str | None = None
    """`TIER_250`, `TIER_2K`, `TIER_10K`, `TIER_100K` or `TIER_UNLIMITED`: unique people a day, for the portfolio."""
    health_status: HealthStatus | None = None
    webhook_configuration: dict[str, Any] | None = None


class PhoneNumberPage(Struct, frozen=True):
    """`GET /{waba_id}/phone_numbers`, one page."""

    data: list[PhoneNumberNode] = []
    paging: Paging | None = None


class AppPage(Struct, frozen=True):
    """`GET /{waba_id}/subscribed_apps`: the apps that are told of the account's events."""

    data: list[Any] = []
