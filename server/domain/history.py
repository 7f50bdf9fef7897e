"""The history of a broadcast as a chain: each event carries a hash of itself and of all before it. Pure.

    hash = SHA-256(the hash of the event before, as 64 hexadecimal digits, then the event as canonical JSON)

Canonical JSON is RFC 8785: one text for one content. The first event follows 64 zeros. The last hash, the head, stands
on the broadcast's row, so that an event taken off the end is missed as well. docs/receipt.md says what this proves.
"""

import hashlib
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import rfc8785

BEGINNING: Final = "0" * 64
# What an event says, and what its hash covers.
CONTENT: Final = (
    "broadcast_id", "at", "actor", "move", "from_status", "to_status", "reason", "detail", "recipient_id",
)  # fmt: skip


def instant(at: datetime) -> str:
    """An instant as the chain has it: RFC 3339 in UTC, always with six digits of a second."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def link(previous: str, event: Mapping[str, Any]) -> str:
    """The hash of an event that follows the one with the hash `previous`. Other fields of it than CONTENT are not read.

    Raises `ValueError` where the event holds what canonical JSON cannot.
    """
    content = rfc8785.dumps({name: event.get(name) for name in CONTENT})
    return hashlib.sha256(previous.encode() + content).hexdigest()


def break_in(events: Iterable[Mapping[str, Any]], head: str) -> str | None:
    """Where the chain of these events, in their order, is broken, in plain words; None where it holds.

    head: the hash that the broadcast's row, or its receipt, has for the last.
    """
    previous, place = BEGINNING, 0
    for place, event in enumerate(events, 1):
        expected = link(previous, event)
        if event.get("hash") != expected:
            return f"event {place} of its history ({event.get('move')}) was changed, or one before it was taken out"
        previous = expected
    if previous != head:
        return f"its history ends with event {place}, and the last that was written is another one"
    return None
