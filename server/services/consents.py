"""People's wishes: who stopped, who asked for messages again, when, how, and what proves it. Append-only.

The latest wish by its own time holds, whatever the order in which wishes become known. A stop holds at once, also in
broadcasts that are running (`suppressions.suppress`).
"""

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from server.domain.wishes import Wish
from server.services import suppressions

_IN_TURN = text("SELECT pg_advisory_xact_lock(hashtextextended('consents of ' || CAST(:business_id AS text), 0))")

_ADD = text("""
    /* consents.add   Each wish once, however often it is told. */
    INSERT INTO consent_changes (business_id, phone, wish, source, proof, at, ip, note)
    VALUES (:business_id, :phone, :wish, :source, :proof, :at, :ip, :note)
        ON CONFLICT DO NOTHING RETURNING id
""")

_IS_LATEST = text("""
    /* consents.is_latest   A stop and a start of the same second: the stop holds. */
    SELECT NOT EXISTS (SELECT FROM consent_changes
                        WHERE business_id = :business_id AND phone = :phone AND wish <> :wish
                          AND (at > :at OR at = :at AND wish = 'stop'))
""")


class WishTold(NamedTuple):
    """A wish as it was told. source: in plain words. proof: the id of the message, where there is one.

    ip: of the person, or of the request that told it. note: whatever else proves it.
    """

    business_id: int
    phone: str
    wish: Wish
    source: str
    at: datetime
    proof: str | None = None
    ip: str | None = None
    note: str | None = None


async def in_turn(connection: AsyncConnection, business_id: int) -> None:
    """Let the wishes of one business be told one after the other: the latest must see the others.

    Until the end of the transaction, and before any broadcast is locked.
    """
    await connection.execute(_IN_TURN, {"business_id": business_id})


async def tell(connection: AsyncConnection, told: WishTold) -> bool:
    """Write a wish down and let it hold. False: it was known already."""
    values = told._asdict()
    if await connection.scalar(_ADD, values) is None:
        return False
    if await connection.scalar(_IS_LATEST, values):
        if told.wish is Wish.STOP:
            await suppressions.suppress(connection, told.business_id, told.phone, told.source)
        else:
            await suppressions.allow(connection, told.business_id, told.phone, told.source)
    return True
