"""The opaque text that every message carries and every status of it brings back: whose message it is.

`b7:r123` is recipient 123 of broadcast 7, sent by their first claim; `b7:r123:c2` by their second. The claim tells the
statuses of an earlier attempt from those of the present one. WhatsApp keeps at most 512 characters and reads none.
"""

import re
from typing import Final, NamedTuple

_FORM: Final = re.compile(r"b(\d{1,18}):r(\d{1,18})(?::c(\d{1,9}))?", re.ASCII)


class Callback(NamedTuple):
    """Which recipient of which broadcast, and by which claim (1 or more)."""

    broadcast_id: int
    recipient_id: int
    claim_number: int


def write_callback(broadcast_id: int, recipient_id: int, claim_number: int) -> str:
    """The text for one message."""
    claim = "" if claim_number == 1 else f":c{claim_number}"
    return f"b{broadcast_id}:r{recipient_id}{claim}"


def read_callback(written: str | None) -> Callback | None:
    """What a text says; None where it is not one of ours."""
    found = _FORM.fullmatch(written or "")
    if found is None:
        return None
    broadcast_id, recipient_id, claim_number = found.groups(default="1")
    return Callback(int(broadcast_id), int(recipient_id), int(claim_number))
