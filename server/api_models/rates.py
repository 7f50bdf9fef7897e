"""How fast a broadcast may send."""

from typing import Annotated

from pydantic import ConfigDict, Field

from server.api_models.shared import Strict


class RateChange(Strict):
    """Another rate for a broadcast; null: as fast as its number may send."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"rate_limit": 40}})

    rate_limit: Annotated[int | None, Field(ge=1, le=1_000_000, description="messages per second")]
