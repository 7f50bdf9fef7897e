"""How a message looks to one person: its parts from top to bottom, with what is missing marked as such.

What is there is the text that is sent, mended as `domain/messages.py` mends it.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from server.domain.messages import MEDIA, Value

_PLACEHOLDER: Final = re.compile(r"\{\{\s*([^{}]+?)\s*\}\}")


class Part(NamedTuple):
    """A piece of text. is_missing: it is the name of something that has no value."""

    text: str
    is_missing: bool = False


class Button(NamedTuple):
    """kind: as WhatsApp names it, in small letters."""

    kind: str
    text: str


class Bubble(NamedTuple):
    """A message as it is shown. header_kind: text, image, video, document, location, or empty."""

    header_kind: str = ""
    header: tuple[Part, ...] = ()
    body: tuple[Part, ...] = ()
    footer: str = ""
    buttons: tuple[Button, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to see."""
        return not (self.body or self.header or self.header_kind)


def bubble_of(
    message: Mapping[str, Any], components: Sequence[Mapping[str, Any]], variables: Mapping[str, str]
) -> Bubble:
    """The message for somebody. components: of its template, if it has one. variables: theirs; none for nobody."""
    if "text" in message:
        body = str((message.get("text") or {}).get("body") or "")
        return Bubble(body=tuple(_of_value(Value.parse(body, is_free_text=True), variables)))
    wanted = message.get("template") or {}
    by_type = {str(component.get("type", "")).upper(): component for component in components}
    header = by_type.get("HEADER", {})
    kind = str(header.get("format", "")).lower()
    return Bubble(
        header_kind=kind,
        header=tuple(_of_header(wanted.get("header") or {}, kind, str(header.get("text") or ""), variables)),
        body=tuple(_of_text(by_type.get("BODY", {}).get("text"), wanted.get("variables") or {}, variables)),
        footer=str(by_type.get("FOOTER", {}).get("text") or ""),
        buttons=tuple(
            Button(str(button.get("type", "")).lower(), str(button.get("text") or ""))
            for button in by_type.get("BUTTONS", {}).get("buttons", ())
        ),
    )


def _of_header(given: Mapping[str, Any], kind: str, written: str, variables: Mapping[str, str]) -> Iterator[Part]:
    if kind in MEDIA:
        media = given.get(kind) or {}
        named = str(media.get("filename") or media.get("link") or media.get("id") or "")
        if named:
            yield from _of_value(Value.parse(named, is_free_text=True), variables)
        else:
            yield Part(kind, is_missing=True)
    elif kind == "location":
        place = given.get("location") or {}
        yield Part(str(place.get("name") or place.get("address") or "")) if place else Part(kind, is_missing=True)
    else:
        names = _PLACEHOLDER.findall(written)
        yield from _of_text(written, {name: given.get("text") for name in names}, variables)


def _of_text(written: object, given: Mapping[str, Any], variables: Mapping[str, str]) -> Iterator[Part]:
    """The text of a template: what stands for each of its variables, for one person."""
    for place, part in enumerate(_PLACEHOLDER.split(str(written or ""))):
        if place % 2 == 0:
            if part:
                yield Part(part)
        elif str(given.get(part) or "").strip():
            yield from _of_value(Value.parse(str(given[part])), variables)
        else:
            yield Part(part, is_missing=True)


def _of_value(value: Value, variables: Mapping[str, str]) -> Iterator[Part]:
    if all(variables.get(column, "").strip() for column in value.columns):
        yield Part(msgspec.json.decode(value.render(variables), type=str))
        return
    for text, is_column in value.parts:
        is_missing = is_column and not variables.get(text, "").strip()
        yield Part(variables[text] if is_column and not is_missing else text, is_missing)
