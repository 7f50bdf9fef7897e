"""How a broadcast comes to be: a row, its recipients and its first move, all in one transaction or not at all."""

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from server.domain.audience import Audience
from server.domain.canary import Bounds
from server.domain.errors import BadInput, NotFound, StateDoesNotAllow
from server.domain.local_time import refuse_odd, wall_of
from server.domain.messages import MessagePlan
from server.domain.preflight import refuse_errors
from server.domain.sentences import said
from server.domain.states import RULES, Actor, BroadcastStatus, Move
from server.models import Channel, WhatsAppBroadcast, WhatsAppBroadcastRecipient
from server.services import broadcasts, channels, local_times, preflight, segments, snapshots, starts, templates
from server.services.audiences import Loaded, LoadProgress, load_recipients
from server.services.bulk_gate import BulkGate
from server.services.csv_lists import CsvList, Row
from server.services.preflight import Outside

OnProgress = Callable[[LoadProgress], None]


@dataclass(frozen=True, slots=True)
class NewBroadcast:
    """What a person asks for, as POST /broadcasts takes it. rate_limit: messages per second, none for the number's.

    scheduled_at: with the offset that it was written in. by_local_time: what it reads without the offset is when each
    person gets it by their own clock. audience: whom of the contacts it takes when it starts, in place of a list.
    """

    name: str
    message: dict[str, Any]
    channel_id: int | None = None
    default_country: str | None = None
    rate_limit: int | None = None
    scheduled_at: datetime | None = None
    by_local_time: bool = False
    canary: Bounds | None = None
    spread_over_days: bool = False
    audience: Audience | None = None


async def create(connection: AsyncConnection, business_id: int, new: NewBroadcast, *, is_finished: bool = True) -> int:
    """A draft without recipients. Returns its id. Raises `BadInput` where template, variables or number do not fit.

    is_finished: False for a message that somebody still writes, which may lack what fills it.
    """
    refuse_odd(
        by_local_time=new.by_local_time,
        has_schedule=new.scheduled_at is not None,
        spread_over_days=new.spread_over_days,
    )
    channel_id = await channels.choose(connection, business_id, new.channel_id)
    if is_finished:
        await _plan(connection, business_id, channel_id, new.message)
    else:
        await refuse_unusable(connection, business_id, channel_id, new.message)
    if new.audience is not None:
        await segments.resolve(connection, business_id, new.audience)
    values = {
        "business_id": business_id,
        "channel_id": channel_id,
        "name": new.name,
        "message": new.message,
        "default_country": new.default_country,
        "rate_limit": new.rate_limit,
        "scheduled_at": new.scheduled_at,
        "by_local_time": new.by_local_time,
        "local_time": None if new.scheduled_at is None else wall_of(new.scheduled_at),
        "canary": new.canary and asdict(new.canary),
        "spread_over_days": new.spread_over_days,
        "audience": None if new.audience is None else new.audience.as_json(),
    }
    broadcast_id = await connection.scalar(insert(WhatsAppBroadcast).values(values).returning(WhatsAppBroadcast.id))
    return int(broadcast_id or 0)


async def add_recipients(
    connection: AsyncConnection,
    broadcast_id: int,
    rows: CsvList | Iterable[Row],
    on_progress: OnProgress | None = None,
    *,
    is_finished: bool = True,
) -> Loaded:
    """Add people to a draft; rows that cannot be used are kept with their reason and stop nobody else.

    is_finished: False for a message that somebody still writes: every column is kept, for whatever it will name.
    Raises `NotFound`, `StateDoesNotAllow` where it is no draft any more, or `BadInput` where the message needs a column
    that a file does not have.
    """
    draft = (
        await connection.execute(
            select(WhatsAppBroadcast).where(WhatsAppBroadcast.id == broadcast_id).with_for_update()
        )
    ).one_or_none()
    if draft is None:
        raise NotFound(said("There is no broadcast %(number)s.", number=broadcast_id))
    if draft.status != BroadcastStatus.DRAFT:
        raise StateDoesNotAllow("take more recipients", draft.status)
    if draft.audience is not None:
        raise BadInput("This broadcast takes its people from the contacts and has no list.", pointer="/recipients")
    plan = await _plan(connection, draft.business_id, draft.channel_id, draft.message) if is_finished else None
    if plan is not None and isinstance(rows, CsvList):
        _check_columns(plan, rows.columns)
    return await load_recipients(
        connection,
        broadcast_id=broadcast_id,
        business_id=draft.business_id,
        rows=rows,
        plan=plan,
        default_country=draft.default_country,
        on_progress=on_progress,
    )


async def start(
    connection: AsyncConnection,
    broadcast_id: int,
    *,
    by: Actor,
    starts_per_minute: int,
    outside: Outside,
    who: str | None = None,
) -> None:
    """Queue a draft, or put it on its schedule, unless its pre-flight finds an error.

    outside: what a `Lookout` found of it, before this transaction began. who: whose act the history says it is.
    Raises `NotFound`; `NotNow` where its state, the number or the account does not let it start; `BadInput` where
    something of the broadcast is to be mended, or nobody is on it.
    """
    row = (  # locked first, as webhooks lock it: the broadcast, then what they change beside it
        await connection.execute(
            select(WhatsAppBroadcast).where(WhatsAppBroadcast.id == broadcast_id).with_for_update()
        )
    ).one_or_none()
    if row is None:
        raise NotFound(said("There is no broadcast %(number)s.", number=broadcast_id))
    await starts.learn(connection, row.business_id, outside)
    if row.status in RULES[Move.QUEUE].allowed_from:  # another state is refused as such, below
        found = await preflight.inspect_for_start(connection, broadcast_id, outside)
        refuse_errors(found)
        await starts.write_down(connection, broadcast_id, found, by=by, status=row.status)
    starts_at = row.scheduled_at
    if row.by_local_time:
        starts_at = await local_times.arrange(connection, broadcast_id)
    if starts_at is not None and starts_at > datetime.now(UTC):
        told = None if who is None else said("Put on its schedule by %(who)s.", who=who)
        await broadcasts.make_or_refuse(
            connection, broadcast_id, Move.SCHEDULE, by=by, scheduled_at=row.scheduled_at, told=told
        )
        if row.by_local_time:
            await local_times.note(connection, broadcast_id, by=by)
        return
    # The broadcast before the gate, as every run locks them.
    told = None if who is None else said("Started by %(who)s.", who=who)
    await broadcasts.make_or_refuse(connection, broadcast_id, Move.QUEUE, by=by, told=told)
    await snapshots.take(connection, broadcast_id)
    if row.by_local_time:
        await local_times.note(connection, broadcast_id, by=by)
        await local_times.arrange(connection, broadcast_id)  # once more: an audience has its people now
    await BulkGate(row.business_id).count_start(connection, starts_per_minute)


async def forget(connection: AsyncConnection, broadcast_id: int) -> None:
    """Delete a draft with its recipients. Raises `NotFound`, and `StateDoesNotAllow` where it is no draft any more."""
    status = await connection.scalar(
        select(WhatsAppBroadcast.status).where(WhatsAppBroadcast.id == broadcast_id).with_for_update()
    )
    if status is None:  # somebody else has deleted it a moment ago
        raise NotFound(said("There is no broadcast %(number)s.", number=broadcast_id))
    if status != BroadcastStatus.DRAFT:
        raise StateDoesNotAllow("be deleted", str(status))
    await connection.execute(
        delete(WhatsAppBroadcastRecipient).where(WhatsAppBroadcastRecipient.broadcast_id == broadcast_id)
    )
    await connection.execute(delete(WhatsAppBroadcast).where(WhatsAppBroadcast.id == broadcast_id))


async def refuse_unusable(
    connection: AsyncConnection, business_id: int, channel_id: int, message: dict[str, Any]
) -> None:
    """Raises `BadInput` where a message names a template that the number's account has not, or that is not approved."""
    if "text" not in message:
        await templates.find_usable(connection, business_id, await _waba_id(connection, channel_id), message)


async def _plan(connection: AsyncConnection, business_id: int, channel_id: int, message: dict[str, Any]) -> MessagePlan:
    return await templates.plan_message(connection, business_id, await _waba_id(connection, channel_id), message)


async def _waba_id(connection: AsyncConnection, channel_id: int) -> str:
    return str(await connection.scalar(select(Channel.waba_id).where(Channel.id == channel_id)))


def _check_columns(plan: MessagePlan, columns: list[str]) -> None:
    missing = [column for column in plan.columns if column not in columns]
    if missing:
        raise BadInput(
            said(
                'The message needs the column "%(column)s", and the file has none of that name. There is: %(columns)s.',
                column=missing[0],
                columns=", ".join(columns),
            )
        )
