"""Message templates: the book of them, and what each asks of a message.

A template is kept in the shape of Meta's template node, as it came, and beside it what a message must bring
(`Shape`). Templates are known by name and language; a name alone is several templates.
"""

import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from server.simulator.errors import Refusal

_NAME: Final = re.compile(r"[a-z0-9_]{1,512}")
_LANGUAGE: Final = re.compile(r"[a-z]{2,3}(_[A-Za-z]{2,4})?")
_VARIABLE: Final = re.compile(r"\{\{\s*([a-z0-9_]+)\s*\}\}")
_BUTTON_SUB_TYPES: Final[Mapping[str, str]] = {
    "QUICK_REPLY": "quick_reply",
    "URL": "url",
    "COPY_CODE": "copy_code",
    "FLOW": "flow",
    "OTP": "url",
    "CATALOG": "catalog",
    "MPM": "mpm",
}
"""How a message calls a button that may have a parameter, by the button's type in the template."""


class _ButtonNode(msgspec.Struct, frozen=True):
    type: str = ""
    url: str = ""


class _OfferNode(msgspec.Struct, frozen=True):
    has_expiration: bool = False


class _CardNode(msgspec.Struct, frozen=True):
    components: tuple["_ComponentNode", ...] = ()


class _ComponentNode(msgspec.Struct, frozen=True):
    """What is read of a component; the rest of it is kept as it came."""

    type: str = ""
    format: str = "TEXT"
    text: str = ""
    buttons: tuple[_ButtonNode, ...] = ()
    limited_time_offer: _OfferNode = _OfferNode()
    cards: tuple[_CardNode, ...] = ()


CATEGORIES: Final = frozenset({"MARKETING", "UTILITY", "AUTHENTICATION"})
FORMATS: Final = frozenset({"POSITIONAL", "NAMED"})


@dataclass(frozen=True, slots=True)
class Button:
    """One button: how a message calls it (None: it takes nothing), and whether its parameter must be there."""

    sub_type: str | None
    required: bool


@dataclass(frozen=True, slots=True)
class Shape:
    """What a message must bring: variables by name (positional ones are "1", "2", ...), media, button parameters."""

    header_format: str | None
    header_variables: tuple[str, ...]
    body_text: str
    body_variables: tuple[str, ...]
    buttons: tuple[Button, ...]
    offer_expires: bool
    cards: tuple["Shape", ...]


@dataclass(slots=True)
class Template:
    """One template in one language. `status` and `quality` may change at any time; the rest stays."""

    id: str
    name: str
    language: str
    category: str
    status: str
    named: bool
    components: list[dict[str, Any]]
    more: dict[str, Any]
    """Other fields of the node, as they came."""
    shape: Shape
    quality: str = "GREEN"

    def node(self) -> dict[str, Any]:
        """The template as the Graph API shows it."""
        return {
            "id": self.id,
            "name": self.name,
            "language": self.language,
            "status": self.status,
            "category": self.category,
            "parameter_format": "NAMED" if self.named else "POSITIONAL",
            "components": self.components,
            "quality_score": {"score": self.quality, "date": 1_790_000_000},
            "rejected_reason": "NONE",
            **self.more,
        }


class TemplateBook:
    """All templates of the business, in the order they came."""

    def __init__(self, nodes: Iterable[Mapping[str, Any]]) -> None:
        self._by_key: dict[tuple[str, str], Template] = {}
        for node in nodes:
            self.add(node)

    def add(self, node: Mapping[str, Any]) -> Template:
        """Take a template in; one of the same name and language is replaced. Refusal 100 where it is malformed."""
        template = template_from(node)
        self._by_key[template.name, template.language] = template
        return template

    def get(self, name: str, language: str) -> Template | None:
        """The template of this name in exactly this language."""
        return self._by_key.get((name, language))

    def by_id(self, template_id: str) -> Template | None:
        """The template with this id."""
        return next((template for template in self if template.id == template_id), None)

    def __iter__(self) -> Iterator[Template]:
        return iter(list(self._by_key.values()))


def builtin_nodes() -> list[dict[str, Any]]:
    """The templates every simulator begins with."""
    return read_nodes(Path(__file__).with_name("builtin_templates.json"))


def read_nodes(path: Path) -> list[dict[str, Any]]:
    """Template nodes from a JSON file. Raises OSError or msgspec.DecodeError."""
    return msgspec.json.decode(path.read_bytes(), type=list[dict[str, Any]])


def template_from(node: Mapping[str, Any]) -> Template:
    """Read one template node. Refusal 100 says which field is wrong and what would be right."""
    name, language = node.get("name"), node.get("language")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise Refusal(100, "name must have 1 to 512 lowercase letters, digits and underscores")
    if not isinstance(language, str) or not _LANGUAGE.fullmatch(language):
        raise Refusal(100, "language must be a code such as en_US or he")
    category = str(node.get("category", "")).upper()
    if category not in CATEGORIES:
        raise Refusal(100, f"category must be one of {', '.join(sorted(CATEGORIES))}")
    parameter_format = str(node.get("parameter_format", "POSITIONAL")).upper()
    if parameter_format not in FORMATS:
        raise Refusal(100, "parameter_format must be POSITIONAL or NAMED")
    components = node.get("components")
    try:
        read = msgspec.convert(components, tuple[_ComponentNode, ...])
    except msgspec.ValidationError as error:
        raise Refusal(100, f"components must be a list of objects, as Meta's template node has them: {error}") from None
    known = {"id", "name", "language", "category", "status", "parameter_format", "components", "quality_score"}
    return Template(
        id=str(node.get("id") or _id_for(name, language)),
        name=name,
        language=language,
        category=category,
        status=str(node.get("status", "APPROVED")).upper(),
        named=parameter_format == "NAMED",
        components=list(components or ()),
        more={field: value for field, value in node.items() if field not in known},
        shape=_shape_of(read, named=parameter_format == "NAMED"),
        quality=_quality_of(node),
    )


def _quality_of(node: Mapping[str, Any]) -> str:
    quality = node.get("quality_score")
    return str(quality.get("score", "GREEN")) if isinstance(quality, dict) else "GREEN"


def _id_for(name: str, language: str) -> str:
    """An id as long as Meta's, the same in every run."""
    return f"16{zlib.crc32(name.encode()):010d}{zlib.crc32(language.encode()) % 10_000:04d}"


def _shape_of(components: tuple[_ComponentNode, ...], *, named: bool, card: bool = False) -> Shape:
    by_type = {component.type.upper(): component for component in components}
    nothing = _ComponentNode()
    header, body = by_type.get("HEADER"), by_type.get("BODY", nothing)
    if not body.text and not card:
        raise Refusal(100, "components must have a BODY with text")
    return Shape(
        header_format=header.format.upper() if header else None,
        header_variables=_variables_of(header.text if header else "", named=named),
        body_text=body.text,
        body_variables=_variables_of(body.text, named=named),
        buttons=tuple(_button_of(button) for button in by_type.get("BUTTONS", nothing).buttons),
        offer_expires=by_type.get("LIMITED_TIME_OFFER", nothing).limited_time_offer.has_expiration,
        cards=tuple(
            _shape_of(one.components, named=named, card=True) for one in by_type.get("CAROUSEL", nothing).cards
        ),
    )


def _variables_of(text: str, *, named: bool) -> tuple[str, ...]:
    """The variables of a text, each once, in the order a message must give them. Refusal 100 where they do not fit."""
    found = list(dict.fromkeys(_VARIABLE.findall(text)))
    if named:
        if any(name[0].isdigit() for name in found):
            raise Refusal(100, "variables of a NAMED template must be names such as {{first_name}}")
        return tuple(found)
    if sorted(found) != sorted(str(n) for n in range(1, len(found) + 1)):
        raise Refusal(100, "variables of a POSITIONAL template must be {{1}}, {{2}} and so on, without gaps")
    return tuple(sorted(found, key=int))


def _button_of(button: _ButtonNode) -> Button:
    kind = button.type.upper()
    with_variable = bool(_VARIABLE.search(button.url)) or kind in {"COPY_CODE", "OTP"}
    takes_any = kind != "URL" or with_variable
    return Button(sub_type=_BUTTON_SUB_TYPES.get(kind) if takes_any else None, required=with_variable)
