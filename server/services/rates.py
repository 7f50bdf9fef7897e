"""How fast a broadcast and a number may send, changed while they do: a running broadcast follows at once.

The change is committed with a notification; a run that does not hear it sees it with the next renewal of its lease.
"""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from server.domain.errors import NotFound, StateDoesNotAllow
from server.domain.sentences import said
from server.domain.states import FINAL, Act, Actor, BroadcastStatus
from server.services.events import add_act
from server.services.signals import look_at_row

_OF_BROADCAST = text("""
    /* rates.of_broadcast */
    SELECT status, rate_limit FROM whatsapp_broadcasts WHERE id = :broadcast_id FOR UPDATE
""")

_LIMIT = text("""
    /* rates.limit */
    UPDATE whatsapp_broadcasts SET rate_limit = :rate WHERE id = :broadcast_id
""")

_FOLLOW = text("""
    /* rates.follow   What WhatsApp says holds for numbers whose rate nobody chose. */
    UPDATE channels SET rate_per_second = :rate
     WHERE business_id = :business_id AND NOT rate_is_chosen AND rate_per_second <> :rate
       AND (CAST(:channel_id AS bigint) IS NULL OR id = :channel_id)
       AND (CAST(:waba_id AS text) IS NULL OR waba_id = :waba_id)
       AND (CAST(:digits AS text) IS NULL OR display_phone_number IS NULL
            OR regexp_replace(display_phone_number, '\\D', '', 'g') = :digits)
    RETURNING id
""")

_RUNNING = text("""
    /* rates.running   Cost: the live broadcasts, which are few. */
    SELECT id FROM whatsapp_broadcasts WHERE status = 'running' AND channel_id = ANY(:channel_ids) ORDER BY id
""")


async def limit(connection: AsyncConnection, broadcast_id: int, rate: int | None, *, by: Actor) -> None:
    """Let a broadcast send at most so many messages a second; None: as many as its number may.

    Raises `NotFound`, or `StateDoesNotAllow` where nothing more will be sent.
    """
    row = (await connection.execute(_OF_BROADCAST, {"broadcast_id": broadcast_id})).one_or_none()
    if row is None:
        raise NotFound(said("There is no broadcast %(number)s.", number=broadcast_id))
    if row.status in FINAL or row.status == BroadcastStatus.SETTLING:
        raise StateDoesNotAllow(Act.RATE, row.status)
    if row.rate_limit == rate:
        return
    await connection.execute(_LIMIT, {"broadcast_id": broadcast_id, "rate": rate})
    before, now = _in_words(row.rate_limit), _in_words(rate)
    detail = said("The rate was %(before)s and is %(now)s.", before=before, now=now)
    await add_act(connection, broadcast_id, Act.RATE, by=by, status=row.status, detail=detail)
    await look_at_row(connection, broadcast_id)


async def follow_number(connection: AsyncConnection, business_id: int, channel_id: int, rate: int) -> None:
    """WhatsApp says how fast one number may send."""
    await _follow(connection, business_id, rate, channel_id=channel_id)


async def follow_upgrade(connection: AsyncConnection, business_id: int, waba_id: str, digits: str, rate: int) -> None:
    """WhatsApp has raised the throughput of a number of an account. digits: of that number."""
    await _follow(connection, business_id, rate, waba_id=waba_id, digits=digits)


async def _follow(connection: AsyncConnection, business_id: int, rate: int, **which: object) -> None:
    values = {"channel_id": None, "waba_id": None, "digits": None, **which}
    changed = await connection.scalars(_FOLLOW, {"business_id": business_id, "rate": rate, **values})
    await tell_runs(connection, list(changed))


async def tell_runs(connection: AsyncConnection, channel_ids: list[int]) -> None:
    """The running broadcasts of these numbers are to look at what holds for them now."""
    if channel_ids:
        for broadcast_id in await connection.scalars(_RUNNING, {"channel_ids": channel_ids}):
            await look_at_row(connection, broadcast_id)


def _in_words(rate: int | None) -> str:
    return said("%(rate)s a second", rate=f"{rate:,}") if rate else said("the number's own")
