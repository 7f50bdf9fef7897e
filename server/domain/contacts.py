"""What a contact is made of: a name, tags and attributes, each in one way of writing it.

Tags are compared by people who do not look at capitals: `Staff` that is kept out must keep out `staff`. So a tag is in
small letters, with single spaces. Attributes are kept as they are written; an empty one is one that is not there.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from server.domain.sentences import said

LONGEST_TAG: Final = 100
MOST_TAGS: Final = 100
LONGEST_NAME: Final = 200
LONGEST_ATTRIBUTE: Final = 200
LONGEST_VALUE: Final = 2_000
MOST_ATTRIBUTES: Final = 200
# What a message may use beside attributes, under these names.
NAME: Final = "name"
PHONE: Final = "phone"
_FIELDS: Final = frozenset((NAME, PHONE, "tags"))
_BETWEEN_TAGS: Final = re.compile("[;|,]")
_YES: Final = frozenset(("1", "x", "y", "yes", "true", "on", "כן", "نعم", "sí", "si", "sim", "oui", "ja", "да"))
_NO: Final = frozenset(("", "0", "n", "no", "false", "off", "-", "לא", "لا", "não", "nao", "non", "nein", "нет"))


def one_way(text: str) -> str:
    """A text without spaces around it, its accents composed: what looks the same is the same.

    Raises `ValueError` where it cannot be kept.
    """
    text = text.strip()
    if "\x00" in text:
        raise ValueError(said("it has a NUL character"))
    if text.isascii():
        return text
    if any("\ud800" <= char <= "\udfff" for char in text):
        raise ValueError(said("it has half of a character"))
    return unicodedata.normalize("NFC", text)


def clean_tag(tag: str) -> str:
    """A tag as it is kept and compared. Raises `ValueError` with a plain reason."""
    cleaned = " ".join(one_way(one_way(tag).lower()).split())
    if not cleaned:
        raise ValueError(said("a tag is empty"))
    if len(cleaned) > LONGEST_TAG:
        raise ValueError(said("a tag is longer than %(most)s characters", most=LONGEST_TAG))
    if _BETWEEN_TAGS.search(cleaned):
        raise ValueError(said('the tag "%(tag)s" has one of ; | , in it, which stand between tags', tag=cleaned))
    return cleaned


def clean_tags(tags: Iterable[str]) -> list[str]:
    """Each tag once, in order. Raises `ValueError` with a plain reason."""
    cleaned = sorted({clean_tag(tag) for tag in tags})
    if len(cleaned) > MOST_TAGS:
        raise ValueError(said("it has more than %(most)s tags", most=MOST_TAGS))
    return cleaned


def tags_in(cell: str) -> list[str]:
    """The tags of one cell of a table, `vip; north`. Raises `ValueError` with a plain reason."""
    return clean_tags(tag for tag in _BETWEEN_TAGS.split(cell) if tag.strip())


def clean_name(name: str | None) -> str | None:
    """A name as it is kept; None where there is none. Raises `ValueError` with a plain reason."""
    cleaned = one_way(name or "")
    if len(cleaned) > LONGEST_NAME:
        raise ValueError(said("the name is longer than %(most)s characters", most=LONGEST_NAME))
    return cleaned or None


def clean_attributes(attributes: Mapping[str, Any]) -> dict[str, str]:
    """Attributes as they are kept: text to text, the empty ones left out. Raises `ValueError` with a plain reason."""
    cleaned: dict[str, str] = {}
    for written, value in attributes.items():
        name, text = clean_attribute(written), as_text(value)
        if text is None:
            raise ValueError(said('"%(name)s" should be a text, a number, true or false', name=name))
        if len(text) > LONGEST_VALUE:
            raise ValueError(said('"%(name)s" is longer than %(most)s characters', name=name, most=LONGEST_VALUE))
        if text:
            cleaned[name] = text
    if len(cleaned) > MOST_ATTRIBUTES:
        raise ValueError(said("it has more than %(most)s attributes", most=MOST_ATTRIBUTES))
    return cleaned


def clean_attribute(name: str) -> str:
    """An attribute's name as it is kept. Raises `ValueError` with a plain reason."""
    cleaned = " ".join(one_way(name).split())
    if not cleaned:
        raise ValueError(said("an attribute has no name"))
    if len(cleaned) > LONGEST_ATTRIBUTE:
        raise ValueError(said("the name of an attribute is longer than %(most)s characters", most=LONGEST_ATTRIBUTE))
    if cleaned in _FIELDS:
        raise ValueError(said('"%(name)s" is a field of its own and cannot be an attribute', name=cleaned))
    return cleaned


def as_text(value: Any) -> str | None:
    """A plain value as text; None for what is none, such as a list."""
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case str():
            return one_way(value)
        case int() | float():
            return str(value)
        case _:
            return None


def is_yes(cell: str) -> bool:
    """Whether a cell says yes. Raises `ValueError` where it says neither yes nor no."""
    word = one_way(cell).lower()
    if word in _YES:
        return True
    if word in _NO:
        return False
    raise ValueError(said('"%(text)s" is neither yes nor no', text=cell[:40]))


def instant_of(cell: str, now: datetime) -> datetime:
    """When something was, as a date or an instant of ISO 8601; without a zone it is UTC.

    Raises `ValueError` with a plain reason where it is none, or lies in the future.
    """
    try:
        instant = datetime.fromisoformat(cell.strip())
        # In another zone it may fall out of the calendar.
        instant = instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(said('"%(text)s" is no date; it should be like 2026-11-25', text=cell[:40])) from None
    if instant > now:
        raise ValueError(said('"%(text)s" lies in the future', text=cell[:40]))
    return instant
