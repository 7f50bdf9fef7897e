"""Webhooks of the Cloud API: is a body signed, and what does it say? Nothing here knows what to do about it.

Meta puts up to 1,000 updates into one POST and adds fields, kinds and words without notice, so a body is read level by
level: what cannot be read becomes an `Oddity` of its own and costs none of its neighbours. Timestamps are texts of Unix
seconds in some places and numbers in others; both are read.
"""

import hashlib
import hmac
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final, TypeAlias

import msgspec
from msgspec import Raw, Struct

from server.domain.callbacks import Callback, read_callback
from server.domain.statuses import Status, report_of

SIGNATURE_HEADER: Final = "x-hub-signature-256"
LARGEST_BODY_BYTES: Final = 3 * 1024 * 1024
_IDS: Final = re.compile(rb'"(?:phone_number_id|id)"\s*:\s*"(\d{1,32})"')
_LONE_SURROGATE: Final = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F][0-9a-fA-F]{2})"
    rb"|(?<!\\u[dD][89abAB][0-9a-fA-F]{2})\\u[dD][c-fC-F][0-9a-fA-F]{2}"
)
_MOST_TEXT: Final = 4_096
_LONGEST_ID: Final = 512
# Not only msgspec's own errors: text that is not UTF-8 is a ValueError, and nesting without end a RecursionError.
_NOT_READ: Final = (ValueError, RecursionError, OverflowError, TypeError, OSError)


class Origin(Struct, frozen=True, gc=False):
    """Which account and, where the update is of one, which number it speaks of."""

    waba_id: str
    phone_number_id: str | None


class StatusUpdate(Struct, frozen=True, gc=False):
    """A status of a message of ours. callback: the text that the message carried, read."""

    origin: Origin
    word: str
    status: Status | None
    """None: a word that is not known; kept, and nothing more."""
    message_id: str
    at: datetime
    callback: Callback | None
    raw: str


class PersonWrote(Struct, frozen=True, gc=False):
    """A person wrote, tapped or sent something.

    phone: E.164 with its plus, None where WhatsApp keeps it back. text: what was written, or the label that was tapped.
    payload: what a quick reply carries. answers: the message id of ours that it replies to.
    """

    origin: Origin
    message_id: str
    kind: str
    at: datetime
    phone: str | None
    user_id: str | None
    text: str | None
    payload: str | None
    answers: str | None
    raw: str


class PreferenceChanged(Struct, frozen=True, gc=False):
    """A person stopped or resumed marketing messages by WhatsApp's own switch."""

    origin: Origin
    phone: str | None
    user_id: str | None
    value: str
    at: datetime
    raw: str


class AccountNews(Struct, frozen=True, gc=False):
    """News of a template, a number or the account: `field` as Meta names it, `value` as it came."""

    origin: Origin
    field: str
    value: dict[str, Any]
    raw: str
    time: str
    """When Meta says that it happened: the same news may come true again later."""


class Oddity(Struct, frozen=True, gc=False):
    """Something that cannot be read, as it came."""

    reason: str
    raw: bytes


Item: TypeAlias = StatusUpdate | PersonWrote | PreferenceChanged | AccountNews | Oddity


def is_signed(body: bytes, header: str | None, app_secret: str) -> bool:
    """Whether `X-Hub-Signature-256` is this secret's over these very bytes. Compared in constant time."""
    wanted = "sha256=" + hmac.digest(app_secret.encode(), body, hashlib.sha256).hex()
    return hmac.compare_digest(wanted.encode(), (header or "").encode())


def ids_in(body: bytes) -> Iterator[str]:
    """The ids that may name a number or an account, found without parsing: a body is not parsed before it is proven."""
    return (found.group(1).decode() for found in _IDS.finditer(body))


# --- the wire format, with the least demands


_NOTHING: Final = Raw(b"null")


class _Entry(Struct):
    id: Any = ""
    time: Any = None
    changes: list[Raw] = []


class _Envelope(Struct):
    entry: list[Raw]


class _Change(Struct):
    field: str
    value: Raw


class _Messages(Struct):
    metadata: Any = None
    statuses: Raw = _NOTHING
    messages: Raw = _NOTHING
    user_preferences: Raw = _NOTHING
    errors: Raw = _NOTHING


class _Status(Struct):
    id: str
    status: str
    timestamp: int | float
    biz_opaque_callback_data: Any = None
    errors: Any = None
    pricing: Any = None


class _Message(Struct):
    id: str
    timestamp: int | float
    type: str = "unknown"
    from_: Any = msgspec.field(default=None, name="from")
    from_user_id: Any = None
    context: Any = None
    text: Any = None
    button: Any = None
    interactive: Any = None


class _Preference(Struct):
    value: str
    timestamp: int | float
    wa_id: Any = None
    user_id: Any = None


_envelope = msgspec.json.Decoder(_Envelope, strict=False).decode
_entry = msgspec.json.Decoder(_Entry, strict=False).decode
_change = msgspec.json.Decoder(_Change, strict=False).decode
_messages = msgspec.json.Decoder(_Messages, strict=False).decode
_status = msgspec.json.Decoder(_Status, strict=False).decode
_message = msgspec.json.Decoder(_Message, strict=False).decode
_preference = msgspec.json.Decoder(_Preference, strict=False).decode
_list = msgspec.json.Decoder(list[Raw] | None).decode
_object = msgspec.json.Decoder(dict[str, Any]).decode


def read(body: bytes) -> list[Item]:
    """Everything a body says, in its order. Never raises: what cannot be read is an `Oddity`."""
    try:
        entries = _envelope(body).entry
    except _NOT_READ as error:
        whole = _LONE_SURROGATE.sub(rb"\\ufffd", body)
        if whole != body:
            return read(whole)  # half of a character in one text must not cost the other updates
        return [Oddity(f"not a webhook: {error}", body)]
    return [item for entry in entries for item in _of_entry(entry)]


def _of_entry(raw: Raw) -> Iterator[Item]:
    try:
        entry = _entry(raw)
    except _NOT_READ as error:
        yield Oddity(f"an entry cannot be read: {error}", bytes(raw))
        return
    for change in entry.changes:
        yield from _of_change(str(entry.id), str(entry.time or ""), change)


def _of_change(waba_id: str, time: str, raw: Raw) -> Iterator[Item]:
    try:
        change = _change(raw)
        if change.field not in ("messages", "user_preferences"):
            yield AccountNews(Origin(waba_id, None), change.field, _object(change.value), _text_of(raw), time)
            return
        value = _messages(change.value)
    except _NOT_READ as error:
        yield Oddity(f"a change cannot be read: {error}", bytes(raw))
        return
    number = value.metadata.get("phone_number_id") if isinstance(value.metadata, dict) else None
    origin = Origin(waba_id, str(number) if isinstance(number, str | int) else None)
    for kind, items, of in (
        ("status", value.statuses, _of_status),
        ("message", value.messages, _of_message),
        ("preference", value.user_preferences, _of_preference),
        ("error", value.errors, _of_error),
    ):
        yield from _of_items(kind, items, partial(of, origin))


def _of_items(kind: str, raw: Raw, of: Callable[[Raw], Item]) -> Iterator[Item]:
    """Each item of a list by itself; what is no list is odd, and costs no other list."""
    try:
        items = _list(raw) or ()
    except _NOT_READ as error:
        yield Oddity(f"a list of {kind} items cannot be read: {error}", bytes(raw))
        return
    for item in items:
        try:
            yield of(item)
        except _NOT_READ as error:
            yield Oddity(f"a {kind} cannot be read: {error}", bytes(item))


def _of_error(_: Origin, raw: Raw) -> Oddity:
    return Oddity("an error of the app or the account", bytes(raw))


def _of_status(origin: Origin, raw: Raw) -> StatusUpdate:
    said = _status(raw)
    message_id, at = _id(said.id), _instant(said.timestamp)
    told = said.biz_opaque_callback_data
    callback = read_callback(told if isinstance(told, str) else None)
    report = report_of(said.status)
    status = None
    if report is not None:
        error, price = _first(said.errors), said.pricing if isinstance(said.pricing, dict) else {}
        data = error.get("error_data")
        status = Status(
            report,
            message_id,
            at,
            callback.claim_number if callback else None,
            error_code=_code(error.get("code")),
            error_message=_words(error.get("message")) or _words(error.get("title")),
            error_details=(_words(data.get("details")) if isinstance(data, dict) else None) or "",
            price_category=_words(price.get("category")),
            price_type=_words(price.get("type")),
        )
    return StatusUpdate(origin, said.status[:64].replace("\x00", ""), status, message_id, at, callback, _text_of(raw))


def _of_message(origin: Origin, raw: Raw) -> PersonWrote:
    said = _message(raw)
    text, payload = _said(said)
    answers = said.context.get("id") if isinstance(said.context, dict) else None
    return PersonWrote(
        origin,
        _id(said.id),
        said.type[:64].replace("\x00", ""),
        _instant(said.timestamp),
        phone_of(said.from_),
        _words(said.from_user_id),
        text,
        payload,
        _words(answers),
        _text_of(raw),
    )


def _said(said: _Message) -> tuple[str | None, str | None]:
    """The words of a message and the payload behind them."""
    match said:
        case _Message(type="text", text={"body": str(body)}):
            return _words(body), None
        case _Message(type="button", button=dict(button)):
            return _words(button.get("text")), _words(button.get("payload"))
        case _Message(type="interactive", interactive=dict(interactive)):
            for reply in (interactive.get("button_reply"), interactive.get("list_reply")):
                if isinstance(reply, dict):
                    return _words(reply.get("title")), _words(reply.get("id"))
    return None, None


def _of_preference(origin: Origin, raw: Raw) -> PreferenceChanged:
    said = _preference(raw)
    return PreferenceChanged(
        origin,
        phone_of(said.wa_id),
        _words(said.user_id),
        said.value[:64].replace("\x00", ""),
        _instant(said.timestamp),
        _text_of(raw),
    )


def phone_of(wa_id: object) -> str | None:
    """A `wa_id`, bare digits, as E.164; None where it is none."""
    digits = str(wa_id).removeprefix("+") if isinstance(wa_id, str | int) else ""
    return f"+{digits}" if digits.isascii() and digits.isdecimal() and len(digits) <= 15 else None


def _id(text: str) -> str:
    if not text or "\x00" in text or len(text) > _LONGEST_ID:
        raise ValueError("its id is empty, too long or not text")
    return text


def _instant(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _first(errors: object) -> dict[str, Any]:
    return errors[0] if isinstance(errors, list) and errors and isinstance(errors[0], dict) else {}


def _code(said: object) -> int | None:
    return said if isinstance(said, int) and not isinstance(said, bool) and abs(said) < 2**31 else None


def _words(said: object) -> str | None:
    return said[:_MOST_TEXT].replace("\x00", "") if isinstance(said, str) else None


def _text_of(raw: Raw) -> str:
    return bytes(raw).decode(errors="replace").replace("\x00", "")
