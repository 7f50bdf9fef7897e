"""What a template is made of, as Meta describes it, and what its message looks like to one person. Pure.

Values have the shape that a broadcast's message has: `{"variables": {…}, "header": {…}, "buttons": {"0": …}}`. What is
filled in is the text that is sent, mended as `domain/messages.py` mends it; what has no value stays a placeholder.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from server.domain.messages import Value

_PLACEHOLDER: Final = re.compile(r"\{\{\s*([^{}]+?)\s*\}\}")
Component = Mapping[str, Any]
Values = Mapping[str, Any]
Person = Mapping[str, str]
_NOBODY: Final[Person] = {}


class Button(NamedTuple):
    """A button. kind: in lower case, as Meta names it. beside: where it leads, or what it copies."""

    kind: str
    text: str
    beside: str


class Shown(NamedTuple):
    """A message as its reader sees it; texts with their values, and placeholders where there is none.

    media: `image`, `video`, `document`, `gif`, `location` … of the header, or nothing. media_name: its file, link or
    place, if any. offer: the words of a limited-time offer. cards: of a carousel.
    """

    media: str = ""
    media_name: str = ""
    header: str = ""
    body: str = ""
    footer: str = ""
    offer: str = ""
    buttons: tuple[Button, ...] = ()
    cards: tuple["Shown", ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to see."""
        return not (self.media or self.header or self.body)


class Variable(NamedTuple):
    """One thing that a message needs. where: `header`, `body` or `button`. example: of whoever made the template."""

    where: str
    name: str
    example: str


def shown_to(message: Mapping[str, Any], components: Sequence[Component], person: Person) -> Shown:
    """A broadcast's message for somebody. components: of its template, if it has one. person: what is known of them."""
    if "text" in message:
        return Shown(body=_of_person(_text(_mapping(message["text"]), "body"), person, is_free_text=True))
    return shown(components, _mapping(message.get("template")), person)


def shown(components: Sequence[Component], values: Values, person: Person = _NOBODY) -> Shown:
    """The message. values: may name what is known of a person, as `{{city}}`."""
    by_type = _by_type(components)
    header, body = by_type.get("HEADER", {}), by_type.get("BODY", {})
    given = _mapping(values.get("header"))
    media = "" if _text(header, "format").upper() in ("", "TEXT") else _text(header, "format").lower()
    in_header = {name: str(given["text"]) for name in variables_of(_text(header, "text"))} if given.get("text") else {}
    file = _mapping(given.get(media))
    named = next((str(file[name]) for name in ("filename", "link", "name", "address", "id") if file.get(name)), "")
    offer = by_type.get("LIMITED_TIME_OFFER", {})
    return Shown(
        media,
        _of_person(named, person, is_free_text=True),
        fill(_text(header, "text"), in_header, person),
        fill(_text(body, "text") or _of_authentication(body), _mapping(values.get("variables")), person),
        _text(by_type.get("FOOTER", {}), "text") or _expiry(by_type.get("FOOTER", {})),
        _text(_mapping(offer.get("limited_time_offer")), "text"),
        tuple(_buttons(_list(by_type.get("BUTTONS", {}), "buttons"), _mapping(values.get("buttons")), person)),
        tuple(
            shown(_list(card, "components"), examples_of(_list(card, "components")))
            for card in _list(by_type.get("CAROUSEL", {}), "cards")
        ),
    )


def examples_of(components: Sequence[Component]) -> dict[str, Any]:
    """The values that whoever made the template gave as examples."""
    by_type = _by_type(components)
    header, body = by_type.get("HEADER", {}), by_type.get("BODY", {})
    found: dict[str, Any] = {"variables": _examples(body, "body_text"), "header": {}, "buttons": {}}
    media = _text(header, "format").lower()
    texts = list(_examples(header, "header_text").values())
    handles = _mapping(header.get("example")).get("header_handle")
    if texts:
        found["header"] = {"text": texts[0]}
    elif media not in ("", "text", "location"):
        found["header"] = {media: {"link": str(handles[0])}} if isinstance(handles, list) and handles else {}
    for place, button in enumerate(_list(by_type.get("BUTTONS", {}), "buttons")):
        example = button.get("example")
        example = example[0] if isinstance(example, list) and example else example
        if isinstance(example, str):
            found["buttons"][str(place)] = _suffix(_text(button, "url"), example)
    return found


def variables(components: Sequence[Component]) -> list[Variable]:
    """Everything that a message of this template needs, in the order in which it is read."""
    by_type, examples = _by_type(components), examples_of(components)
    header = by_type.get("HEADER", {})
    media, text = _text(header, "format").lower(), str(examples["header"].get("text", ""))
    found = [Variable("header", name, text) for name in variables_of(_text(header, "text"))]
    if media not in ("", "text"):
        found.append(Variable("header", media, str(_mapping(examples["header"].get(media)).get("link", ""))))
    in_body = variables_of(_text(by_type.get("BODY", {}), "text"))
    found += [Variable("body", name, str(examples["variables"].get(name, ""))) for name in in_body]
    for place, button in enumerate(_list(by_type.get("BUTTONS", {}), "buttons")):
        if variables_of(_text(button, "url")) or _text(button, "type").upper() in ("COPY_CODE", "OTP"):
            found.append(Variable("button", _text(button, "text"), str(examples["buttons"].get(str(place), ""))))
    return found


def variables_of(text: str) -> list[str]:
    """The names between `{{` and `}}`, each once."""
    return list(dict.fromkeys(_PLACEHOLDER.findall(text)))


def fill(text: str, values: Mapping[str, Any], person: Person = _NOBODY) -> str:
    """A text with its values; a placeholder stays where there is none."""

    def value_of(found: re.Match[str]) -> str:
        value = values.get(found[1])
        return found[0] if value is None or not str(value).strip() else _of_person(str(value), person)

    return _PLACEHOLDER.sub(value_of, text)


def _of_person(text: str, person: Person, *, is_free_text: bool = False) -> str:
    value = Value.parse(text, is_free_text=is_free_text)
    known = {name: person.get(name, "") for name in value.columns}
    missing = {name: f"{{{{{name}}}}}" for name in value.columns if not known[name].strip()}
    return msgspec.json.decode(value.render(known | missing), type=str)


# --- how Meta writes it


def _by_type(components: Sequence[Component]) -> dict[str, Component]:
    return {_text(component, "type").upper(): component for component in components}


def _buttons(buttons: Sequence[Component], values: Values, person: Person) -> Iterator[Button]:
    for place, button in enumerate(buttons):
        kind, value = _text(button, "type").lower(), values.get(str(place))
        beside = _text(button, "phone_number")
        if kind == "url":
            url = _text(button, "url")
            beside = fill(url, dict.fromkeys(variables_of(url), value), person)
        elif kind in ("copy_code", "otp"):
            beside = _of_person(str(value or ""), person)
        yield Button(kind, _text(button, "text"), beside)


def _examples(component: Component, key: str) -> dict[str, str]:
    """By the names of the variables, or by their numbers."""
    example = _mapping(component.get("example"))
    named = example.get(f"{key}_named_params")
    if isinstance(named, list):
        return {_text(one, "param_name"): _text(one, "example") for one in named if isinstance(one, Mapping)}
    given = example.get(key)
    rows = given if isinstance(given, list) else []
    first = rows[0] if rows and isinstance(rows[0], list) else rows
    names = variables_of(_text(component, "text"))
    by_number = sorted(names, key=lambda name: (len(name), name))
    return {name: str(value) for name, value in zip(by_number, first, strict=False)}


def _suffix(url: str, example: str) -> str:
    """What stands for the variable of a link, where the example is the whole of the link."""
    start = _PLACEHOLDER.split(url)[0]
    return example[len(start) :] if start and example.startswith(start) else example


def _of_authentication(body: Component) -> str:
    """WhatsApp words these itself where a template has none."""
    return "*{{1}}*" if "add_security_recommendation" in body else ""


def _expiry(footer: Component) -> str:
    minutes = footer.get("code_expiration_minutes")
    return f"This code expires in {minutes} minutes." if isinstance(minutes, int) else ""


def _text(component: Mapping[str, Any], key: str) -> str:
    value = component.get(key)
    return value if isinstance(value, str) else ""


def _list(component: Mapping[str, Any], key: str) -> list[Any]:
    value = component.get(key)
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list) else []


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
