"""The cursors of lists: opaque to whoever gets them, an id to us."""

import base64
import binascii
from typing import Any

from server.domain.errors import BadInput


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
        raise BadInput("This cursor is none of ours; take `next_cursor` of the page before.", pointer="query: cursor")
    return last_id
