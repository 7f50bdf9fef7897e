"""API keys as the API takes and shows them."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from server.api_models.shared import Instant, storable
from server.domain.scopes import KeyScope


class KeyRequest(BaseModel):
    """A key to make."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[
        str,
        Field(min_length=1, max_length=200, examples=["shop"], description="what it is for"),
        AfterValidator(storable),
    ]
    scope: Annotated[KeyScope, Field(description="admin includes send, and send includes read", examples=["send"])]


class KeyShown(BaseModel):
    """A key, without what is secret."""

    id: int
    name: str
    scope: KeyScope
    created_at: Instant
    last_used_at: Instant | None = Field(description="to the minute; null where it never was")


class KeyMade(KeyShown):
    """A key as it is shown once."""

    key: str = Field(description="`clr_…`; it is shown only now, and only its hash is kept", repr=False)


class KeyPage(BaseModel):
    """One page of keys, in the order in which they were made."""

    items: list[KeyShown]
    next_cursor: str | None
