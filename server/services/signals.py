"""What the doors tell a running broadcast: NOTIFY at commit, on one channel. Hints only; the row is the truth."""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

CONTROL_CHANNEL = "clarion_control"
_OPT_OUT = "opt-out"

_NOTIFY = text("SELECT pg_notify(:channel, :payload)")
_NOTIFY_EACH = text(
    "SELECT count(pg_notify(:channel, payload)) FROM unnest(CAST(:payloads AS text[])) AS told (payload)"
)


class OptOut(NamedTuple):
    """A person wants nothing more from a business."""

    business_id: int
    phone: str


async def look_at_row(connection: AsyncConnection, broadcast_id: int) -> None:
    """Tell the runner, at commit, to look at its row. A lost notification costs a quarter of a second."""
    await connection.execute(_NOTIFY, {"channel": CONTROL_CHANNEL, "payload": str(broadcast_id)})


async def opted_out(connection: AsyncConnection, business_id: int, phones: Sequence[str]) -> None:
    """Tell the runners, at commit, that these people get nothing more."""
    payloads = [f"{_OPT_OUT} {business_id} {phone}" for phone in phones]
    await connection.execute(_NOTIFY_EACH, {"channel": CONTROL_CHANNEL, "payloads": payloads})


def heard(payload: str) -> OptOut | int | None:
    """What a notification says: an opt-out, the id of a broadcast to look at, or nothing that we know."""
    match payload.split(" "):
        case [broadcast_id] if broadcast_id.isdecimal():
            return int(broadcast_id)
        case [kind, business_id, phone] if kind == _OPT_OUT and business_id.isdecimal():
            return OptOut(int(business_id), phone)
        case _:
            return None
