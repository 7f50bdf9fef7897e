"""A business and its settings, as the API takes and shows them."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from server.api_models.shared import Name, Strict, Text
from server.domain.evidence import UnknownPolicy

Clock = Annotated[str, Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$", examples=["21:00"])]
Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
Word = Annotated[Text, Field(min_length=1, max_length=100)]
Words = Annotated[
    list[Word], Field(max_length=100, description="beside those of every language", examples=[["no more"]])
]
Reply = Annotated[Text, Field(max_length=1_000, examples=["You will get no more messages from us."])]
People = Annotated[int, Field(ge=0, le=2_000_000_000, examples=[1_000])]
Zone = Annotated[Text, Field(min_length=1, max_length=100, examples=["Europe/Berlin"])]


class QuietHoursChosen(Strict):
    """When nobody gets a marketing template, by the clock of whoever would get it."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    begins_at: Clock = Field(alias="from")
    ends_at: Clock = Field(alias="to", description="on the next day where it is earlier", examples=["08:00"])
    days_off: Annotated[list[Weekday], Field(max_length=6)] = Field(
        default_factory=list, description="days on which nothing is sent"
    )


class FrequencyCapChosen(Strict):
    """How many marketing messages one person may get within so many days, over all broadcasts."""

    messages: int = Field(ge=1, le=1_000, examples=[2])
    days: int = Field(ge=1, le=365, examples=[7])


class BusinessShown(BaseModel):
    """A business with its settings."""

    id: int
    name: str
    unknown_policy: UnknownPolicy
    stop_words: list[str]
    start_words: list[str]
    time_zone: str = Field(description="of people whose number says nothing of a place")
    quiet_hours: QuietHoursChosen | None
    frequency_cap: FrequencyCapChosen | None
    opt_out_reply: str | None = Field(description="written back to whoever stops by a message; null: nothing")
    opt_in_reply: str | None = Field(description="the same for whoever starts again")
    approval_over: int | None = Field(
        description="a broadcast to more people needs a second person's approval; null: none does"
    )


class BusinessChange(Strict):
    """What is to be another; what is left out stays."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "minProperties": 1,
            "example": {"quiet_hours": {"from": "21:00", "to": "08:00", "days_off": ["saturday"]}},
        },
    )

    name: Name | None = None
    unknown_policy: UnknownPolicy | None = None
    stop_words: Words | None = None
    start_words: Words | None = None
    time_zone: Zone | None = None
    quiet_hours: Annotated[QuietHoursChosen | None, Field(description="null: none")] = None
    frequency_cap: Annotated[FrequencyCapChosen | None, Field(description="null: none")] = None
    opt_out_reply: Annotated[Reply | None, Field(description="null: nothing is written back")] = None
    opt_in_reply: Annotated[Reply | None, Field(description="null: nothing is written back")] = None
    approval_over: Annotated[People | None, Field(description="null: no broadcast needs a second person")] = None

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("Name what is to be changed, such as quiet_hours.")
        return self
