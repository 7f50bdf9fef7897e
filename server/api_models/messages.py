"""The message of a broadcast: a template with what fills it, or a free text."""

from typing import Annotated

from pydantic import AfterValidator, Field

from server.api_models.shared import Name, Strict, Text, Variables, storable


class Media(Strict):
    """A picture, film or document of a header."""

    link: Annotated[str, Field(max_length=2000), AfterValidator(storable)] | None = None
    id: Text | None = None
    filename: Text | None = None


class Location(Strict):
    """A place."""

    latitude: Annotated[float, Field(ge=-90, le=90)]
    longitude: Annotated[float, Field(ge=-180, le=180)]
    name: Text | None = None
    address: Text | None = None


class Header(Strict):
    """What stands above a template's body: one of these, as the template has it."""

    text: Text | None = None
    image: Media | None = None
    video: Media | None = None
    document: Media | None = None
    location: Location | None = None


class TemplateMessage(Strict):
    """An approved template and what fills its variables: literal text with {{column}} placeholders."""

    name: Name
    language: Annotated[str, Field(min_length=2, max_length=20), AfterValidator(storable)]
    variables: Variables = Field(default={})
    header: Header | None = None
    buttons: Variables = Field(default={})


class TextMessage(Strict):
    """A free text, for people inside their 24-hour window."""

    body: Annotated[str, Field(min_length=1, max_length=4096), AfterValidator(storable)]
    preview_url: bool = False
