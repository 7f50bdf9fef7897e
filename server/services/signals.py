"""What the doors tell a running broadcast: NOTIFY at commit, on one channel. Hints only; the row is the truth."""

from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

CONTROL_CHANNEL = "clarion_control"
_OPT_OUT = "opt-out"

_NOTIFY = text("SELECT pg_notify(:channel, :payload)")


class OptOut(NamedTuple):
    """A person wants nothing more from a business."""

    business_id: int
    phone: str


async def look_at_row(connection: AsyncConnection, broadcast_id: int) -> None:
    """Tell the runner, at commit, to look at its row. A lost notification costs a quarter of a second."""
    await connection.execute(_NOTIFY, {"channel": CONTROL_CHANNEL, "payload": str(broadcast_id)})


async def opted_out(connection: AsyncConnection, business_id: int, phone: str) -> None:
    """Tell the runners, at commit, that this person gets nothing more."""
    payload = f"{_OPT_OUT} {business_id} {phone}"
    await connection.execute(_NOTIFY, {"channel": CONTROL_CHANNEL, "payload": payload})


def heard(payload: str) -> OptOut | int | None:
    """What a notification says: an opt-out, the id of a broadcast to look at, or nothing that we know."""
    match payload.split(" "):
        case [broadcast_id] if broadcast_id.isdecimal():
            return int(broadcast_id)
        case [kind, business_id, phone] if kind == _OPT_OUT and business_id.isdecimal():
            return OptOut(int(business_id), phone)
        case _:
            return None
