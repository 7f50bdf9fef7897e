"""Who gets nothing from a business, the newest first: since when, and by which word or source."""

from datetime import datetime
from typing import Any, Final, NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

KIND: Final = "out"  # in the cursors of this list

_PAGE = text("""
    /* opt_outs.page
       Cost: the opt-outs of the business once, to find the newest; then two look-ups by index for each that is
       shown. */
    SELECT s.phone, s.reason, s.created_at, c.id AS contact_id, c.name, told.note, told.at AS said_at
      FROM (SELECT phone, reason, created_at FROM suppressions
             WHERE business_id = :business_id AND strpos(phone, :digits) > 0
               AND (CAST(:at AS timestamptz) IS NULL
                    OR (created_at, phone) < (CAST(:at AS timestamptz), CAST(:phone AS text)))
             ORDER BY created_at DESC, phone DESC LIMIT :limit) AS s
      LEFT JOIN contacts c ON c.business_id = :business_id AND c.phone = s.phone
      LEFT JOIN LATERAL (SELECT k.note, k.at FROM consent_changes k
                          WHERE k.business_id = :business_id AND k.phone = s.phone AND k.wish = 'stop'
                          ORDER BY k.at DESC, k.id DESC LIMIT 1) AS told ON true
     ORDER BY s.created_at DESC, s.phone DESC
""")

_COUNT = text("""
    /* opt_outs.count   Cost: the opt-outs of the business once. */
    SELECT count(*) FROM suppressions WHERE business_id = :business_id
""")


class Place(NamedTuple):
    """Where a page ended. number: the digits of the phone, as a number."""

    at: datetime
    number: int


async def page(
    connection: AsyncConnection, business_id: int, *, digits: str, before: Place | None, limit: int
) -> list[dict[str, Any]]:
    """At most `limit` opt-outs. digits: a part of the phone, or nothing."""
    place = {"at": None, "phone": None} if before is None else {"at": before.at, "phone": f"+{before.number}"}
    values = {"business_id": business_id, "digits": digits, "limit": limit, **place}
    return [dict(row) for row in (await connection.execute(_PAGE, values)).mappings()]


async def count(connection: AsyncConnection, business_id: int) -> int:
    """How many have opted out."""
    return int(await connection.scalar(_COUNT, {"business_id": business_id}) or 0)
