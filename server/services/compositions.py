"""A broadcast while somebody writes it: a draft that is saved step by step and may lack anything until it is started.

Its list keeps every column, so that the message may name any of them later; what somebody lacks is counted, and not a
reason to leave them out until a person says so. Every change holds the broadcast's row and is refused once it is no
draft any more, so that what was started is what was seen.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final, NamedTuple

import msgspec
from sqlalchemy import Row as DraftRow
from sqlalchemy import delete, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from server.domain.audience import parse
from server.domain.canary import Bounds
from server.domain.contacts import NAME, PHONE
from server.domain.errors import BadInput, NotFound, NotNow, StateDoesNotAllow
from server.domain.local_time import refuse_odd, wall_of
from server.domain.messages import columns_of
from server.domain.sentences import said
from server.domain.states import BroadcastStatus
from server.models import Channel, WhatsAppBroadcast, WhatsAppBroadcastRecipient
from server.services import channels, drafts, idempotency, preflight, schedules, segments, snapshots, vocabulary
from server.services.audiences import KEPT_REJECTED, Loaded
from server.services.csv_lists import CsvList, Row
from server.services.drafts import NewBroadcast, OnProgress
from server.services.snapshots import Person, Place

_CHANGEABLE: Final = frozenset(
    (
        "name", "channel_id", "message", "default_country", "rate_limit", "canary", "spread_over_days", "audience",
        "scheduled_at", "by_local_time",
    )
)  # fmt: skip
# What a person looks at before they press the button: if it is another by then, they look again.
_SEEN: Final = (
    "name", "channel_id", "message", "audience", "rate_limit", "canary", "spread_over_days", "scheduled_at",
    "by_local_time", "local_time",
)  # fmt: skip
_COUNTED: Final = ("total_recipients", "processed_count", "rejected_count")
_SAMPLE_ROWS: Final = 20
_NO_BODY: Final = idempotency.body_hash(b"")

_COLUMNS = text("""
    /* compositions.columns   Every row of a file has the same; of a list that was put together, both ends tell. */
    SELECT DISTINCT jsonb_object_keys(variables) AS name
      FROM ((SELECT variables FROM whatsapp_broadcast_recipients WHERE broadcast_id = :broadcast_id
              ORDER BY id LIMIT :rows)
            UNION ALL
            (SELECT variables FROM whatsapp_broadcast_recipients WHERE broadcast_id = :broadcast_id
              ORDER BY id DESC LIMIT :rows)) AS ends
     ORDER BY 1
""")

_NEIGHBOUR: Final = """
    /* compositions.neighbour */
    SELECT id, phone, variables FROM whatsapp_broadcast_recipients
     WHERE broadcast_id = :broadcast_id AND id > :after_id AND id < :before_id AND status = 'queued'
     ORDER BY id {order} LIMIT 1
"""
_NEIGHBOURS: Final = {order: text(_NEIGHBOUR.format(order=order)) for order in ("ASC", "DESC")}

_OF_PHONE = text("""
    /* compositions.of_phone   By the unique index. */
    SELECT id, phone, variables FROM whatsapp_broadcast_recipients
     WHERE broadcast_id = :broadcast_id AND phone = :phone AND status = 'queued'
""")

_FROM_LACKING: Final = r"""
      FROM whatsapp_broadcast_recipients r CROSS JOIN unnest(CAST(:columns AS text[])) AS needed (name)
     WHERE r.broadcast_id = :broadcast_id AND r.status = 'queued'
       AND coalesce(r.variables ->> needed.name, '') !~ '\S'
       AND NOT EXISTS (SELECT FROM suppressions s WHERE s.business_id = r.business_id AND s.phone = r.phone)
"""
_REFUSED = text(f"""
    /* compositions.refused   Cost: every waiting recipient of the broadcast once. */
    SELECT count(DISTINCT r.id) AS people_count, array_agg(DISTINCT needed.name) AS columns {_FROM_LACKING}
""")
_ANY_REFUSED = text(f"""
    /* compositions.any_refused   Cost: the waiting recipients up to the first who lacks something. */
    SELECT EXISTS (SELECT {_FROM_LACKING})
""")

_LEAVE_OUT = text(r"""
    /* compositions.leave_out
       Why:  as a list for a message that is finished leaves them out when it comes in: rejected, with the reason.
       Cost: every waiting recipient of the broadcast once. */
    WITH gone AS (
        DELETE FROM whatsapp_broadcast_recipients r
         WHERE r.broadcast_id = :broadcast_id AND r.status = 'queued'
           AND EXISTS (SELECT FROM unnest(CAST(:columns AS text[])) AS needed (name)
                        WHERE coalesce(r.variables ->> needed.name, '') !~ '\S')
        RETURNING r.id, r.row_number, r.phone, r.variables
    ), kept AS (
        SELECT g.id, jsonb_build_object('row', coalesce(g.row_number, 0), 'phone', g.phone, 'reason',
                   'no value for ' || (SELECT needed.name FROM unnest(CAST(:columns AS text[])) AS needed (name)
                                        WHERE coalesce(g.variables ->> needed.name, '') !~ '\S' LIMIT 1)) AS entry
          FROM gone g ORDER BY g.id LIMIT :kept
    )
    UPDATE whatsapp_broadcasts b
       SET total_recipients = b.total_recipients - (SELECT count(*) FROM gone),
           rejected_count = b.rejected_count + (SELECT count(*) FROM gone),
           rejected = (SELECT coalesce(jsonb_agg(e ORDER BY n), '[]') FROM (
                           SELECT e, n FROM jsonb_array_elements(
                               b.rejected || (SELECT coalesce(jsonb_agg(entry ORDER BY id), '[]') FROM kept))
                                  WITH ORDINALITY AS x (e, n) ORDER BY n LIMIT :kept) AS first)
     WHERE b.id = :broadcast_id
    RETURNING (SELECT count(*) FROM gone)
""")


async def find(connection: AsyncConnection, business_id: int, broadcast_id: int) -> DraftRow[Any]:
    """The row of a broadcast. Raises `NotFound`, for another business's as well."""
    statement = select(WhatsAppBroadcast).where(
        WhatsAppBroadcast.id == broadcast_id, WhatsAppBroadcast.business_id == business_id
    )
    row = (await connection.execute(statement)).one_or_none()
    if row is None:
        raise NotFound(said("There is no broadcast %(number)s.", number=broadcast_id))
    return row


async def begun(connection: AsyncConnection, business_id: int, token: str) -> int | None:
    """The draft that a page with this token has made already."""
    return await idempotency.find(connection, business_id, _key_of(token), _NO_BODY)


async def begin(connection: AsyncConnection, business_id: int, new: NewBroadcast, token: str) -> int:
    """A draft whose message is not finished, one for each token. Returns its id. Raises `BadInput`, at the field."""
    try:
        async with connection.begin_nested():
            made = await drafts.create(connection, business_id, new, is_finished=False)
            await idempotency.keep_or_refuse(connection, business_id, _key_of(token), _NO_BODY, made)
            return made
    except idempotency.Overtaken:
        # The same page was quicker, and has committed by now.
        found = await begun(connection, business_id, token)
        assert found is not None
        return found


async def change(connection: AsyncConnection, business_id: int, broadcast_id: int, changes: Mapping[str, Any]) -> None:
    """Change what is named: columns of the row, `canary` as `Bounds` or None, `audience` as people write it or None.

    Raises `NotFound`, `StateDoesNotAllow` where it is no draft any more, `BadInput` at the field that is wrong.
    """
    draft = await _locked(connection, business_id, broadcast_id)
    assert set(changes) <= _CHANGEABLE
    values = dict(changes)
    if isinstance(values.get("canary"), Bounds):
        values["canary"] = asdict(values["canary"])
    if values.get("audience") is not None:
        values["audience"] = await _audience(connection, draft, values["audience"])
    if {"message", "channel_id"} & set(values):
        channel_id = await channels.choose(connection, business_id, values.get("channel_id", draft.channel_id))
        await drafts.refuse_unusable(connection, business_id, channel_id, values.get("message", draft.message))
        values["channel_id"] = channel_id
    if "scheduled_at" in values:
        at = values["scheduled_at"]
        values["local_time"] = None if at is None else wall_of(at)
        spread_over_days = values.get("spread_over_days", draft.spread_over_days)
        by_local_time = values.setdefault("by_local_time", False)
        schedules.refuse_past(at, values["local_time"] if by_local_time else None)
        refuse_odd(by_local_time=by_local_time, has_schedule=at is not None, spread_over_days=spread_over_days)
    if values.get("rate_limit") is not None:
        await _refuse_too_fast(connection, int(values.get("channel_id", draft.channel_id)), values["rate_limit"])
    if values:
        await connection.execute(update(WhatsAppBroadcast).where(WhatsAppBroadcast.id == broadcast_id).values(values))


async def take_list(
    connection: AsyncConnection,
    business_id: int,
    broadcast_id: int,
    rows: CsvList | Iterable[Row],
    default_country: str | None,
    on_progress: OnProgress | None = None,
) -> Loaded:
    """Put people on a draft, beside those who are there. default_country: of numbers without a country code.

    Raises `NotFound`, `StateDoesNotAllow`, or `BadInput` where it takes its people from the contacts.
    """
    await _locked(connection, business_id, broadcast_id)
    set_country = update(WhatsAppBroadcast).where(WhatsAppBroadcast.id == broadcast_id)
    await connection.execute(set_country.values(default_country=default_country))
    return await drafts.add_recipients(connection, broadcast_id, rows, on_progress, is_finished=False)


async def clear_people(connection: AsyncConnection, business_id: int, broadcast_id: int) -> None:
    """Take everybody off a draft again, its list or its audience. Raises `NotFound` or `StateDoesNotAllow`.

    Cost: the deletion of every recipient: for a million some seconds.
    """
    await _locked(connection, business_id, broadcast_id)
    recipient = WhatsAppBroadcastRecipient
    await connection.execute(delete(recipient).where(recipient.broadcast_id == broadcast_id))
    empty: dict[str, Any] = dict.fromkeys((*_COUNTED, "skipped_count"), 0) | {"rejected": [], "audience": None}
    await connection.execute(update(WhatsAppBroadcast).where(WhatsAppBroadcast.id == broadcast_id).values(empty))


async def leave_out(connection: AsyncConnection, business_id: int, broadcast_id: int) -> int:
    """Take those off a list who lack a value that the message needs. Returns how many they were.

    Raises `NotFound` or `StateDoesNotAllow`.
    """
    draft = await _locked(connection, business_id, broadcast_id)
    columns = list(columns_of(draft.message))
    values = {"broadcast_id": broadcast_id, "columns": columns, "kept": KEPT_REJECTED}
    return int(await connection.scalar(_LEAVE_OUT, values) or 0)


async def refuse_unseen(connection: AsyncConnection, business_id: int, broadcast_id: int, seen: str) -> None:
    """Hold a draft for the rest of the transaction, if it still is what somebody saw. seen: its `mark`.

    Raises `NotFound`, `StateDoesNotAllow`, or `NotNow` where it was changed since, or its time has passed.
    """
    draft = await _locked(connection, business_id, broadcast_id)
    if mark(draft) != seen:
        raise NotNow("This broadcast was changed in the meantime. Look at it once more, then send.")
    if is_late(draft):
        raise NotNow("The time at which it was to start has passed. Choose another one.")


def is_late(draft: DraftRow[Any]) -> bool:
    """Whether the time that somebody chose for it has passed while it was a draft: it must not start by surprise."""
    local_time = draft.local_time if draft.by_local_time else None
    return draft.scheduled_at is not None and schedules.is_past(draft.scheduled_at, local_time)


def mark(draft: DraftRow[Any]) -> str:
    """What two looks at a draft are held against each other by."""
    looked_at = [getattr(draft, name) for name in (*_SEEN, *_COUNTED)]
    return hashlib.sha256(msgspec.json.encode(looked_at, order="sorted")).hexdigest()[:32]


# --- the people, as far as a message needs them


def has_list(draft: DraftRow[Any]) -> bool:
    """Whether people were put on it."""
    return bool(draft.total_recipients or draft.rejected_count)


async def columns(connection: AsyncConnection, draft: DraftRow[Any]) -> list[str]:
    """What a message can name of each person: the columns of the list, or what is known of contacts."""
    if draft.audience is None:
        values = {"broadcast_id": draft.id, "rows": _SAMPLE_ROWS}
        return list((await connection.scalars(_COLUMNS, values)).all())
    return [NAME, PHONE, *(await vocabulary.attributes(connection, draft.business_id))]


async def neighbours(connection: AsyncConnection, draft: DraftRow[Any], places: Sequence[Place]) -> list[Person | None]:
    """Somebody of the draft for each place, or None. Raises `BadInput` where the audience's segment is gone."""
    if draft.audience is not None:
        audience = parse(draft.audience)
        return [await snapshots.neighbour(connection, draft.business_id, audience, place) for place in places]
    found: list[Person | None] = []
    for place in places:
        values = {"broadcast_id": draft.id, **place._asdict()}
        statement = _NEIGHBOURS[place.order] if place.phone is None else _OF_PHONE
        row = (await connection.execute(statement, values)).one_or_none()
        found.append(None if row is None else Person(row.id, row.phone, row.variables))
    return found


async def lacks(connection: AsyncConnection, draft: DraftRow[Any], message: Mapping[str, Any]) -> dict[str, int]:
    """How many of those who may be sent to have no value for a column that the message names, by column."""
    needed = columns_of(message)
    if not needed:
        return {}
    if draft.audience is not None:
        look = await snapshots.look(connection, draft.business_id, parse(draft.audience), needed)
        return look.lacks
    return await preflight.lacking(connection, draft.id, needed)


class Refused(NamedTuple):
    """People of a list who are sent to and whose message WhatsApp refuses. columns: what some of them lack."""

    people_count: int
    columns: Sequence[str]


async def refused(connection: AsyncConnection, draft: DraftRow[Any]) -> Refused:
    """Who of a list lacks a value that the message names. Of an audience nobody: they are left out when it starts."""
    values = _values_of_refused(draft)
    if values is None:
        return Refused(0, ())
    row = (await connection.execute(_REFUSED, values)).one()
    return Refused(int(row.people_count), row.columns or ())


async def is_anybody_refused(connection: AsyncConnection, draft: DraftRow[Any]) -> bool:
    """Whether `refused` would find anybody."""
    values = _values_of_refused(draft)
    return values is not None and bool(await connection.scalar(_ANY_REFUSED, values))


def _values_of_refused(draft: DraftRow[Any]) -> dict[str, Any] | None:
    needed = columns_of(draft.message)
    if draft.audience is not None or not needed:
        return None
    return {"broadcast_id": draft.id, "columns": list(needed)}


def _key_of(token: str) -> str:
    return f"compose {token[:100]}"


async def _locked(connection: AsyncConnection, business_id: int, broadcast_id: int) -> DraftRow[Any]:
    statement = select(WhatsAppBroadcast).where(
        WhatsAppBroadcast.id == broadcast_id, WhatsAppBroadcast.business_id == business_id
    )
    draft = (await connection.execute(statement.with_for_update())).one_or_none()
    if draft is None:
        raise NotFound(said("There is no broadcast %(number)s.", number=broadcast_id))
    if draft.status != BroadcastStatus.DRAFT:
        raise StateDoesNotAllow("be changed", draft.status)
    return draft


async def _audience(connection: AsyncConnection, draft: DraftRow[Any], raw: Mapping[str, Any]) -> dict[str, Any]:
    if has_list(draft):
        raise BadInput("This broadcast has a list. Take its people off first.", pointer="/audience")
    audience = parse(raw)
    await segments.resolve(connection, draft.business_id, audience)
    return audience.as_json()


async def _refuse_too_fast(connection: AsyncConnection, channel_id: int, rate: int) -> None:
    most = int(await connection.scalar(select(Channel.rate_per_second).where(Channel.id == channel_id)) or 0)
    if not 1 <= rate <= (most or 1_000_000):
        detail = said("A rate is from 1 to 1,000,000.")
        if most:
            detail = said(
                "This number may send %(most)s messages a second; the rate is from 1 to that.", most=f"{most:,}"
            )
        raise BadInput(detail, pointer="/rate_limit")
