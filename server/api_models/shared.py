"""What several requests and answers are made of: texts that can be kept, countries, instants."""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from server.domain.phones import is_country


def storable(text: str) -> str:
    """The text itself. Raises `ValueError` where PostgreSQL cannot keep it."""
    if "\x00" in text:
        raise ValueError("It has a NUL character, which cannot be stored.")
    if not text.isascii() and any("\ud800" <= char <= "\udfff" for char in text):
        raise ValueError("It has half of a character (a lone surrogate), which cannot be stored.")
    return text


def country(code: str) -> str:
    """The code itself. Raises `ValueError` where it names no country."""
    if not is_country(code):
        raise ValueError(f'"{code}" is not a country; it should be two capital letters, such as IL.')
    return code


def within_the_calendar(instant: datetime) -> datetime:
    """The instant itself. Raises `ValueError` where some client could not read it back."""
    # In another time zone it may lie in the year 10000, which no client can read back.
    if instant.year >= 9999:
        raise ValueError("It should be before the year 9999.")
    return instant


Text = Annotated[str, AfterValidator(storable)]
Name = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(storable)]
Variables = dict[Text, Text]
Instant = Annotated[datetime, AfterValidator(lambda instant: instant.astimezone(UTC))]


class Strict(BaseModel):
    """What comes in: a field that is not known is refused, not overlooked."""

    model_config = ConfigDict(extra="forbid")
