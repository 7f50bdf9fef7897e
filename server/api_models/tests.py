"""A test of a broadcast: its real message to a few phones."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from server.api_models.shared import Instant, Strict, Text, Variables


class TestRequest(Strict):
    """Who gets the message now."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"phones": ["+972501234567"]}})

    phones: Annotated[list[Text], Field(min_length=1, max_length=10)]
    variables: Annotated[
        Variables | None,
        Field(description="what fills the message; left out: each person's own, or those of the first on the list"),
    ] = None


class TestMessage(BaseModel):
    """One test message and what became of it."""

    id: int
    phone: str
    status: Annotated[str, Field(examples=["sent"])]
    message_id: str | None
    error_code: int | None
    error_message: str | None
    sent_at: Instant


class TestMessagePage(BaseModel):
    """One page of test messages, the oldest first."""

    items: list[TestMessage]
    next_cursor: str | None
