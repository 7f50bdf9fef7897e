"""A broadcast as the API, the CLI and the pages show it: one shape, from the row alone.

Its cost does not grow with the audience.
"""

from datetime import UTC, datetime
from functools import cache
from typing import Any

from sqlalchemy import BigInteger, Row, Select, bindparam, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import aliased

from server.domain.errors import NotFound
from server.domain.limits import limit_shown
from server.domain.sentences import said
from server.domain.states import BroadcastStatus
from server.models import WhatsAppBroadcast
from server.services.outlook import eta_of

_AS_THEY_ARE = (
    "id", "business_id", "name", "status", "pause_reason", "status_detail",
    "total_recipients", "processed_count", "sent_count", "delivered_count", "read_count", "failed_count",
    "cancelled_count", "skipped_count", "unknown_count", "replied_count", "cancel_requested",
    "last_processed_recipient_id", "rate_limit", "rejected", "rejected_count", "canary", "spread_over_days", "audience",
    "retry_of", "retried_by", "by_local_time",
)  # fmt: skip
_INSTANTS = ("resume_at", "created_at", "scheduled_at", "started_at", "completed_at", "canary_judged_at")


@cache
def rows() -> Select[Any]:
    """Broadcasts as `as_json` takes them: the row, and the ids of those that retry it (`retried_by`).

    Made once a process: to make it takes longer than the rest of an answer.
    """
    again = aliased(WhatsAppBroadcast)
    ids = select(again.id).where(again.retry_of == WhatsAppBroadcast.id).order_by(again.id)
    return select(WhatsAppBroadcast, func.array(ids.scalar_subquery()).label("retried_by"))


@cache
def _one() -> Select[Any]:
    """One broadcast, of one business or of any."""
    business_id = bindparam("business_id", type_=BigInteger)
    is_theirs = or_(business_id.is_(None), WhatsAppBroadcast.business_id == business_id)
    return rows().where(WhatsAppBroadcast.id == bindparam("broadcast_id"), is_theirs)


async def show(connection: AsyncConnection, business_id: int | None, broadcast_id: int) -> dict[str, Any]:
    """One broadcast of a business. Raises `NotFound`, for another business's as well.

    business_id: None is the operator at the command line, who sees every business.
    """
    found = await connection.execute(_one(), {"broadcast_id": broadcast_id, "business_id": business_id})
    row = found.one_or_none()
    if row is None:
        raise NotFound(said("There is no broadcast %(number)s.", number=broadcast_id))
    return as_json(row)


async def show_many(
    connection: AsyncConnection,
    business_id: int | None,
    *,
    status: str | None,
    before_id: int | None,
    limit: int,
    name_like: str | None = None,
) -> list[dict[str, Any]]:
    """The newest broadcasts of a business (None: of all), at most `limit`, older than `before_id` where it is given.

    name_like: what the name has in it, whatever its case.
    """
    statement = rows()
    if business_id is not None:
        statement = statement.where(WhatsAppBroadcast.business_id == business_id)
    if status is not None:
        statement = statement.where(WhatsAppBroadcast.status == status)
    if name_like:
        statement = statement.where(WhatsAppBroadcast.name.icontains(name_like, autoescape=True))
    if before_id is not None:
        statement = statement.where(WhatsAppBroadcast.id < before_id)
    found = await connection.execute(statement.order_by(WhatsAppBroadcast.id.desc()).limit(limit))
    return [as_json(row) for row in found]


def as_json(row: Row[Any]) -> dict[str, Any]:
    """The shape of docs/api.md: plain values, instants as RFC 3339 in UTC."""
    shown = {name: getattr(row, name) for name in _AS_THEY_ARE}
    shown |= {name: _rfc3339(getattr(row, name)) for name in _INSTANTS}
    shown["local_time"] = row.local_time.isoformat() if row.by_local_time else None
    rate = row.current_rate if row.status == BroadcastStatus.RUNNING else None
    shown["current_rate"] = None if rate is None else round(rate, 1)
    shown["limited_by"] = limit_shown(
        row.status, row.pause_reason, has_resume_at=row.resume_at is not None, noted=row.limited_by
    )
    shown["eta"] = _rfc3339(eta_of(row, datetime.now(UTC)))
    return shown


def _rfc3339(instant: datetime | None) -> str | None:
    return None if instant is None else instant.astimezone(UTC).isoformat().replace("+00:00", "Z")
