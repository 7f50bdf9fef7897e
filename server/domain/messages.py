"""The message of a broadcast, planned once and rendered for each person: the exact request body of the Cloud API.

A plan is made from what Meta says of the template and from what the broadcast says of its variables. It holds the JSON
in segments, so that rendering a person is a join of bytes: this is the hot path. A variable's value is literal text
with `{{column}}` placeholders; a column is a field of the person.

Meta refuses an empty parameter (131008), and one with line breaks, tabs or more than four spaces in a row (132018,
where it looks): the first is found before sending (`problem_with`), the second is mended here.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

import msgspec

from server.domain.errors import BadInput, Problem
from server.domain.sentences import said

LONGEST_TEXT: Final = 4_096
LONGEST_CALLBACK: Final = 512
MEDIA: Final = ("image", "video", "document")

# Parts of a template whose parameters a broadcast has no words for.
_NOT_SENT: Final[Mapping[str, str]] = {
    "CAROUSEL": said("a carousel"),
    "LIMITED_TIME_OFFER": said("a limited-time offer"),
    "product": said("a product as its header"),
    "gif": said("a GIF as its header"),
    "MPM": said("a button that lists products"),
    "SPM": said("a button that shows a product"),
    "FLOW": said("a button that opens a flow"),
}
_PLACEHOLDER = re.compile(r"\{\{\s*([^{}]+?)\s*\}\}")
_SPACES: Final = " " * 5
_UNFIT = re.compile(r"[\r\n\t\v\f]+| {5,}")
_LEGAL_IN_URLS: Final = "%/:?#[]@!$&'()*+,;=~"
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Value:
    """A text that differs from person to person: literal parts and columns, in turn.

    parts: (text, is_column). is_url: the columns' values are percent-encoded; of the literal parts only what can stand
    in no URL, such as a space.
    """

    parts: tuple[tuple[str, bool], ...]
    is_url: bool = False
    is_free_text: bool = False

    @classmethod
    def parse(cls, text: str, *, is_url: bool = False, is_free_text: bool = False) -> "Value":
        """Read a value as a person wrote it, `Hi {{first_name}}`."""
        split = _PLACEHOLDER.split(text)
        parts = [(part, index % 2 == 1) for index, part in enumerate(split) if part]
        if is_url:
            parts = [(part if is_column else quote(part, safe=_LEGAL_IN_URLS), is_column) for part, is_column in parts]
        return cls(tuple(parts), is_url, is_free_text)

    @property
    def columns(self) -> list[str]:
        """The columns it needs."""
        return [part for part, is_column in self.parts if is_column]

    def render(self, variables: Mapping[str, str]) -> bytes:
        """The text for one person, as a JSON string."""
        if len(self.parts) == 1 and self.parts[0][1] and not self.is_url:
            text = variables.get(self.parts[0][0], "")
        else:
            text = "".join(self._of(variables, part) if is_column else part for part, is_column in self.parts)
        # What is printable holds no line break and no tab: two quick looks spare nearly every text the slow one.
        if not self.is_free_text and (not text.isprintable() or _SPACES in text):
            text = _UNFIT.sub(" ", text)
        return _encode(text)

    def _of(self, variables: Mapping[str, str], column: str) -> str:
        value = variables.get(column, "")
        return quote(value, safe="") if self.is_url else value


Segment = bytes | Value


@dataclass(frozen=True, slots=True)
class MessagePlan:
    """How a message is built.

    columns: the fields of a person that it needs, in the message's order, none empty. is_marketing: by the category of
    its template.
    """

    segments: tuple[Segment, ...]
    columns: tuple[str, ...]
    is_marketing: bool = False

    def problem_with(self, variables: Mapping[str, str]) -> str | None:
        """Why this person cannot get the message, or None: a value that is missing or empty."""
        for column in self.columns:
            if not variables.get(column, "").strip():
                return said("no value for %(column)s", column=column)
        return None

    def render(self, phone: str, variables: Mapping[str, str], callback: str) -> bytes:
        """The request body for one person.

        phone: E.164 with its plus. callback: at most 512 characters; every status webhook brings it back.
        """
        rest = [segment if isinstance(segment, bytes) else segment.render(variables) for segment in self.segments]
        return b"".join(
            (
                b'{"messaging_product":"whatsapp","recipient_type":"individual","to":"',
                phone.encode(),
                b'","biz_opaque_callback_data":"',
                callback.encode(),
                *rest,
            )
        )


def columns_of(message: Mapping[str, Any]) -> tuple[str, ...]:
    """The columns that a message names, as POST /broadcasts takes it: where it fits its template, those of its plan."""
    if "text" in message:
        texts = [str((message.get("text") or {}).get("body", ""))]
    else:
        template = message.get("template") or {}
        header = template.get("header") or {}
        texts = [str(value) for value in (template.get("variables") or {}).values()]
        texts += [str(header["text"])] if header.get("text") else []
        texts += [str(value) for kind in MEDIA for value in (header.get(kind) or {}).values()]
        texts += [str(value) for value in (template.get("buttons") or {}).values()]
    return tuple(dict.fromkeys(column for written in texts for column in Value.parse(written).columns))


def plan_text(message: Mapping[str, Any]) -> MessagePlan:
    """A free text for people inside their 24-hour window: `{"text": {"body": "Hi {{first_name}}"}}`.

    Raises `BadInput` where there is no body, or it is longer than WhatsApp takes.
    """
    text = message.get("text")
    body = text.get("body") if isinstance(text, Mapping) else None
    if not isinstance(body, str) or not body.strip():
        raise BadInput("A text message needs a body.", pointer="/text/body")
    if len(body) > LONGEST_TEXT:
        raise BadInput(
            said("The text has %(count)s characters; WhatsApp takes %(most)s.", count=len(body), most=LONGEST_TEXT),
            pointer="/text/body",
        )
    value = Value.parse(body, is_free_text=True)
    preview = b"true" if isinstance(text, Mapping) and text.get("preview_url") is True else b"false"
    segments = (b'","type":"text","text":{"preview_url":' + preview + b',"body":', value, b"}}")
    return MessagePlan(segments, tuple(dict.fromkeys(value.columns)))


def plan_template(
    message: Mapping[str, Any], components: Sequence[Mapping[str, Any]], parameter_format: str
) -> MessagePlan:
    """A template message: `{"template": {"name", "language", "variables", "header", "buttons"}}`.

    components, parameter_format: of the template, as Meta describes it. Raises `BadInput` with every variable, header
    and button that is missing or that the template does not have.
    """
    wanted = message.get("template")
    if not isinstance(wanted, Mapping):
        raise BadInput("A template message needs a template.", pointer="/template")
    is_named = parameter_format.upper() == "NAMED"
    shape = Shape.of(components, is_named=is_named)
    problems = [
        *shape.problems,
        *_variable_problems(wanted, shape),
        *_header_problems(wanted, shape),
        *_button_problems(wanted, shape),
    ]
    if problems:
        raise BadInput("The message does not fit the template.", problems=problems)
    parts = [*_header(wanted, shape), *_body(wanted, shape), *_buttons(wanted, shape)]
    head = {"name": wanted["name"], "language": {"code": wanted["language"]}}
    opening = b'","type":"template","template":' + _encode(head)[:-1]
    if not parts:
        return MessagePlan((opening + b"}}",), ())
    segments = _merged([opening, b',"components":[', *_joined(parts), b"]}}"])
    columns = (column for segment in segments if isinstance(segment, Value) for column in segment.columns)
    return MessagePlan(segments, tuple(dict.fromkeys(columns)))


@dataclass(frozen=True, slots=True)
class Shape:
    """What a template asks for."""

    is_named: bool
    body: tuple[str, ...]  # names of the variables of its body, in the order of its parameters
    header_kind: str  # text, image, video, document, location, or empty
    header_variable: str | None
    buttons: tuple[Mapping[str, Any], ...]
    problems: tuple[Problem, ...]  # what it has that no message of ours can fill

    @classmethod
    def of(cls, components: Sequence[Mapping[str, Any]], *, is_named: bool) -> "Shape":
        """Of a template, as Meta describes it."""
        by_type = {str(component.get("type", "")).upper(): component for component in components}
        header = by_type.get("HEADER", {})
        in_body = _variables_of(by_type.get("BODY", {}).get("text", ""))
        in_header = _variables_of(header.get("text", ""))
        kind = str(header.get("format", "")).lower()
        buttons = tuple(by_type.get("BUTTONS", {}).get("buttons", ()))
        return cls(
            is_named=is_named,
            # {{2}} may stand before {{1}} in a translation; the first parameter still fills {{1}}.
            body=tuple(in_body if is_named else sorted(in_body, key=lambda name: (len(name), name))),
            header_kind=kind,
            header_variable=in_header[0] if in_header else None,
            buttons=buttons,
            problems=tuple(
                Problem(
                    "/template/name", said("The template has %(part)s, which cannot be sent yet.", part=_NOT_SENT[part])
                )
                for part in dict.fromkeys((*by_type, kind, *map(_kind_of, buttons)))
                if part in _NOT_SENT
            ),
        )

    def button_needs_value(self, index: int) -> bool:
        """Whether a button cannot be sent without a value: a URL that ends in a variable, a code to copy."""
        button = self.buttons[index]
        kind = _kind_of(button)
        return kind in ("COPY_CODE", "OTP") or (kind == "URL" and bool(_variables_of(button.get("url", ""))))

    def button_takes_value(self, index: int) -> bool:
        """Whether a value can be given: besides those that need one, the payload of a quick reply."""
        return self.button_needs_value(index) or _kind_of(self.buttons[index]) == "QUICK_REPLY"


def _kind_of(button: Mapping[str, Any]) -> str:
    return str(button.get("type", "")).upper()


def _variables_of(text: str) -> list[str]:
    return list(dict.fromkeys(_PLACEHOLDER.findall(text or "")))


def obstacles_of(components: Sequence[Mapping[str, Any]]) -> list[str]:
    """Why no message of this template can be sent, whatever its values: parts that a broadcast has no words for."""
    return [problem.detail for problem in Shape.of(components, is_named=False).problems]


# --- what does not fit


def _variable_problems(wanted: Mapping[str, Any], shape: Shape) -> Iterator[Problem]:
    given = wanted.get("variables") or {}
    for name in shape.body:
        value = given.get(name)
        if value is None or not str(value).strip():
            detail = said("The template needs a value for {{%(name)s}}.", name=name)
            yield Problem(f"/template/variables/{name}", detail)
    for name in given:
        if name not in shape.body:
            has = said("it has %(names)s", names=_listed(shape.body)) if shape.body else said("it has none")
            detail = said('The template has no variable "%(name)s"; %(has)s.', name=name, has=has)
            yield Problem(f"/template/variables/{name}", detail)


def _header_problems(wanted: Mapping[str, Any], shape: Shape) -> Iterator[Problem]:
    header = wanted.get("header") or {}
    needed = shape.header_kind if shape.header_kind in (*MEDIA, "location") else ""
    if not needed and shape.header_variable:
        needed = "text"
    for kind in header:
        if kind != needed:
            has = said("the template's is %(kind)s", kind=needed) if needed else said("the template takes none")
            detail = said('A header of kind "%(kind)s" does not fit; %(has)s.', kind=kind, has=has)
            yield Problem(f"/template/header/{kind}", detail)
    if not needed:
        return
    value = header.get(needed)
    if not value:
        yield Problem(
            "/template/header", said("The template needs a header: %(example)s.", example=_example_of(needed))
        )
    elif needed in MEDIA and not (isinstance(value, Mapping) and bool(value.get("link")) != bool(value.get("id"))):
        detail = said("The %(kind)s needs a link or an id, one of them.", kind=needed)
        yield Problem(f"/template/header/{needed}", detail)


def _example_of(kind: str) -> str:
    if kind in MEDIA:
        return f'{{"{kind}": {{"link": "https://…"}}}}'
    return f'{{"{kind}": …}}'


def _button_problems(wanted: Mapping[str, Any], shape: Shape) -> Iterator[Problem]:
    given = wanted.get("buttons") or {}
    takes = [str(index) for index in range(len(shape.buttons)) if shape.button_takes_value(index)]
    for index in given:
        if index not in takes:
            has = said("those with one are %(names)s", names=_listed(takes)) if takes else said("it has none with one")
            detail = said('The template has no button "%(name)s" with a value; %(has)s.', name=index, has=has)
            yield Problem(f"/template/buttons/{index}", detail)
    for position in range(len(shape.buttons)):
        if shape.button_needs_value(position) and not str(given.get(str(position), "")).strip():
            label = shape.buttons[position].get("text") or f"number {position}"
            yield Problem(f"/template/buttons/{position}", said('The button "%(name)s" needs a value.', name=label))


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)


# --- what is built


def _body(wanted: Mapping[str, Any], shape: Shape) -> Iterator[list[Segment]]:
    if shape.body:
        parameters = [
            _text_parameter(wanted["variables"][name], name if shape.is_named else None) for name in shape.body
        ]
        yield [b'{"type":"body","parameters":[', *_joined(parameters), b"]}"]


def _header(wanted: Mapping[str, Any], shape: Shape) -> Iterator[list[Segment]]:
    header = wanted.get("header") or {}
    if shape.header_variable:
        name = shape.header_variable if shape.is_named else None
        yield [b'{"type":"header","parameters":[', *_text_parameter(header["text"], name), b"]}"]
    elif shape.header_kind == "location":
        yield [_encode({"type": "header", "parameters": [{"type": "location", "location": header["location"]}]})]
    elif shape.header_kind in MEDIA:
        kind = shape.header_kind
        fields: list[list[Segment]] = [
            [_encode(name) + b":", Value.parse(str(value), is_url=name == "link", is_free_text=True)]
            for name, value in header[kind].items()
        ]
        opening = f'{{"type":"header","parameters":[{{"type":"{kind}","{kind}":{{'.encode()
        yield [opening, *_joined(fields), b"}}]}"]


def _buttons(wanted: Mapping[str, Any], shape: Shape) -> Iterator[list[Segment]]:
    given = wanted.get("buttons") or {}
    for index, button in enumerate(shape.buttons):
        value = given.get(str(index))
        if value is None:
            continue
        sub_type, parameter = _BUTTON_PARAMETERS[_kind_of(button)]
        opening = f'{{"type":"button","sub_type":"{sub_type}","index":"{index}","parameters":[{{"type":"{parameter}",'
        in_url = _variables_of(button.get("url", ""))
        name = b'"parameter_name":' + _encode(in_url[0]) + b"," if shape.is_named and in_url else b""
        yield [
            opening.encode() + name + f'"{parameter}":'.encode(),
            Value.parse(str(value), is_url=sub_type == "url"),
            b"}]}",
        ]


_BUTTON_PARAMETERS: Final = {
    "URL": ("url", "text"),
    "OTP": ("url", "text"),  # its code goes where the suffix of a URL goes
    "QUICK_REPLY": ("quick_reply", "payload"),
    "COPY_CODE": ("copy_code", "coupon_code"),
}


def _text_parameter(value: object, name: str | None) -> list[Segment]:
    named = b'"parameter_name":' + _encode(name) + b"," if name else b""
    return [b'{"type":"text",' + named + b'"text":', Value.parse(str(value)), b"}"]


def _joined(lists: Iterable[list[Segment]]) -> Iterator[Segment]:
    """The lists one after the other, with commas between them."""
    for index, segments in enumerate(lists):
        if index:
            yield b","
        yield from segments


def _merged(segments: Iterable[Segment]) -> tuple[Segment, ...]:
    """Neighbouring bytes as one, and what is the same for everybody rendered once and for all."""
    merged: list[Segment] = []
    for segment in segments:
        static = segment.render({}) if isinstance(segment, Value) and not segment.columns else segment
        if isinstance(static, bytes) and merged and isinstance(merged[-1], bytes):
            merged[-1] += static
        else:
            merged.append(static)
    return tuple(merged)
