"""The blanks of a template: what a person fills in, and the message that comes of it while it is not finished yet.

A blank is filled with a text that may hold `{{column}}`, as `domain/messages.py` reads it. What is left empty is left
out of the message; the pre-flight says what is missing.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, Final, NamedTuple

from server.domain.messages import MEDIA, Shape, Value

_LOCATION: Final = ("latitude", "longitude", "name", "address")


class Kind(StrEnum):
    """What a blank is a part of."""

    BODY = "body"
    HEADER = "header"
    MEDIA = "media"
    FILENAME = "filename"
    LOCATION = "location"
    BUTTON = "button"


class Blank(NamedTuple):
    """One thing to fill in.

    field: its name in a form. label: the variable's name, the button's text, or the kind of file. value: as it is
    filled now, or empty. example: what its author gave to WhatsApp. pointer: where problems with it are said to be.
    """

    field: str
    kind: Kind
    label: str
    value: str
    example: str
    pointer: str
    is_needed: bool = True

    @property
    def columns(self) -> list[str]:
        """The columns that its value names."""
        return Value.parse(self.value).columns


def blanks_of(
    message: Mapping[str, Any], components: Sequence[Mapping[str, Any]], parameter_format: str
) -> list[Blank]:
    """What a template leaves open, from top to bottom, with what the message fills it with."""
    wanted = message.get("template") or {}
    shape = Shape.of(components, is_named=parameter_format.upper() == "NAMED")
    return [*_of_header(wanted, shape, components), *_of_body(wanted, shape, components), *_of_buttons(wanted, shape)]


def filled(message: Mapping[str, Any], blanks: Sequence[Blank], given: Mapping[str, str]) -> dict[str, Any]:
    """The message with its blanks filled anew. given: by field; what is not given or empty is left out."""
    before = message["template"]
    after: dict[str, Any] = {"name": before["name"], "language": before["language"]}
    values = {blank.field: given.get(blank.field, "").strip() for blank in blanks}
    by_kind = {kind: [blank for blank in blanks if blank.kind is kind and values[blank.field]] for kind in Kind}
    if by_kind[Kind.BODY]:
        after["variables"] = {blank.label: values[blank.field] for blank in by_kind[Kind.BODY]}
    if by_kind[Kind.BUTTON]:
        after["buttons"] = {blank.field.removeprefix("button."): values[blank.field] for blank in by_kind[Kind.BUTTON]}
    header = _header(before.get("header") or {}, by_kind, values)
    if header:
        after["header"] = header
    return {"template": after}


def carried_over(message: Mapping[str, Any], name: str, language: str) -> dict[str, Any]:
    """The message with another template. The same template in another language keeps what fills it."""
    before = message.get("template") or {}
    if before.get("name") != name:
        return {"template": {"name": name, "language": language}}
    return {"template": {**before, "language": language}}


def _header(
    before: Mapping[str, Any], by_kind: Mapping[Kind, Sequence[Blank]], values: Mapping[str, str]
) -> dict[str, Any]:
    for blank in by_kind[Kind.HEADER]:
        return {"text": values[blank.field]}
    places = {blank.field.removeprefix("location."): values[blank.field] for blank in by_kind[Kind.LOCATION]}
    if "latitude" in places and "longitude" in places:
        return {"location": places}
    kind = next((blank.label for blank in by_kind[Kind.MEDIA]), next((kind for kind in MEDIA if kind in before), None))
    if kind is None:
        return {}
    # A file that was uploaded to WhatsApp has an id in place of a link, which no form of ours shows.
    link = next((values[blank.field] for blank in by_kind[Kind.MEDIA]), "")
    media = {"link": link} if link else {"id": before[kind]["id"]} if before[kind].get("id") else {}
    name = next((values[blank.field] for blank in by_kind[Kind.FILENAME]), "")
    return {kind: {**media, "filename": name} if name else media} if media else {}


def _of_header(wanted: Mapping[str, Any], shape: Shape, components: Sequence[Mapping[str, Any]]) -> list[Blank]:
    header = wanted.get("header") or {}
    kind = shape.header_kind
    if kind in MEDIA:
        media = header.get(kind) or {}
        pointer = f"/template/header/{kind}"
        link = Blank("media", Kind.MEDIA, kind, str(media.get("link") or ""), "", pointer, not media.get("id"))
        name = Blank("filename", Kind.FILENAME, kind, str(media.get("filename") or ""), "", pointer, is_needed=False)
        return [link, name] if kind == "document" else [link]
    if kind == "location":
        place = header.get("location") or {}
        return [
            Blank(
                f"location.{part}", Kind.LOCATION, part, str(place.get(part) or ""), "",
                f"/template/header/location/{part}", is_needed=part in ("latitude", "longitude"),
            )
            for part in _LOCATION
        ]  # fmt: skip
    if shape.header_variable is None:
        return []
    example = _examples(components, "HEADER", "header_text").get(shape.header_variable) or _first(
        components, "HEADER", "header_text"
    )
    value = str(header.get("text") or "")
    return [Blank("header", Kind.HEADER, shape.header_variable, value, example, "/template/header")]


def _of_body(wanted: Mapping[str, Any], shape: Shape, components: Sequence[Mapping[str, Any]]) -> list[Blank]:
    variables = wanted.get("variables") or {}
    examples = _examples(components, "BODY", "body_text")
    return [
        Blank(
            f"body.{name}", Kind.BODY, name, str(variables.get(name) or ""), examples.get(name, ""),
            f"/template/variables/{name}",
        )
        for name in shape.body
    ]  # fmt: skip


def _of_buttons(wanted: Mapping[str, Any], shape: Shape) -> list[Blank]:
    given = wanted.get("buttons") or {}
    return [
        Blank(
            f"button.{place}", Kind.BUTTON, str(button.get("text") or place), str(given.get(str(place)) or ""), "",
            f"/template/buttons/{place}", is_needed=shape.button_needs_value(place),
        )
        for place, button in enumerate(shape.buttons)
        if shape.button_takes_value(place)
    ]  # fmt: skip


def _examples(components: Sequence[Mapping[str, Any]], kind: str, key: str) -> dict[str, str]:
    """What the author of a template gave as examples, by variable: `[["Dana", "A-17"]]`, or named ones."""
    example = _example_of(components, kind)
    named = example.get(f"{key}_named_params")
    if isinstance(named, list):
        return {str(one.get("param_name")): str(one.get("example") or "") for one in named if isinstance(one, Mapping)}
    rows = example.get(key)
    row = rows[0] if isinstance(rows, list) and rows else None
    return {str(place): str(text) for place, text in enumerate(row, 1)} if isinstance(row, list) else {}


def _first(components: Sequence[Mapping[str, Any]], kind: str, key: str) -> str:
    """The example of a header: a list of one text."""
    rows = _example_of(components, kind).get(key)
    return str(rows[0]) if isinstance(rows, list) and rows and isinstance(rows[0], str) else ""


def _example_of(components: Sequence[Mapping[str, Any]], kind: str) -> Mapping[str, Any]:
    for component in components:
        if str(component.get("type", "")).upper() == kind:
            example = component.get("example")
            return example if isinstance(example, Mapping) else {}
    return {}
