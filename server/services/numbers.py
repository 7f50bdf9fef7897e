"""The numbers of a business as its pages show them: what is known here at once, and what WhatsApp says when asked.

Asking holds no connection of the database, takes `ASK_SECONDS` at most, and ends well where WhatsApp is away.
"""

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import Awaitable, Hashable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from server.config import Settings
from server.domain.errors import BadInput, NotFound, ProviderAway, ProviderRefuses
from server.domain.limits import throughput_of
from server.domain.messaging_limit import limit_of
from server.domain.number_setup import Answer, Check, Seen, checks
from server.domain.preflight import NumberState
from server.domain.sentences import said
from server.providers.whatsapp import WhatsAppClient
from server.providers.wire import PhoneNumberNode
from server.secrets import Vault
from server.services import channels, messaging_limits, rates
from server.services.channels import Sender
from server.services.preflight import ASK_SECONDS, state_of
from server.tenancy import Connects

T = TypeVar("T")
_MOST_KEPT: Final = 256

_KNOWN: Final = """
    SELECT c.id, c.business_id, c.phone_number_id, c.waba_id, c.display_phone_number, c.verified_name, c.quality,
           c.rate_per_second,
           c.rate_is_chosen, c.created_at, c.webhook_verified_at, c.last_webhook_at, c.last_status_at,
           c.last_webhook_at > clock_timestamp() - interval '1 hour' AS has_event_lately,
           EXISTS (SELECT FROM whatsapp_broadcasts b WHERE b.channel_id = c.id) AS is_used
      FROM channels c WHERE c.business_id = :business_id AND c.removed_at IS NULL
"""
_LISTED = text(f"/* numbers.listed */ {_KNOWN} ORDER BY c.id")
_ONE = text(f"/* numbers.one */ {_KNOWN} AND c.id = :channel_id")
_REMEMBER = text("""
    /* numbers.remember   What WhatsApp said is shown at once the next time; nothing is written where it is the same. */
    UPDATE channels SET display_phone_number = coalesce(:display_phone_number, display_phone_number),
           verified_name = coalesce(:verified_name, verified_name), quality = coalesce(:quality, quality)
     WHERE id = :channel_id AND (display_phone_number, verified_name, quality) IS DISTINCT FROM
           (coalesce(:display_phone_number, display_phone_number), coalesce(:verified_name, verified_name),
            coalesce(:quality, quality))
""")


@dataclass(frozen=True, slots=True)
class Live:
    """What WhatsApp says of a number now. number: empty where it did not say. checks: the five of its set-up."""

    number: NumberState
    checks: tuple[Check, ...]


@dataclass(frozen=True, slots=True)
class _Asked:
    number: Answer
    node: PhoneNumberNode | None
    account: Answer
    is_on_account: bool | None
    is_subscribed: bool | None

    @property
    def seconds(self) -> float:
        """How long it will do. An outage may be over at any moment; what was refused is mended by a person."""
        if self.number.away or self.account.away:
            return 0.0
        return 120.0 if self.number.is_well and self.account.is_well else 60.0


class _Kept:
    """The last answers, a few hundred of them, in this process. The token is part of the key, by its hash alone."""

    def __init__(self) -> None:
        self._answers: OrderedDict[Hashable, tuple[float, _Asked]] = OrderedDict()

    def get(self, sender: Sender) -> _Asked | None:
        """An answer that will still do."""
        at, asked = self._answers.get(_key(sender), (0.0, None))
        return asked if asked is not None and time.monotonic() - at < asked.seconds else None

    def put(self, sender: Sender, asked: _Asked) -> None:
        """Keep an answer in place of an older one."""
        self._answers.pop(_key(sender), None)
        self._answers[_key(sender)] = (time.monotonic(), asked)
        if len(self._answers) > _MOST_KEPT:
            self._answers.popitem(last=False)


def _key(sender: Sender) -> Hashable:
    hashed = hashlib.sha256(sender.token.encode()).digest()
    return sender.channel_id, sender.phone_number_id, sender.waba_id, hashed


_kept: Final = _Kept()


async def listed(connection: AsyncConnection, business_id: int) -> list[dict[str, Any]]:
    """Every number, as it is known here, without its tokens."""
    return [dict(row) for row in (await connection.execute(_LISTED, {"business_id": business_id})).mappings()]


async def show(connection: AsyncConnection, business_id: int, channel_id: int) -> dict[str, Any]:
    """One number, as it is known here, without its tokens. Raises `NotFound`."""
    values = {"business_id": business_id, "channel_id": channel_id}
    row = (await connection.execute(_ONE, values)).mappings().one_or_none()
    if row is None:
        raise NotFound(said("There is no number %(number)s.", number=channel_id))
    return dict(row)


async def look(
    engine: Connects,
    settings: Settings,
    vault: Vault,
    business_id: int,
    channel_id: int,
    *,
    may_be_kept: bool = True,
) -> Live:
    """Ask WhatsApp how a number is, and remember what it says. Raises `NotFound`.

    may_be_kept: an answer of a moment ago will do, where nothing of the number has changed since: Meta allows an app
    200 calls of this kind an hour, and a page that is left open looks again and again.
    """
    async with engine.connect() as connection:
        known = await show(connection, business_id, channel_id)
        try:
            sender = await channels.sender(connection, vault, channel_id)
        except BadInput:
            sender = None
    kept = _kept.get(sender) if sender is not None and may_be_kept else None
    asked = kept
    if sender is not None and asked is None:
        asked = await _ask(settings, sender)
        _kept.put(sender, asked)
    if kept is None and asked is not None and asked.node is not None:
        async with engine.begin() as connection:
            await _remember(connection, business_id, channel_id, asked.node)
    return _live(known, asked)


async def _ask(settings: Settings, sender: Sender) -> _Asked:
    async with WhatsAppClient(
        settings.graph_api_url, settings.graph_api_version, request_timeout_seconds=ASK_SECONDS
    ) as client:
        (number, node), (account, ids), (_, is_subscribed) = await asyncio.gather(
            _answer(client.phone_number(sender.phone_number_id, sender.token)),
            _answer(client.numbers_of(sender.waba_id, sender.token)),
            _answer(client.has_subscribers(sender.waba_id, sender.token)),
        )
    is_on_account = None if ids is None else sender.phone_number_id in ids
    return _Asked(number, node, account, is_on_account, is_subscribed)


async def _answer(asking: Awaitable[T]) -> tuple[Answer, T | None]:
    try:
        return Answer(), await asking
    except ProviderRefuses as error:
        return Answer(refusal=error.refusal), None
    except ProviderAway as error:
        return Answer(away=str(error)), None


def _live(known: dict[str, Any], asked: _Asked | None) -> Live:
    is_verified, has_event = known["webhook_verified_at"] is not None, known["last_webhook_at"] is not None
    is_recent = bool(known["has_event_lately"])
    if asked is None:
        seen = Seen(is_token_readable=False, is_verified=is_verified, has_event=has_event, has_event_lately=is_recent)
        return Live(NumberState(), checks(seen))
    state = NumberState() if asked.node is None else state_of(asked.node)
    is_blocked = state.can_send.upper() == "BLOCKED"
    seen = Seen(
        number=asked.number,
        status=state.status,
        account=asked.account,
        is_on_account=asked.is_on_account,
        block=(" ".join(state.reasons) or state.can_send) if is_blocked else "",
        is_subscribed=asked.is_subscribed,
        is_verified=is_verified,
        has_event=has_event,
        has_event_lately=is_recent,
    )
    return Live(state, checks(seen))


async def _remember(connection: AsyncConnection, business_id: int, channel_id: int, node: PhoneNumberNode) -> None:
    values = {
        "channel_id": channel_id,
        "display_phone_number": node.display_phone_number,
        "verified_name": node.verified_name,
        "quality": node.quality_rating,
    }
    await connection.execute(_REMEMBER, values)
    limit = limit_of(node.whatsapp_business_manager_messaging_limit)
    if limit is not None:
        await messaging_limits.remember(connection, business_id, limit)
    throughput = throughput_of(node.throughput.level if node.throughput is not None else None)
    if throughput is not None:
        await rates.follow_number(connection, business_id, channel_id, throughput)
