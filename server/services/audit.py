"""Who did what in a business: one row an act, in the transaction of the act, only ever added to.

Web requests may add rows and read those of their business; the role that they act as can neither change nor delete one
(`migrations/versions/v0025_team.py`).
"""

from typing import Any, Final

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from server.domain.audit import AuditAct, Who
from server.models import AuditEntry

_LONGEST_TEXT: Final = 500


async def add(
    connection: AsyncConnection,
    business_id: int,
    who: Who,
    act: AuditAct,
    *,
    subject: str = "",
    detail: str = "",
) -> None:
    """Write an act down. subject: to what or whom, by its name. detail: what of it, such as `editor → owner`."""
    values = {
        "business_id": business_id,
        "user_id": who.user_id,
        "key_id": who.key_id,
        "who": who.name,
        "act": act.value,
        "subject": subject[:_LONGEST_TEXT],
        "detail": detail[:_LONGEST_TEXT],
        "address": who.address,
    }
    await connection.execute(insert(AuditEntry).values(values))


async def page(
    connection: AsyncConnection,
    business_id: int,
    *,
    act: str | None = None,
    who: str | None = None,
    before_id: int | None = None,
    limit: int,
) -> list[dict[str, Any]]:
    """The newest acts, at most `limit`, older than `before_id`. who: what the name of whoever acted has in it."""
    statement = select(AuditEntry).where(AuditEntry.business_id == business_id)
    if act is not None:
        statement = statement.where(AuditEntry.act == act)
    if who:
        statement = statement.where(AuditEntry.who.icontains(who, autoescape=True))
    if before_id is not None:
        statement = statement.where(AuditEntry.id < before_id)
    rows = await connection.execute(statement.order_by(AuditEntry.id.desc()).limit(limit))
    return [dict(row) for row in rows.mappings()]
