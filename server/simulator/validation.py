"""Is this body a message the Cloud API would take? What is not, is refused with Meta's code and words.

Numbers: `+`, spaces, dashes, dots and brackets are taken out. Digits without a plus are taken as they stand, as in
Meta's own samples; always send the plus.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from server.simulator.errors import Refusal, missing
from server.simulator.template_checks import check_components, check_location, check_media
from server.simulator.templates import TemplateBook

OPAQUE_LENGTH: Final = 512
TEXT_LENGTH: Final = 4096
CAPTION_LENGTH: Final = 1024
CONTACTS: Final = 5
REPLY_BUTTONS: Final = 3
LIST_ROWS: Final = 10

MEDIA_TYPES: Final = frozenset({"image", "video", "audio", "document", "sticker"})
TYPES: Final = MEDIA_TYPES | {"text", "location", "contacts", "interactive", "template", "reaction"}
INTERACTIVE_TYPES: Final = frozenset(
    {"button", "list", "cta_url", "flow", "product", "product_list", "catalog_message", "location_request_message"}
)

_USER_ID: Final = re.compile(r"[A-Z]{2}\.[A-Za-z0-9.]{1,137}")
_DECORATION: Final = str.maketrans("", "", " -.()\u202a\u202c")


class Message(msgspec.Struct, frozen=True, gc=False):
    """A message that is well-formed."""

    input: str
    """Who was addressed, as the request has it."""
    to: str
    """E.164 with its plus, or a BSUID."""
    wa_id: str | None
    """Whose phone rings; None for a BSUID, whose phone the Cloud API does not tell."""
    type: str
    template: str | None
    language: str | None
    opaque: str | None


class ReadMark(msgspec.Struct, frozen=True, gc=False):
    """Not a message: "I have read yours", sent to the same endpoint."""

    message_id: str


def check(body: bytes, templates: TemplateBook) -> Message | ReadMark:
    """Read and check one send request. Raises Refusal."""
    try:
        fields = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise Refusal(100, "The request body is not valid JSON") from None
    if not isinstance(fields, dict):
        raise Refusal(100, "The request body must be a JSON object")
    product = fields.get("messaging_product")
    if product is None:
        raise missing("messaging_product")
    if product != "whatsapp":
        raise Refusal(100, message='Param messaging_product must be one of {"WHATSAPP"}')
    if "status" in fields:
        return _read_mark(fields)
    return _message(fields, templates)


def wa_id_of(digits: str) -> str:
    """The WhatsApp id of a number: its digits, but for two countries with two spellings of one phone.

    Brazil: outside area codes 11 to 28 the ninth digit is dropped. Mexico: a 1 goes in behind the country code.
    """
    if digits.startswith("55") and len(digits) == 13 and digits[4] == "9" and digits[2:4] > "28":
        return digits[:4] + digits[5:]
    if digits.startswith("52") and len(digits) == 12:
        return f"521{digits[2:]}"
    return digits


def digits_of(phone: str) -> str | None:
    """The digits of a phone number, None where it cannot be one (7 to 15 digits, not beginning with 0)."""
    digits = phone[1:] if phone[:1] == "+" else phone
    if not digits.isdecimal():
        digits = phone.translate(_DECORATION).removeprefix("+")
    if digits.isdecimal() and digits.isascii() and 7 <= len(digits) <= 15 and digits[0] != "0":
        return digits
    return None


def _read_mark(fields: Mapping[str, Any]) -> ReadMark:
    if fields["status"] != "read":
        raise Refusal(100, message='Param status must be one of {"READ"}')
    message_id = fields.get("message_id")
    if not isinstance(message_id, str) or not message_id:
        raise missing("message_id")
    return ReadMark(message_id)


def _message(fields: Mapping[str, Any], templates: TemplateBook) -> Message:
    address, to, wa_id = _addressee(fields)
    kind = fields.get("type", "text")
    if not isinstance(kind, str) or kind not in TYPES:
        names = ", ".join(sorted(name.upper() for name in TYPES))
        raise Refusal(100, message=f'Param type must be one of {{{names}}} - got "{kind}".')
    opaque = fields.get("biz_opaque_callback_data")
    if opaque is not None and (not isinstance(opaque, str) or len(opaque) > OPAQUE_LENGTH):
        raise Refusal(100, f"biz_opaque_callback_data must be text of at most {OPAQUE_LENGTH} characters")
    content = fields.get(kind)
    if content is None:
        raise missing(kind)
    name = language = None
    if kind == "template":
        name, language = _check_template(content, templates)
    else:
        _check_free_form(kind, content)
    return Message(address, to, wa_id, kind, name, language, opaque)


def _addressee(fields: Mapping[str, Any]) -> tuple[str, str, str | None]:
    """The request's own words, E.164 or BSUID, and the WhatsApp id. `to` wins over `recipient`."""
    if fields.get("recipient_type", "individual") != "individual":
        raise Refusal(100, message='Param recipient_type must be one of {"INDIVIDUAL"}; groups are not simulated')
    to = fields.get("to")
    if to is not None and to != "":
        digits = digits_of(to) if isinstance(to, str) else None
        if digits is None:
            raise Refusal(131009, "Param to is not a valid WhatsApp phone number: 7 to 15 digits with the country code")
        return to, f"+{digits}", wa_id_of(digits)
    recipient = fields.get("recipient")
    if recipient is None:
        raise missing("to")
    if not (isinstance(recipient, str) and _USER_ID.fullmatch(recipient)):
        raise Refusal(131009, "Param recipient is not a business-scoped user id such as US.13491208655302741918")
    return recipient, recipient, None


def _check_template(content: object, templates: TemplateBook) -> tuple[str, str]:
    if not isinstance(content, dict):
        raise Refusal(131009, "template must be an object")
    name, language = content.get("name"), content.get("language")
    if not isinstance(name, str) or not name:
        raise Refusal(131008, "template: name is missing")
    code = language.get("code") if isinstance(language, dict) else None
    if not isinstance(code, str) or not code:
        raise Refusal(131008, "template: language code is missing")
    template = templates.get(name, code)
    if template is None or template.status not in {"APPROVED", "PAUSED", "DISABLED"}:
        raise Refusal(132001, f"template name ({name}) does not exist in {code}")
    if template.status == "PAUSED":
        raise Refusal(132015, f"template ({name}) in {code} is paused because of its quality")
    if template.status == "DISABLED":
        raise Refusal(132016, f"template ({name}) in {code} is disabled because of its quality")
    check_components(content.get("components"), template)
    return name, code


def _check_free_form(kind: str, content: object) -> None:
    if kind == "contacts":
        if not isinstance(content, list) or not 1 <= len(content) <= CONTACTS:
            raise Refusal(131009, f"contacts must be a list of 1 to {CONTACTS}")
        return
    if not isinstance(content, dict):
        raise Refusal(131009, f"{kind} must be an object")
    if kind == "text":
        _text(content, "body", TEXT_LENGTH, kind)
    elif kind in MEDIA_TYPES:
        check_media(content, kind)
        caption = content.get("caption")
        if caption is not None and (not isinstance(caption, str) or len(caption) > CAPTION_LENGTH):
            raise Refusal(131009, f"{kind}: caption must be text of at most {CAPTION_LENGTH} characters")
    elif kind == "location":
        check_location(content, kind)
    elif kind == "reaction":
        _text(content, "message_id", TEXT_LENGTH, kind)
        if not isinstance(content.get("emoji"), str):
            raise Refusal(131008, "reaction: emoji is missing; an empty one takes the reaction back")
    else:
        _check_interactive(content)


def _check_interactive(content: Mapping[str, Any]) -> None:
    where = "interactive"
    kind = content.get("type")
    if not isinstance(kind, str) or kind not in INTERACTIVE_TYPES:
        raise Refusal(131009, f"{where}: type must be one of {', '.join(sorted(INTERACTIVE_TYPES))}")
    body, action = content.get("body"), content.get("action")
    if kind != "product":
        _text(body if isinstance(body, dict) else {}, "text", CAPTION_LENGTH, f"{where} body")
    if not isinstance(action, dict):
        raise Refusal(131008, f"{where}: action is missing")
    if kind == "button":
        buttons = action.get("buttons")
        if not isinstance(buttons, list) or not 1 <= len(buttons) <= REPLY_BUTTONS:
            raise Refusal(131009, f"{where}: buttons must be a list of 1 to {REPLY_BUTTONS}")
        for button in buttons:
            reply = button.get("reply") if isinstance(button, dict) else None
            _text(reply if isinstance(reply, dict) else {}, "title", 20, f"{where} button")
            _text(reply if isinstance(reply, dict) else {}, "id", 256, f"{where} button")
    elif kind == "list":
        _check_sections(action.get("sections"), where)


def _check_sections(sections: object, where: str) -> None:
    if not isinstance(sections, list) or not all(isinstance(section, dict) for section in sections):
        raise Refusal(131009, f"{where}: sections must be a list of objects")
    lists = [section.get("rows", []) for section in sections]
    if not all(isinstance(rows, list) for rows in lists):
        raise Refusal(131009, f"{where}: rows must be a list")
    if not 1 <= sum(map(len, lists)) <= LIST_ROWS:
        raise Refusal(131009, f"{where}: sections must have 1 to {LIST_ROWS} rows together")


def _text(content: Mapping[str, Any], name: str, longest: int, where: str) -> None:
    value = content.get(name)
    if value is None or value == "":
        raise Refusal(131008, f"{where}: {name} is missing")
    if not isinstance(value, str) or len(value) > longest:
        raise Refusal(131009, f"{where}: {name} must be text of at most {longest} characters")
