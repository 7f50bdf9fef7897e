"""A broadcast by each person's local time: when the first and the last of its people may be sent to.

The row keeps what is asked for (`by_local_time`, `local_time`), and what follows from it for its people: `starts_at`,
when the steward starts it, and `waits_until` with `waits` for the eta. The worker looks at each person itself
(`run_hours.py`); nothing here decides who may be sent to.
"""

import json
import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from server.domain.audience import parse
from server.domain.errors import BadInput
from server.domain.local_time import LocalTime, in_words, times_of
from server.domain.messages import columns_of
from server.domain.sentences import said
from server.domain.states import Act, Actor
from server.services import put_offs, snapshots
from server.services.events import add_act
from server.tenancy import Connects

_ROW = text("""
    /* local_times.row */
    SELECT b.id, b.business_id, b.status, b.message, b.by_local_time, b.local_time, o.time_zone,
           CASE WHEN b.status IN ('draft', 'scheduled') THEN b.audience END AS audience
      FROM whatsapp_broadcasts b JOIN businesses o ON o.id = b.business_id WHERE b.id = :broadcast_id
""")

_SET = text("""
    /* local_times.set   The caller holds the broadcast. */
    UPDATE whatsapp_broadcasts
       SET starts_at = :starts_at, waits_until = greatest(waits_until, CAST(:last_at AS timestamptz)),
           waits = CAST(:waits AS jsonb)
     WHERE id = :broadcast_id
""")

_CLEAR = text("""
    /* local_times.clear */
    UPDATE whatsapp_broadcasts SET starts_at = NULL, waits_until = NULL, waits = '{}' WHERE id = :broadcast_id
""")

_OPEN = text("""
    /* local_times.open   Those that somebody may still wait in, which are few. */
    SELECT id FROM whatsapp_broadcasts
     WHERE business_id = :business_id AND by_local_time AND status IN ('scheduled', 'queued', 'running', 'paused')
     ORDER BY id
""")

_LOCK = text("""
    /* local_times.lock   Asked again under the lock: one that is off its schedule by now keeps nothing of it. */
    SELECT id FROM whatsapp_broadcasts
     WHERE id = :broadcast_id AND status IN ('scheduled', 'queued', 'running', 'paused') FOR UPDATE
""")


class Times(NamedTuple):
    """When how many people may be sent to.

    is_open: they are yet to be taken. comes_first_at: when it is that time for the first people on earth.
    """

    people: Mapping[datetime, int]
    is_open: bool
    comes_first_at: datetime

    @property
    def starts_at(self) -> datetime:
        """When the first of them may be sent to; of people who are yet to be taken the first on earth."""
        return self.comes_first_at if self.is_open or not self.people else min(self.people)

    @property
    def last_at(self) -> datetime | None:
        """When the last of them may; None where nobody knows who they are."""
        return None if self.is_open else max(self.people, default=None)


async def of_people(connection: AsyncConnection, broadcast: Any, local: LocalTime) -> dict[datetime, int]:
    """When how many may be sent to, of those who would be now.

    broadcast: `id`, `business_id`, `message` and `audience`, where it is yet to be taken. Cost: as `put_offs.count` or
    `snapshots.counted`: everybody once.
    """
    table = times_of(local)
    if broadcast.audience is None:
        return table.people_until(await put_offs.counted(connection, broadcast.id, table.lows))
    audience, columns = parse(broadcast.audience), columns_of(broadcast.message)
    try:
        return table.people_until(
            await snapshots.counted(connection, broadcast.business_id, audience, columns, table.lows)
        )
    except BadInput:  # its segment is gone: the pre-flight says so
        return {}


async def people_at(connection: AsyncConnection, broadcast_id: int) -> dict[datetime, int]:
    """When how many of a broadcast may be sent to; empty where it does not go by local time. Cost: as `of_people`."""
    row = (await connection.execute(_ROW, {"broadcast_id": broadcast_id})).one()
    if not row.by_local_time:
        return {}
    return await of_people(connection, row, LocalTime(row.local_time, row.time_zone))


async def arrange(connection: AsyncConnection, broadcast_id: int) -> datetime | None:
    """Work out when the first and the last may be sent to, and keep it. The caller holds the broadcast.

    Returns when it starts; None: it does not go by local time.
    """
    row = (await connection.execute(_ROW, {"broadcast_id": broadcast_id})).one_or_none()
    if row is None or not row.by_local_time:
        return None
    local = LocalTime(row.local_time, row.time_zone)
    is_open = row.audience is not None
    people = {} if is_open else await of_people(connection, row, local)
    times = Times(people, is_open, local.comes_first_at)
    # Whole seconds, the later one: nobody is expected before their time.
    waits = {str(math.ceil(at.timestamp())): count for at, count in people.items()}
    values = {"starts_at": times.starts_at, "last_at": times.last_at, "waits": json.dumps(waits)}
    await connection.execute(_SET, {"broadcast_id": broadcast_id, **values})
    return times.starts_at


async def forget(connection: AsyncConnection, broadcast_id: int) -> None:
    """It is off its schedule, or goes by no local time any more."""
    await connection.execute(_CLEAR, {"broadcast_id": broadcast_id})


async def note(connection: AsyncConnection, broadcast_id: int, *, by: Actor) -> None:
    """Write into the history by which time a broadcast goes that is on its schedule now, or started."""
    row = (await connection.execute(_ROW, {"broadcast_id": broadcast_id})).one()
    detail = said("Everybody gets it at %(time)s by their own clock.", time=in_words(row.local_time))
    await add_act(connection, broadcast_id, Act.GO_BY_LOCAL_TIME, by=by, status=row.status, detail=detail)


async def rearrange(engine: Connects, business_id: int) -> None:
    """The business lives in another time zone: so do, for all that is known, people of whom no zone is known."""
    async with engine.connect() as connection:
        broadcast_ids = list(await connection.scalars(_OPEN, {"business_id": business_id}))
    for broadcast_id in broadcast_ids:
        async with engine.begin() as connection:
            if await connection.scalar(_LOCK, {"broadcast_id": broadcast_id}) is not None:
                await arrange(connection, broadcast_id)
