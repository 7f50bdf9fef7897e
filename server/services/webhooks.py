"""Webhooks applied: from bodies in the inbox to rows, opt-outs, pauses, replies. One transaction a handful of bodies.

Any process may do it, several at once: bodies are taken with SKIP LOCKED, and everything is idempotent and free of
order. Locks: the inbox rows, then the broadcasts by id (all of them at once), then their recipients.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

import psycopg
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from server.domain.errors import ClarionError
from server.domain.phones import ways_of_writing
from server.domain.sentences import said
from server.domain.states import LIVE, Actor, BroadcastStatus, Move
from server.domain.wishes import Wish
from server.logs import Event, get_logger
from server.providers.webhooks import (
    AccountNews,
    Item,
    Oddity,
    Origin,
    PersonWrote,
    PreferenceChanged,
    StatusUpdate,
    read,
)
from server.services import account_updates, broadcasts, consents, replies, retries, statuses, wish_replies
from server.services.account_updates import Told
from server.services.broadcasts import Why
from server.services.channel_directory import ChannelDirectory, Known
from server.services.consents import WishTold
from server.services.replies import Answered, Written
from server.services.statuses import Changes, Heard

# About a thousand statuses: some ten milliseconds for which the broadcasts are locked.
MOST_BYTES: Final = 400_000
MOST_BODIES: Final = 100

# Classes of SQLSTATE that say nothing of what was asked: connection, conflict, resources, an operator, the system.
_NOT_THE_BODY: Final = ("08", "25", "40", "53", "55", "57", "58")
_log = get_logger(__name__)

_TAKE = text("""
    /* webhooks.take   Whoever else applies takes others. */
    SELECT id, octet_length(body) AS size FROM webhook_inbox ORDER BY id LIMIT :most FOR UPDATE SKIP LOCKED
""")
_BODIES = text("""
    /* webhooks.bodies */
    SELECT id, channel_id, received_at, body FROM webhook_inbox WHERE id = ANY(:ids) ORDER BY id
""")
_STILL_THERE = text("SELECT id FROM webhook_inbox WHERE id = :id FOR UPDATE SKIP LOCKED")
_DONE = text("DELETE /* webhooks.done */ FROM webhook_inbox WHERE id = ANY(:ids)")

_LOCK = text("""
    /* webhooks.lock   All in one go, by id: those that are named, and the live ones of whose wishes or news came. */
    SELECT id, status FROM whatsapp_broadcasts
     WHERE id = ANY(:ids) OR (business_id = ANY(:business_ids) AND status = ANY(:live))
     ORDER BY id FOR UPDATE
""")

_ODD = text("""
    /* webhooks.odd */
    INSERT INTO webhook_oddities (channel_id, received_at, reason, raw)
    VALUES (:channel_id, :received_at, :reason, :raw)
""")

_HEARD_FROM = text("""
    /* webhooks.heard_from */
    UPDATE channels SET last_status_at = greatest(last_status_at, :at) WHERE id = ANY(:ids)
""")

_CAME = text("""
    /* webhooks.came   Once a minute a number is enough, whatever comes. */
    UPDATE channels SET last_webhook_at = :at
     WHERE id = ANY(:ids) AND coalesce(last_webhook_at, '-infinity') < CAST(:at AS timestamptz) - interval '1 minute'
""")

_ENDING = text("SELECT status, failed_count FROM whatsapp_broadcasts WHERE id = :id")


_WISHES: Final = {"stop": Wish.STOP, "resume": Wish.START}

_ARE_OURS = text("""
    /* webhooks.are_ours
       Why:  a number that was added a moment ago sends at once, and the directory is seconds old.
       Cost: the table of numbers, which is small; only where a body names a number that is not known. */
    SELECT EXISTS (SELECT FROM channels WHERE phone_number_id = ANY(:numbers) OR waba_id = ANY(:accounts))
""")


class Body(NamedTuple):
    """One POST of the inbox."""

    id: int
    channel_id: int
    received_at: datetime
    body: bytes


@dataclass(slots=True)
class _News:
    """What the bodies of one transaction say, by kind, each with its number."""

    heard: list[Heard] = field(default_factory=list)
    written: list[Written] = field(default_factory=list)
    preferences: list[tuple[Known, PreferenceChanged]] = field(default_factory=list)
    account: list[Told] = field(default_factory=list)
    odd: list[tuple[Body, Oddity]] = field(default_factory=list)


class WebhookDesk:
    """Applies what is in the inbox."""

    def __init__(self, engine: AsyncEngine, directory: ChannelDirectory, *, max_attempts: int) -> None:
        self._engine = engine
        self._directory = directory
        self._max_attempts = max_attempts

    async def apply_all(self) -> int:
        """Apply what waits, until nothing does. Returns the count of bodies. A database that is away raises."""
        count = 0
        while applied := await self._apply_some():
            count += applied
        return count

    async def _apply_some(self) -> int:
        try:
            async with self._engine.begin() as connection:
                bodies = await _take(connection, MOST_BODIES)
                await self._apply(connection, bodies)
                return len(bodies)
        except Exception as error:
            if _is_away(error):
                raise  # or two that waited for each other: tried again
            _log.exception(Event.WEBHOOK_ERROR)  # one strange body must cost none of the others
            return await self._apply_one()

    async def _apply_one(self) -> int:
        """The oldest body alone; where it cannot be applied it is put aside whole, with the reason."""
        bodies: list[Body] = []
        try:
            async with self._engine.begin() as connection:
                bodies = await _take(connection, 1)
                await self._apply(connection, bodies)
                return len(bodies)
        except Exception as error:
            if _is_away(error) or not bodies:
                raise
            _log.exception(Event.WEBHOOK_ERROR)
            async with self._engine.begin() as connection:
                # That very one: another process may hold it by now, and the next is not to blame.
                if await connection.scalar(_STILL_THERE, {"id": bodies[0].id}) is not None:
                    reason = f"could not be applied: {error}"
                    await _put_aside(connection, bodies[0], Oddity(reason, bodies[0].body))
                    await connection.execute(_DONE, {"ids": [bodies[0].id]})
            return 1

    async def _apply(self, connection: AsyncConnection, bodies: Sequence[Body]) -> None:
        if not bodies:
            return
        news = await self._read(connection, bodies)
        places = await statuses.place(connection, news.heard)
        told = {news.heard[position].update.message_id: place for position, place in places.items()}
        answered = [await replies.link(connection, written, told) for written in news.written]
        wishes = await _wishes(connection, news, answered)
        named = {place.broadcast_id for place in places.values()}
        named |= {found.broadcast_id for found in answered if found is not None}
        owners = {wish.business_id for wish in wishes} | {told.business_id for told in news.account}
        owners |= {heard.business_id for heard in news.heard if _stops_marketing(heard)}
        for owner in sorted(owners):  # wishes of one business one after the other: the latest must see the others
            await consents.in_turn(connection, owner)
        locked = await _lock(connection, named, owners)

        changes = await statuses.apply(connection, news.heard, places, locked, max_attempts=self._max_attempts)
        await _follow(connection, changes, locked)
        for written, found in zip(news.written, answered, strict=True):
            await replies.keep(connection, written, found)
        by_message = {(written.business_id, written.message.message_id): written for written in news.written}
        for wish in wishes:
            proof = by_message.get((wish.business_id, wish.proof or ""))  # none: it was WhatsApp's own switch
            await wish_replies.tell(connection, wish, proof)
        for stopped in changes.suppressed:
            source = said("stopped marketing messages in WhatsApp")
            wish = WishTold(stopped.business_id, stopped.phone, Wish.STOP, source, stopped.at, stopped.message_id)
            await consents.tell(connection, wish)
        for news_of_account in news.account:
            await account_updates.carry_out(connection, news_of_account)
        for body, oddity in news.odd:
            await _put_aside(connection, body, oddity)
        if news.heard:
            at = max(heard.received_at for heard in news.heard)
            ids = sorted({heard.channel_id for heard in news.heard})
            await connection.execute(_HEARD_FROM, {"ids": ids, "at": at})
        # The number that proved a body may be another one of the account than the one it is about.
        came = {body.channel_id for body in bodies}
        came |= {heard.channel_id for heard in news.heard} | {written.channel_id for written in news.written}
        at = max(body.received_at for body in bodies)
        await connection.execute(_CAME, {"ids": sorted(came), "at": at})
        await connection.execute(_DONE, {"ids": [body.id for body in bodies]})

    async def _read(self, connection: AsyncConnection, bodies: Sequence[Body]) -> _News:
        items = [(body, item) for body in bodies for item in read(body.body)]
        peers = await self._peers(bodies)
        strangers = [
            item.origin
            for body, item in items
            if not isinstance(item, Oddity) and _named(item.origin, peers[body.channel_id]) is None
        ]
        if strangers and await _is_any_ours(connection, strangers):
            await self._directory.read_again()
            peers = await self._peers(bodies)
        news = _News()
        for body, item in items:
            _sort_in(news, body, item, peers[body.channel_id])
        return news

    async def _peers(self, bodies: Sequence[Body]) -> dict[int, list[Known]]:
        """By the number that proved a body, those for which its signature speaks."""
        channel_ids = {body.channel_id for body in bodies}
        return {channel_id: await self._directory.peers(channel_id) for channel_id in channel_ids}


def _is_away(error: Exception) -> bool:
    """Whether the database is away, full or busy, rather than the body odd. Bulk statements raise psycopg's errors."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(cause, psycopg.OperationalError | psycopg.InterfaceError):
        return cause.sqlstate is None or cause.sqlstate[:2] in _NOT_THE_BODY
    return isinstance(cause, ClarionError | OSError | SQLAlchemyError) and not isinstance(cause, psycopg.Error)


def _sort_in(news: _News, body: Body, item: Item, peers: Sequence[Known]) -> None:
    """Put an item with its kind, and with the number that it names; one of somebody else's is odd, and only kept."""
    if isinstance(item, Oddity):
        news.odd.append((body, item))
        return
    known = _named(item.origin, peers)
    if known is None:
        news.odd.append((body, Oddity("it names a number that its signature does not speak for", item.raw.encode())))
        return
    match item:
        case StatusUpdate():
            news.heard.append(Heard(known.channel_id, known.business_id, body.received_at, item))
        case PersonWrote():
            news.written.append(Written(known.channel_id, known.business_id, body.received_at, item))
        case PreferenceChanged() if item.phone is None or item.value not in _WISHES:
            news.odd.append((body, Oddity("a preference that is not known, or of nobody we know", item.raw.encode())))
        case PreferenceChanged():
            news.preferences.append((known, item))
        case AccountNews():
            news.account.append(Told(known.channel_id, known.business_id, body.received_at, item))


async def _is_any_ours(connection: AsyncConnection, origins: Sequence[Origin]) -> bool:
    numbers = {origin.phone_number_id for origin in origins if origin.phone_number_id is not None}
    accounts = {origin.waba_id for origin in origins if origin.phone_number_id is None}
    values = {"numbers": _that_can_be(numbers), "accounts": _that_can_be(accounts)}
    return bool(await connection.scalar(_ARE_OURS, values))


def _that_can_be(ids: Iterable[str]) -> list[str]:
    """Without what no id of ours looks like, and no database takes."""
    return sorted(one for one in ids if one.isascii() and one.isprintable())


def _named(origin: Origin, peers: Sequence[Known]) -> Known | None:
    if origin.phone_number_id is not None:
        return next((known for known in peers if known.phone_number_id == origin.phone_number_id), None)
    return next((known for known in peers if known.waba_id == origin.waba_id), None)


def _stops_marketing(heard: Heard) -> bool:
    return heard.update.status is not None and heard.update.status.error_code == 131050  # Meta: stopped marketing


async def _take(connection: AsyncConnection, most: int) -> list[Body]:
    ids: list[int] = []
    size = 0
    for row in await connection.execute(_TAKE, {"most": most}):
        if ids and size + row.size > MOST_BYTES:
            break
        ids.append(row.id)
        size += row.size
    return [Body(*row) for row in await connection.execute(_BODIES, {"ids": ids})] if ids else []


async def _wishes(connection: AsyncConnection, news: _News, answered: Sequence[Answered | None]) -> list[WishTold]:
    wishes = []
    for written, found in zip(news.written, answered, strict=True):
        words = await replies.words_of(connection, written.business_id)
        wishes += replies.wish_in(written, found, words)
    for known, told in news.preferences:
        wish = _WISHES[told.value]
        if told.phone is not None:
            source = said("used WhatsApp's switch for marketing messages")
            wishes += [
                WishTold(known.business_id, phone, wish, source, told.at) for phone in ways_of_writing(told.phone)
            ]
    # In one order everywhere, so that two who apply do not wait for each other's people.
    return sorted(wishes, key=lambda wish: (wish.business_id, wish.phone, wish.at))


async def _lock(connection: AsyncConnection, named: Iterable[int], owners: Iterable[int]) -> dict[int, str]:
    values = {
        "ids": sorted(named),
        "business_ids": sorted(owners),
        "live": sorted(LIVE - {BroadcastStatus.DRAFT}),
    }
    return {row.id: row.status for row in await connection.execute(_LOCK, values)}


async def _follow(connection: AsyncConnection, changes: Changes, locked: dict[int, str]) -> None:
    """What statuses mean for the broadcasts: a pause, another try after the end, another ending, a retry too many."""
    for broadcast_id in sorted(changes.put_off):
        await broadcasts.try_again(connection, broadcast_id, by=Actor.ENGINE, why=_PUT_OFF)
    for broadcast_id, recipient_ids in sorted(changes.got_it.items()):
        await retries.spare(connection, broadcast_id, recipient_ids)
    for broadcast_id, stop in sorted(changes.stops.items()):
        seconds = stop.resume_after_seconds
        resume_at = datetime.now(UTC) + timedelta(seconds=seconds) if seconds else None
        await account_updates.hold(connection, [broadcast_id], Why(stop.pause_reason, stop.message, resume_at))
    for broadcast_id in sorted(changes.changed):
        if locked[broadcast_id] in (BroadcastStatus.COMPLETED, BroadcastStatus.PARTIAL):
            row = (await connection.execute(_ENDING, {"id": broadcast_id})).one()
            move = Move.CORRECT_PARTIAL if row.failed_count else Move.CORRECT_COMPLETE
            await broadcasts.make(connection, broadcast_id, move, by=Actor.ENGINE)


_PUT_OFF: Final = said("WhatsApp could not deliver to somebody who may be tried again later.")


async def _put_aside(connection: AsyncConnection, body: Body, oddity: Oddity) -> None:
    values = {"channel_id": body.channel_id, "received_at": body.received_at, "raw": oddity.raw}
    await connection.execute(_ODD, {**values, "reason": oddity.reason[:500].replace("\x00", "")})
