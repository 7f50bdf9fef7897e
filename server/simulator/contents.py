"""What the last messages said, for those who read or answer them. Older ones are forgotten."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from server.simulator.templates import Template
from server.simulator.world import World

KEPT_CONTENTS: Final = 10_000
_VARIABLE: Final = re.compile(r"\{\{\s*([a-z0-9_]+)\s*\}\}")


class ButtonSeen(msgspec.Struct, frozen=True):
    """A button as the person sees it."""

    text: str
    kind: str
    """`quick_reply` (of a template), `reply` (free-form) or any other, which opens something and tells nobody."""
    payload: str | None = None
    """What a tap sends back."""


class Letter(msgspec.Struct, frozen=True):
    """A message as the person sees it."""

    header: str | None
    text: str
    footer: str | None = None
    buttons: tuple[ButtonSeen, ...] = ()


class Contents:
    """The requests of the last messages, by the ledger's `n`."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.forget()

    def keep(self, n: int, body: bytes) -> None:
        """Remember what message `n` said; the one so many before it is forgotten."""
        self._bodies[n % KEPT_CONTENTS] = body
        self._last = n

    def forget(self) -> None:
        """Forget everything."""
        self._bodies: list[bytes | None] = [None] * KEPT_CONTENTS
        self._last = 0

    def letter(self, n: int) -> Letter | None:
        """What the person sees of message `n`; None where it is forgotten."""
        body = self._bodies[n % KEPT_CONTENTS] if self._last - KEPT_CONTENTS < n <= self._last else None
        if body is None:
            return None
        fields = msgspec.json.decode(body, type=dict[str, Any])
        kind = str(fields.get("type", "text"))
        content = fields[kind]
        if kind == "template":
            template = self._world.templates.get(content["name"], content["language"]["code"])
            return None if template is None else _of_template(template, content.get("components") or ())
        return _of_free_form(kind, content)


def _of_template(template: Template, components: object) -> Letter:
    given = [part for part in components if isinstance(part, dict)] if isinstance(components, list | tuple) else []
    by_type = {str(part.get("type", "")).lower(): part for part in given}
    nodes = {str(node.get("type", "")).upper(): node for node in template.components}
    header = nodes.get("HEADER")
    footer = nodes.get("FOOTER", {}).get("text")
    buttons = nodes.get("BUTTONS", {}).get("buttons", [])
    return Letter(
        None if header is None else _header(header, by_type.get("header", {})),
        _filled(str(nodes.get("BODY", {}).get("text", "")), by_type.get("body", {})),
        footer if isinstance(footer, str) else None,
        tuple(_buttons(buttons, given)),
    )


def _header(node: Mapping[str, Any], part: Mapping[str, Any]) -> str:
    kind = str(node.get("format", "TEXT")).upper()
    return _filled(str(node.get("text", "")), part) if kind == "TEXT" else f"[{kind.lower()}]"


def _filled(text: str, part: Mapping[str, Any]) -> str:
    """A text of a template with the values of a message in it."""
    values: dict[str, str] = {}
    for position, parameter in enumerate(part.get("parameters") or (), start=1):
        value = parameter.get("text")
        if value is None:
            inner = parameter.get(str(parameter.get("type")))
            value = inner.get("fallback_value", "") if isinstance(inner, dict) else ""
        values[str(parameter.get("parameter_name") or position)] = str(value)
    return _VARIABLE.sub(lambda found: values.get(found[1], found[0]), text)


def _buttons(nodes: list[Mapping[str, Any]], given: list[dict[str, Any]]) -> Iterator[ButtonSeen]:
    payloads = {
        int(part.get("index", -1)): part["parameters"][0].get("payload")
        for part in given
        if str(part.get("type")).lower() == "button" and str(part.get("sub_type")).lower() == "quick_reply"
        if part.get("parameters")
    }
    for index, node in enumerate(nodes):
        kind = str(node.get("type", "")).lower()
        text = str(node.get("text") or kind.replace("_", " ").capitalize())
        if kind == "quick_reply":
            yield ButtonSeen(text, kind, str(payloads.get(index) or text))
        else:
            yield ButtonSeen(text, kind)


def _of_free_form(kind: str, content: Any) -> Letter:
    if not isinstance(content, dict):
        return Letter(None, f"[{kind}]")
    if kind == "text":
        return Letter(None, str(content.get("body", "")))
    if kind == "interactive":
        return _of_interactive(content)
    caption = content.get("caption") or content.get("emoji") or content.get("name") or ""
    return Letter(f"[{kind}]", str(caption))


def _of_interactive(content: Mapping[str, Any]) -> Letter:
    header = content.get("header") or {}
    action = content.get("action") or {}
    replies = [button["reply"] for button in action.get("buttons") or () if isinstance(button.get("reply"), dict)]
    return Letter(
        str(header["text"]) if "text" in header else None,
        str((content.get("body") or {}).get("text", "")),
        (content.get("footer") or {}).get("text"),
        tuple(ButtonSeen(str(reply["title"]), "reply", str(reply["id"])) for reply in replies),
    )
