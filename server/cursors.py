"""The cursors of lists: opaque to whoever gets them, an id to us."""

import base64
import binascii
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from server.domain.errors import BadInput

_NOT_OURS: Final = "This cursor is none of ours; take `next_cursor` of the page before."


def write_cursor(last_id: int) -> str:
    """Where the next page begins."""
    return base64.urlsafe_b64encode(f"after:{last_id}".encode()).decode().rstrip("=")


def page(found: list[dict[str, Any]], limit: int) -> dict[str, Any]:
    """A page of at most `limit` items, as every list answers it. found: one more than that, where there is more."""
    items = found[:limit]
    return {"items": items, "next_cursor": write_cursor(items[-1]["id"]) if len(found) > limit else None}


def read_cursor(cursor: str | None) -> int | None:
    """The id that a cursor stands for. Raises `BadInput` for one that we did not write."""
    if cursor is None:
        return None
    try:
        kind, _, number = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode().partition(":")
        last_id = int(number) if kind == "after" and number.isdecimal() else -1
    except (binascii.Error, UnicodeError, ValueError):
        last_id = -1
    if not 0 <= last_id < 2**63:
        raise BadInput(_NOT_OURS, pointer="query: cursor")
    return last_id


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def write_place(at: datetime, kind: str, last_id: int) -> str:
    """Where the next page begins in a list by time, of things of several kinds."""
    place = f"at:{(at - _EPOCH) // _MICROSECOND}:{kind}:{last_id}"
    return base64.urlsafe_b64encode(place.encode()).decode().rstrip("=")


def read_place(cursor: str, kinds: Collection[str]) -> tuple[datetime, str, int]:
    """The instant, kind and id that a cursor stands for. Raises `BadInput` for one that we did not write."""
    try:
        start, micros, kind, number = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode().split(":")
        at = _EPOCH + int(micros) * _MICROSECOND
        if start == "at" and kind in kinds and number.isdecimal() and int(number) < 2**63:
            return at, kind, int(number)
    except (binascii.Error, UnicodeError, ValueError, OverflowError):
        pass
    raise BadInput(_NOT_OURS, pointer="query: cursor")
