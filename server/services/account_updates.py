"""News of templates, numbers and accounts, carried out: broadcasts pause with the right words, and go on again."""

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple, assert_never

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from server.domain.account_news import (
    AccountGoesOn,
    AccountStopped,
    MessagingLimitIs,
    TemplateHasCategory,
    TemplateIs,
    ThroughputRaised,
    orders_of,
)
from server.domain.states import Actor, Move, PauseReason
from server.providers.webhooks import AccountNews
from server.services import broadcasts, messaging_limits, rates
from server.services.broadcasts import Why
from server.services.signals import look_at_row

_KEEP = text("""
    /* account_updates.keep   Each once: Meta tells the same news again until it hears 200. */
    INSERT INTO account_updates (channel_id, field, hash, received_at, raw)
    VALUES (:channel_id, :field, :hash, :received_at, :raw)
        ON CONFLICT (channel_id, hash) DO NOTHING RETURNING id
""")

_TEMPLATE_STATUS = text("""
    /* account_updates.template_status */
    UPDATE templates SET status = :status
     WHERE business_id = :business_id AND waba_id = :waba_id AND name = :name AND language = :language
""")

_TEMPLATE_CATEGORY = text("""
    /* account_updates.template_category */
    UPDATE templates SET category = :category
     WHERE business_id = :business_id AND waba_id = :waba_id AND name = :name AND language = :language
""")

_OF_ACCOUNT = text("""
    /* account_updates.of_account
       The broadcasts of an account's numbers that wait, run or are paused; a canary that is watched counts as running,
       because it goes on by itself. */
    SELECT b.id FROM whatsapp_broadcasts b JOIN channels c ON c.id = b.channel_id
     WHERE c.business_id = :business_id AND c.waba_id = :waba_id
       AND (b.status = ANY(:statuses)
            OR (CAST(:reason AS text) IS NULL AND b.status = 'paused' AND b.pause_reason = 'canary'
                AND b.resume_at IS NOT NULL))
       AND (CAST(:reason AS text) IS NULL OR b.pause_reason = :reason)
       AND (CAST(:name AS text) IS NULL
            OR (b.message #>> '{template,name}' = :name AND b.message #>> '{template,language}' = :language))
     ORDER BY b.id
""")

_SENDS = ("queued", "running")


class Told(NamedTuple):
    """A piece of news with the number whose app secret signed it."""

    channel_id: int
    business_id: int
    received_at: datetime
    news: AccountNews


async def carry_out(connection: AsyncConnection, told: Told) -> None:
    """Keep the news and do what they mean, once. The business's live broadcasts are locked by the caller."""
    news = told.news
    values = {
        "channel_id": told.channel_id,
        "field": news.field[:64].replace("\x00", ""),
        "hash": hashlib.sha256(f"{news.origin.waba_id} {news.time} {news.raw}".encode()).digest(),
        "received_at": told.received_at,
        "raw": news.raw,
    }
    if await connection.scalar(_KEEP, values) is None:
        return
    account = {"business_id": told.business_id, "waba_id": news.origin.waba_id}
    for order in orders_of(news.field, news.value):
        match order:
            case TemplateIs(name=name, language=language, status=status, why=why):
                template = {"name": name, "language": language}
                await connection.execute(_TEMPLATE_STATUS, {**account, **template, "status": status})
                if order.can_be_sent:
                    await _resume(connection, await _of_account(connection, account, PauseReason.TEMPLATE, template))
                else:
                    stopped = await _of_account(connection, account, None, template)
                    await hold(connection, stopped, Why(PauseReason.TEMPLATE, why))
            case TemplateHasCategory(name=name, language=language, category=category):
                template = {"name": name, "language": language, "category": category}
                await connection.execute(_TEMPLATE_CATEGORY, {**account, **template})
            case AccountStopped(reason=reason, why=why, resume_at=resume_at):
                await hold(connection, await _of_account(connection, account, None), Why(reason, why, resume_at))
            case AccountGoesOn(reason=reason):
                await _resume(connection, await _of_account(connection, account, reason))
            case MessagingLimitIs(limit=limit):
                await messaging_limits.remember(connection, told.business_id, limit)
                await _resume(connection, await _of_account(connection, account, PauseReason.MESSAGING_LIMIT))
            case ThroughputRaised(display_phone_number=digits, rate_per_second=rate):
                await rates.follow_upgrade(connection, told.business_id, news.origin.waba_id, digits, rate)
            case _:
                assert_never(order)


async def _of_account(
    connection: AsyncConnection,
    account: dict[str, Any],
    reason: PauseReason | None,
    template: dict[str, str] | None = None,
) -> list[int]:
    """The account's broadcasts that send now, or with a reason those that are paused for it."""
    values = {
        "name": None,
        "language": None,
        **account,
        **(template or {}),
        "reason": reason,
        "statuses": list(_SENDS) if reason is None else ["paused"],
    }
    return list(await connection.scalars(_OF_ACCOUNT, values))


async def hold(connection: AsyncConnection, broadcast_ids: Sequence[int], why: Why) -> None:
    """Pause broadcasts for a reason of WhatsApp's, and wake their runners."""
    for broadcast_id in broadcast_ids:
        if await broadcasts.make(connection, broadcast_id, Move.HOLD, by=Actor.ENGINE, why=why):
            await look_at_row(connection, broadcast_id)


async def _resume(connection: AsyncConnection, broadcast_ids: Sequence[int]) -> None:
    for broadcast_id in broadcast_ids:
        await broadcasts.make(connection, broadcast_id, Move.RESUME, by=Actor.ENGINE)
