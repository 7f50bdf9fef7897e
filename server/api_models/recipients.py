"""People of a broadcast: a list that comes in, and what became of each."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, FailFast, Field, WithJsonSchema

from server.api_models.shared import Instant, Strict, Text

_Value = Annotated[Text | None, WithJsonSchema({"type": ["string", "number", "null"]})]


class Recipient(Strict):
    """One person of a list. A number is taken for its digits; a variable that is null is as one that is missing."""

    model_config = ConfigDict(extra="forbid", coerce_numbers_to_str=True)

    phone: Annotated[Text, WithJsonSchema({"type": ["string", "integer"], "examples": ["+972501234567"]})]
    variables: dict[Text, Annotated[Text | None, WithJsonSchema({"type": ["string", "number", "null"]})]] = Field(
        default={}
    )


# The first that has the wrong shape is named, and not each of a million.
People = Annotated[list[Recipient], FailFast()]


class Recipients(Strict):
    """People to add to a draft."""

    recipients: Annotated[People, Field(min_length=1)]


class Rejected(BaseModel):
    """A row that cannot be used."""

    row: int
    phone: str
    reason: str


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


class RetryRequest(Strict):
    """Whom a new broadcast goes to."""

    include: list[str] = Field(default=["failed"], min_length=1, max_length=2)
