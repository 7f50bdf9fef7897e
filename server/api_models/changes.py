"""What may be changed of a broadcast that was made."""

from typing import Annotated, Self

from pydantic import AfterValidator, AwareDatetime, ConfigDict, Field, model_validator

from server.api_models.audiences import AudienceRequest
from server.api_models.shared import Strict, within_the_calendar


class BroadcastChange(Strict):
    """What is to be another; what is left out stays."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"rate_limit": 40}, "minProperties": 1})

    rate_limit: Annotated[
        int | None, Field(ge=1, le=1_000_000, description="messages per second; null: as fast as its number may send")
    ] = None
    scheduled_at: Annotated[
        AwareDatetime | None,
        Field(description="until it starts; null takes it off its schedule: it is a draft again"),
        AfterValidator(lambda instant: None if instant is None else within_the_calendar(instant)),
    ] = None
    by_local_time: Annotated[
        bool | None, Field(description="until it starts; whether it goes by each person's local time")
    ] = None
    audience: Annotated[
        AudienceRequest | None, Field(description="until it starts; of a broadcast that has no list of its own")
    ] = None

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("Name what is to be changed: rate_limit, scheduled_at, by_local_time or audience.")
        if "by_local_time" in self.model_fields_set and self.by_local_time is None:
            raise ValueError("by_local_time is true or false.")
        if "audience" in self.model_fields_set and self.audience is None:
            raise ValueError("A broadcast to an audience needs one: name another, or cancel it.")
        return self
