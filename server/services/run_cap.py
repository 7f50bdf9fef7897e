"""Who has had enough marketing lately is skipped, before a run claims anybody.

What counts: messages of other broadcasts of the business whose template is marketing, which WhatsApp accepted or which
nobody knows of, within the days of the cap. Two broadcasts of a business never run at once (`services/bulk_gate.py`),
so nothing is added while this one runs; a run that goes on after another broadcast had its turn looks again.
"""

from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from server.domain.frequency_cap import FrequencyCap, parse
from server.services.ledger import Ledger, Standing
from server.services.run_ledger import RunLedger

# A pause waits for one of these at most.
ROWS_AT_ONCE: Final = 5_000

# Cost: the recipients of the marketing broadcasts of these days, read once. Parameters: `{business_id}` and so on.
_HAD_ENOUGH: Final = """
    SELECT had.phone FROM whatsapp_broadcasts o JOIN whatsapp_broadcast_recipients had ON had.broadcast_id = o.id
     WHERE o.business_id = {business_id} AND o.is_marketing AND o.id <> {broadcast_id} AND o.started_at IS NOT NULL
       AND coalesce(o.completed_at, 'infinity') > statement_timestamp() - {days} * interval '1 day'
       AND had.status IN ('sending', 'unknown', 'sent', 'delivered', 'read')
       AND coalesce(had.sent_at, had.claimed_at) > statement_timestamp() - {days} * interval '1 day'
     GROUP BY had.phone HAVING count(*) >= {messages}
"""


def had_enough(style: str) -> str:
    """The phones that have had enough, in SQL. style: of parameters, such as `:{}`; businesses and caps are bound."""
    names = ("business_id", "broadcast_id", "days", "messages")
    return _HAD_ENOUGH.format(**{name: style.format(name) for name in names})


OVER: Final = f"""
    /* run_cap.over
       Why:  whom to skip is looked for without a lock, for as long as it takes: the lease is renewed meanwhile.
       Cost: the recipients of the marketing broadcasts of these days, and this broadcast's, each read once. */
    SELECT r.id FROM whatsapp_broadcast_recipients r JOIN ({had_enough("%({})s")}) AS enough ON enough.phone = r.phone
     WHERE r.broadcast_id = %(broadcast_id)s AND r.status = 'queued' ORDER BY r.id
"""  # noqa: S608 - our own text

SKIP: Final = """
    /* run_cap.skip
       Cost: one index look-up a person, a few thousand at a time.
       Lock: the broadcast, then its recipients. */
    WITH run AS (
        SELECT id FROM whatsapp_broadcasts WHERE id = %(broadcast_id)s AND run_epoch = %(epoch)s FOR UPDATE
    ), skipped AS (
        UPDATE whatsapp_broadcast_recipients r
           SET status = 'skipped', next_attempt_at = NULL, error_code = NULL, error_message = %(reason)s
          FROM run WHERE r.broadcast_id = run.id AND r.id = ANY(%(ids)s::bigint[]) AND r.status = 'queued'
        RETURNING 1
    )
    UPDATE whatsapp_broadcasts b
       SET skipped_count = b.skipped_count + (SELECT count(*) FROM skipped),
           processed_count = b.processed_count + (SELECT count(*) FROM skipped)
      FROM run WHERE b.id = run.id
    RETURNING (SELECT count(*) FROM skipped)
"""

_COUNT: Final = text(f"""
    /* run_cap.count   Cost: as run_cap.over. */
    SELECT count(*) FROM whatsapp_broadcast_recipients r JOIN ({had_enough(":{}")}) AS enough ON enough.phone = r.phone
     WHERE r.broadcast_id = :broadcast_id AND r.status = 'queued'
""")  # noqa: S608 - our own text


class RunCap:
    """The frequency cap of one run."""

    def __init__(self, *, is_marketing: bool) -> None:
        """is_marketing: whether the message is; nothing else is capped."""
        self._is_marketing = is_marketing
        self._said: dict[str, Any] | None = None
        self._is_due = False

    def follow(self, standing: Standing) -> None:
        """Go by what the business says now."""
        if self._is_marketing and standing.frequency_cap != self._said:
            self._said = standing.frequency_cap
            self._is_due = self._said is not None

    async def arrange(self, ledger: RunLedger) -> None:
        """Skip whoever has had enough, once a run and whenever the cap is another. Raises `RunLost`."""
        if not self._is_due or self._said is None:
            return
        self._is_due = False
        cap = parse(self._said)
        ids = await ledger.until_lost(lambda use: over(use, cap))
        for start in range(0, len(ids), ROWS_AT_ONCE):
            some = ids[start : start + ROWS_AT_ONCE]
            await ledger.until_lost(lambda use, some=some: skip(use, cap, some))  # type: ignore[misc]


async def over(ledger: Ledger, cap: FrequencyCap) -> list[int]:
    """The waiting recipients of the run who have had enough."""
    return [row[0] for row in await ledger.ask(OVER, **cap.as_json())]


async def skip(ledger: Ledger, cap: FrequencyCap, ids: list[int]) -> int:
    """Skip those of these who still wait. Returns how many. Raises `RunLost`."""
    return int(ledger.mine(await ledger.ask(SKIP, ids=ids, reason=cap.reason))[0])


async def counted(connection: AsyncConnection, business_id: int, broadcast_id: int, cap: FrequencyCap) -> int:
    """How many people of a list have had enough."""
    values = {"business_id": business_id, "broadcast_id": broadcast_id, **cap.as_json()}
    return int(await connection.scalar(_COUNT, values) or 0)
