"""Does a template message bring what its template asks for? Refuses with Meta's codes and says which part is wrong.

131008 a parameter without its value; 131009 a value that cannot be; 132000 the wrong number of parameters; 132005 too
long once filled in; 132012 the wrong kind of parameter; 132018 text with line breaks, tabs or five spaces in a row.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from server.simulator.errors import Refusal
from server.simulator.templates import Button, Shape, Template

BODY_LENGTH: Final = 1024
URL_LENGTH: Final = 2000
QUICK_REPLY_PAYLOAD_LENGTH: Final = 256
COUPON_CODE_LENGTH: Final = 20
OFFER_CODE_LENGTH: Final = 15

_FORMATS_OF_MEDIA: Final = frozenset({"IMAGE", "VIDEO", "DOCUMENT"})
_COMPONENT_TYPES: Final = frozenset(
    {"header", "body", "button", "limited_time_offer", "carousel", "tap_target_configuration"}
)


class Parts:
    """The components of one message, sorted by what they are."""

    __slots__ = ("buttons", "by_type")

    def __init__(self, components: object, where: str) -> None:
        if components is None:
            components = []
        if not isinstance(components, list):
            raise Refusal(131009, f"{where}components must be a list")
        self.by_type: dict[str, dict[str, Any]] = {}
        self.buttons: dict[int, dict[str, Any]] = {}
        for component in components:
            if not isinstance(component, dict):
                raise Refusal(131009, f"{where}components must be objects")
            kind = component.get("type")
            kind = kind.lower() if isinstance(kind, str) else None
            if kind not in _COMPONENT_TYPES:
                raise Refusal(131009, f"{where}component type must be one of {', '.join(sorted(_COMPONENT_TYPES))}")
            if kind == "button":
                self.buttons[_index_of(component, where)] = component
            elif kind in self.by_type:
                raise Refusal(131009, f"{where}{kind}: given more than once")
            else:
                self.by_type[kind] = component

    def parameters(self, kind: str, where: str) -> list[dict[str, Any]]:
        """The parameters of the component of this type, none where it is not there."""
        component = self.by_type.get(kind)
        return [] if component is None else _parameters_of(component, where)


def check_components(components: object, template: Template) -> None:
    """Hold the components of a message against its template. Raises Refusal."""
    parts = Parts(components, "")
    shape = template.shape
    _check_header(parts, shape, "header", named=template.named)
    parameters = parts.parameters("body", "body")
    _check_texts(parameters, shape.body_variables, "body", named=template.named)
    _check_length(parameters, shape)
    _check_buttons(parts, shape, "")
    _check_offer(parts, shape)
    _check_cards(parts, template)


def _check_header(parts: Parts, shape: Shape, where: str, *, named: bool) -> None:
    wanted = shape.header_format
    parameters = parts.parameters("header", where)
    if wanted is None or wanted == "TEXT":
        _check_texts(parameters, shape.header_variables, where, named=named)
        return
    received = str(parameters[0].get("type", "UNKNOWN")).upper() if parameters else "UNKNOWN"
    if received != wanted:
        raise Refusal(132012, f"{where}: Format mismatch, expected {wanted}, received {received}")
    if len(parameters) > 1:
        raise _wrong_count(where, len(parameters), 1)
    content = parameters[0].get(wanted.lower())
    if not isinstance(content, dict):
        raise Refusal(131008, f"{where}: Parameter of type {wanted.lower()} is missing its {wanted.lower()} value")
    if wanted in _FORMATS_OF_MEDIA:
        check_media(content, where)
    elif wanted == "LOCATION":
        check_location(content, where)


def check_media(content: Mapping[str, Any], where: str) -> None:
    """A medium is named by the id of an upload or by a link, not both and not neither."""
    media_id, link = content.get("id"), content.get("link")
    if (media_id is None) == (link is None):
        raise Refusal(131008 if link is None else 131009, f"{where}: exactly one of id and link is needed")
    if link is not None and not (isinstance(link, str) and link.startswith(("https://", "http://"))):
        raise Refusal(131009, f"{where}: link must be an http or https URL")
    if media_id is not None and not (isinstance(media_id, str) and media_id):
        raise Refusal(131009, f"{where}: id must be a media id")


def check_location(content: Mapping[str, Any], where: str) -> None:
    """A place has a latitude from -90 to 90 and a longitude from -180 to 180, as numbers or as text."""
    for name, bound in (("latitude", 90), ("longitude", 180)):
        if content.get(name) is None:
            raise Refusal(131008, f"{where}: location is missing {name}")
        try:
            within = abs(float(content[name])) <= bound
        except (TypeError, ValueError):
            within = False
        if not within:
            raise Refusal(131009, f"{where}: {name} must be a number from -{bound} to {bound}")


def _check_texts(parameters: list[dict[str, Any]], variables: tuple[str, ...], where: str, *, named: bool) -> None:
    if len(parameters) != len(variables):
        raise _wrong_count(where, len(parameters), len(variables))
    for parameter in parameters:
        _check_text(parameter, where)
    if named and variables:
        given = [parameter.get("parameter_name") for parameter in parameters]
        if not all(given):
            raise Refusal(132012, f"{where}: Parameter name is missing or empty")
        for name in variables:
            if name not in given:
                raise Refusal(132012, f"{where}: Parameter {name} is expected but not given")


def _check_text(parameter: Mapping[str, Any], where: str) -> None:
    kind = parameter.get("type")
    if kind == "text":
        text = parameter.get("text")
        if text is None or text == "":
            raise Refusal(131008, f"{where}: Parameter of type text is missing text value")
        if not isinstance(text, str):
            raise Refusal(131009, f"{where}: Parameter of type text must have a string")
        if "\n" in text or "\t" in text or "\r" in text or "     " in text:
            raise Refusal(
                132018, f"{where}: Param text cannot have new-line/tab characters or more than 4 consecutive spaces"
            )
    elif isinstance(kind, str) and kind in {"currency", "date_time"}:
        value = parameter.get(kind)
        if not isinstance(value, dict) or not value.get("fallback_value"):
            raise Refusal(131008, f"{where}: Parameter of type {kind} is missing fallback_value")
        if kind == "currency" and not (isinstance(value.get("amount_1000"), int) and value.get("code")):
            raise Refusal(131008, f"{where}: Parameter of type currency is missing code or amount_1000")
    else:
        received = kind.upper() if isinstance(kind, str) else "UNKNOWN"
        raise Refusal(132012, f"{where}: Format mismatch, expected TEXT, received {received}")


def _check_length(parameters: list[dict[str, Any]], shape: Shape) -> None:
    values = [str(parameter.get("text") or "") for parameter in parameters]
    if len(shape.body_text) + sum(map(len, values)) <= BODY_LENGTH:
        return  # too short even if the placeholders counted, so they need not be taken out
    literal = re.sub(r"\{\{.*?\}\}", "", shape.body_text)
    if len(literal) + sum(map(len, values)) > BODY_LENGTH:
        raise Refusal(132005, f"body: Translated text is longer than {BODY_LENGTH} characters")


def _check_buttons(parts: Parts, shape: Shape, where: str) -> None:
    for index, component in parts.buttons.items():
        button = shape.buttons[index] if index < len(shape.buttons) else None
        sub_type = component.get("sub_type")
        sub_type = sub_type.lower() if isinstance(sub_type, str) else sub_type
        if button is None or button.sub_type is None:
            raise Refusal(132000, f"{where}button: The template has no button at index {index} that takes a parameter")
        if sub_type != button.sub_type:
            raise Refusal(
                132012, f"{where}button: Format mismatch at index {index}, expected {button.sub_type}, got {sub_type}"
            )
        offer = shape.offer_expires
        _check_button_parameters(_parameters_of(component, f"{where}button"), button, index, where, offer=offer)
    for index, button in enumerate(shape.buttons):
        if button.required and index not in parts.buttons:
            raise Refusal(
                131008, f"{where}buttons: Button at index {index} of type {button.sub_type} requires a parameter"
            )


_BUTTON_PARAMETERS: Final[Mapping[str, str]] = {
    "quick_reply": "payload",
    "url": "text",
    "copy_code": "coupon_code",
    "flow": "action",
    "catalog": "action",
    "mpm": "action",
}


def _check_button_parameters(
    parameters: list[dict[str, Any]], button: Button, index: int, where: str, *, offer: bool
) -> None:
    if len(parameters) != 1:
        raise _wrong_count(f"{where}button at index {index}", len(parameters), 1)
    kind = _BUTTON_PARAMETERS[button.sub_type or ""]
    received = parameters[0].get("type")
    if received != kind:
        raise Refusal(132012, f"{where}button: Format mismatch at index {index}, expected {kind}, received {received}")
    value = parameters[0].get(kind)
    if not value:
        raise Refusal(131008, f"{where}button: Parameter of type {kind} at index {index} is missing its value")
    if kind == "action":
        if not isinstance(value, dict):
            raise Refusal(131009, f"{where}button: action at index {index} must be an object")
        return
    code_length = OFFER_CODE_LENGTH if offer else COUPON_CODE_LENGTH
    longest = {"payload": QUICK_REPLY_PAYLOAD_LENGTH, "text": URL_LENGTH, "coupon_code": code_length}[kind]
    if not isinstance(value, str) or len(value) > longest:
        raise Refusal(131009, f"{where}button: {kind} at index {index} must be at most {longest} characters of text")


def _check_offer(parts: Parts, shape: Shape) -> None:
    where = "limited_time_offer"
    parameters = parts.parameters(where, where)
    if len(parameters) != int(shape.offer_expires):
        raise _wrong_count(where, len(parameters), int(shape.offer_expires))
    for parameter in parameters:
        content = parameter.get(where)
        expires = content.get("expiration_time_ms") if isinstance(content, dict) else None
        if expires is None:
            raise Refusal(131008, f"{where}: expiration_time_ms is missing")
        # In seconds it would lie in January 1970; a well-known client library sends it so.
        if not isinstance(expires, int) or expires < 1_000_000_000_000:
            raise Refusal(131009, f"{where}: expiration_time_ms must be a time in milliseconds since 1970")


def _check_cards(parts: Parts, template: Template) -> None:
    carousel = parts.by_type.get("carousel")
    shapes = template.shape.cards
    cards = carousel.get("cards") if carousel is not None else []
    if not isinstance(cards, list) or not all(isinstance(card, dict) for card in cards):
        raise Refusal(131009, "carousel: cards must be a list of objects")
    if len(cards) != len(shapes):
        raise _wrong_count("carousel", len(cards), len(shapes))
    for position, card in enumerate(cards):
        index = card.get("card_index", position)
        if not isinstance(index, int) or not 0 <= index < len(shapes):
            raise Refusal(131009, f"carousel: card_index must be from 0 to {len(shapes) - 1}")
        shape, where = shapes[index], f"carousel card {index} "
        inner = Parts(card.get("components"), where)
        _check_header(inner, shape, f"{where}header", named=template.named)
        _check_texts(
            inner.parameters("body", f"{where}body"), shape.body_variables, f"{where}body", named=template.named
        )
        _check_buttons(inner, shape, where)


def _parameters_of(component: Mapping[str, Any], where: str) -> list[dict[str, Any]]:
    parameters = component.get("parameters")
    if parameters is None:
        return []
    if not isinstance(parameters, list) or not all(isinstance(parameter, dict) for parameter in parameters):
        raise Refusal(131009, f"{where}: parameters must be a list of objects")
    return parameters


def _index_of(component: Mapping[str, Any], where: str) -> int:
    index = component.get("index")
    if isinstance(index, int) and not isinstance(index, bool) and index >= 0:
        return index
    if isinstance(index, str) and index.isascii() and index.isdecimal():
        return int(index)
    raise Refusal(131009, f"{where}button: index must be a number from 0, as an integer or as text")


def _wrong_count(where: str, given: int, expected: int) -> Refusal:
    return Refusal(
        132000,
        f"{where}: number of localizable_params ({given}) does not match the expected number of params ({expected})",
    )
