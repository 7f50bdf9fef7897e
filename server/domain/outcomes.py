"""What became of one request to send one message: four things, and there is no fifth.

WhatsApp's API has no idempotency key, so the question behind all of them is who may have got a message. `Accepted` and
`Refused` are answers: WhatsApp said so. `NeverLeft` is certain that nobody can have got one. `Ambiguous` is everything
else: somebody may have. Whoever makes an outcome and is not sure makes it `Ambiguous`.

They are msgspec structs, because one is made for every message of a broadcast and a dataclass takes six times as long.
"""

from typing import TypeAlias

from msgspec import Struct


class Accepted(Struct, frozen=True, gc=False):
    """WhatsApp took the message. It says nothing about delivery: that comes by webhook."""

    message_id: str
    """`wamid.…`, opaque: later statuses name it."""
    held: bool = False
    """Meta holds it back to watch how the template is received; it may still fail hours later with 132015."""


class Refused(Struct, frozen=True, gc=False):
    """WhatsApp answered that it did not take the message."""

    code: int | None
    """Meta's error code, which is what to decide by; None where the answer had none."""
    message: str
    """In Meta's words; for logs and for codes that are not in our table."""
    http_status: int
    subcode: int | None = None
    details: str = ""
    """Which value was wrong, where Meta says it."""
    retry_after_seconds: float | None = None
    """How long Meta asks to wait, where it does; from 0."""
    is_transient: bool = False
    """Meta says that the same request may succeed later."""
    trace_id: str = ""
    """Meta's `fbtrace_id`, which its support asks for."""


class NeverLeft(Struct, frozen=True, gc=False):
    """No byte of the request can have reached WhatsApp: there was no connection to send it on."""

    reason: str
    """Why, in plain words, without addresses or tokens."""


class Ambiguous(Struct, frozen=True, gc=False):
    """The request may have been taken: it went out, in whole or in part, and no answer to trust came back."""

    reason: str
    """Why, in plain words, without addresses or tokens."""


Outcome: TypeAlias = Accepted | Refused | NeverLeft | Ambiguous
