"""The exact message for one person, before it is sent: of whoever is on the list, or in an audience that is yet to be
taken."""

import json
from typing import Any

from sqlalchemy import Row, select
from sqlalchemy.ext.asyncio import AsyncConnection

from server.domain.audience import parse
from server.domain.errors import BadInput, NotFound
from server.domain.messages import columns_of
from server.domain.phones import normalise
from server.domain.sentences import said
from server.domain.states import BroadcastStatus
from server.models import WhatsAppBroadcast
from server.secrets import Vault
from server.services import channels, recipients, snapshots, templates

_NOT_TAKEN = (BroadcastStatus.DRAFT, BroadcastStatus.SCHEDULED)
# Who is yet to be taken has no number of their own.
_NOBODY_YET = 0


async def of_broadcast(
    connection: AsyncConnection, vault: Vault, business_id: int, broadcast_id: int, phone: str
) -> dict[str, Any]:
    """The body of the Cloud API request. phone: as a person writes it.

    Raises `NotFound` where nobody with this phone would get it, `BadInput` where it is no phone or the message cannot
    be built.
    """
    table = WhatsAppBroadcast
    columns = (table.message, table.channel_id, table.default_country, table.status, table.audience)
    broadcast = (await connection.execute(select(*columns).where(table.id == broadcast_id))).one()
    try:
        number = normalise(phone, broadcast.default_country)
    except ValueError as error:
        raise BadInput(f"{error}.".capitalize(), pointer="query: phone") from error
    recipient_id, variables = await _person(connection, business_id, broadcast_id, broadcast, number)
    sender = await channels.sender(connection, vault, broadcast.channel_id)
    plan = await templates.plan_message(connection, business_id, sender.waba_id, broadcast.message)
    message: dict[str, Any] = json.loads(plan.render(number, variables, f"b{broadcast_id}:r{recipient_id}"))
    return message


async def _person(
    connection: AsyncConnection, business_id: int, broadcast_id: int, broadcast: Row[Any], phone: str
) -> tuple[int, dict[str, str]]:
    """The number of a recipient and what fills the message for them."""
    if broadcast.audience is None or broadcast.status not in _NOT_TAKEN:
        person = await recipients.of_phone(connection, broadcast_id, phone)
        return int(person["id"]), person["variables"]
    needed = columns_of(broadcast.message)
    found = await snapshots.person(connection, business_id, parse(broadcast.audience), needed, phone)
    if found is None:
        raise NotFound("This person is not in the audience of the broadcast.")
    missing = next((column for column in needed if not found.get(column)), None)
    if missing is not None:
        detail = said("This person would be left out: there is no value for %(name)s.", name=missing)
        raise BadInput(detail, pointer="query: phone")
    return _NOBODY_YET, found
