"""The demo of `clarion up --demo`: a business, a number, templates, contacts, and ten thousand people to send to."""

import asyncio
import json
import secrets
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from server.addresses import vault
from server.config import settings
from server.database import async_engine, database_errors
from server.domain.errors import BadInput
from server.domain.states import FINAL, Actor, BroadcastStatus
from server.services import accounts, broadcast_json, channels, drafts, numbers, templates
from server.services.channels import NewChannel
from server.services.contact_imports import import_contacts
from server.services.contact_lists import ContactRow
from server.services.csv_lists import Row
from server.services.preflight import Lookout, Outside

BUSINESS: Final = "Demo"
EMAIL: Final = "demo@clarion.example"
PEOPLE: Final = 10_000
CONTACTS: Final = 500
RATE: Final = 80
PHONE_NUMBER_ID: Final = "106540352242922"
WABA_ID: Final = "102290129340398"
# People of the demo: some answer, a few say STOP, one in five never opens the chat.
HABITS: Final = "reply=0.03,stop=0.005,unread=0.2,only_read=0.02"
WEBHOOKS: Final = "delivered_ms=1500,read_ms=6000,reply_ms=4000,spread=0.8,retry_longest_seconds=2"
# Longer than its simulator waits between two tries to bring a webhook; Meta may take minutes.
UNKNOWN_GRACE_SECONDS: Final = 30
MESSAGE: Final[dict[str, Any]] = {
    "template": {
        "name": "order_update",
        "language": "en_US",
        "variables": {"1": "{{first_name}}", "2": "{{order_id}}"},
    }
}
_PLACES: Final = (("north", "Haifa"), ("centre", "Tel Aviv"), ("south", "Beer Sheva"))
_FIRST_NAMES: Final = ("Dana", "Noam", "Maya", "Omar", "Layla", "Yael", "Adam", "Rivka", "Amir", "Tamar")


@dataclass(frozen=True, slots=True)
class Access:
    """How to get in: kept in the data folder, because a demo's key may be shown again."""

    email: str
    password: str
    api_key: str


def app_secret(data_dir: Path) -> str:
    """What the demo's simulator signs webhooks with: made once for a data folder, readable by its owner alone."""
    path = data_dir / "simulator" / "app_secret"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_text(secrets.token_urlsafe(24))
    return path.read_text()


def prepare(database_url: str, data_dir: Path) -> tuple[Access, int]:
    """The demo's business and a broadcast that is under way; one that has not ended is gone on with.

    Returns how to get in and the broadcast's id. Needs the simulator at CLARION_GRAPH_API_URL.
    """
    path = data_dir / "demo.json"
    known = Access(**json.loads(path.read_text())) if path.exists() else None
    with database_errors():
        access, broadcast_id = asyncio.run(_prepare(database_url, known, app_secret(data_dir)))
    path.touch(mode=0o600)
    path.write_text(json.dumps(asdict(access)))
    return access, broadcast_id


async def _prepare(database_url: str, known: Access | None, secret: str) -> tuple[Access, int]:
    async with async_engine(database_url) as engine:
        access, channel_id = await _access(engine, known, secret)
        async with engine.begin() as connection:
            business_id = await accounts.find_business(connection, BUSINESS)
            senders = await channels.senders(connection, vault(settings()), business_id)
            await templates.sync_all(connection, settings(), business_id, senders)
        # How the number is called, and its quality.
        await numbers.look(engine, settings(), vault(settings()), business_id, channel_id)
        await import_contacts(engine, business_id, _contacts())
        outside = await Lookout(engine, settings(), vault(settings())).of_message(business_id, channel_id, MESSAGE)
        async with engine.begin() as connection:
            return access, await _broadcast(connection, business_id, channel_id, outside)


async def _access(engine: AsyncEngine, known: Access | None, secret: str) -> tuple[Access, int]:
    """The business with its number, made at the first start; the number's app secret is always the simulator's.

    Returns how to get in and the number's id: whoever tries the demo may have added others.
    """
    async with engine.begin() as connection:
        password = secrets.token_urlsafe(9)
        try:
            business_id = await accounts.find_business(connection, BUSINESS)
        except BadInput:
            known = None
            business_id = await accounts.create_business(connection, BUSINESS, EMAIL, password)
        new = NewChannel(PHONE_NUMBER_ID, WABA_ID, "demo-token", secret, secrets.token_urlsafe(16), RATE)
        channel_id = await channels.add(connection, vault(settings()), business_id, new)
        if known is None:
            known = Access(EMAIL, password, await accounts.create_api_key(connection, business_id, "demo"))
        return known, channel_id


async def _broadcast(connection: AsyncConnection, business_id: int, channel_id: int, outside: Outside) -> int:
    """The newest broadcast, if it has not ended; else a new one to everybody."""
    newest = await broadcast_json.show_many(connection, business_id, status=None, before_id=None, limit=1)
    if newest and newest[0]["status"] not in (*FINAL, BroadcastStatus.DRAFT):
        return int(newest[0]["id"])
    new = drafts.NewBroadcast(
        "Spring order updates", MESSAGE, channel_id=channel_id, default_country="IL", rate_limit=RATE
    )
    broadcast_id = await drafts.create(connection, business_id, new)
    await drafts.add_recipients(connection, broadcast_id, _people())
    await drafts.start(
        connection,
        broadcast_id,
        by=Actor.USER,
        starts_per_minute=settings().bulk_starts_per_minute,
        outside=outside,
    )
    return broadcast_id


def _contacts() -> Iterator[ContactRow]:
    """The first few of the people, with tags and a city to choose by."""
    for row in islice(_people(), CONTACTS):
        tags = [_PLACES[row.number % len(_PLACES)][0], *(["vip"] if row.number % 10 == 0 else [])]
        attributes = {**row.variables, "city": _PLACES[row.number % len(_PLACES)][1]}
        yield ContactRow(row.number, row.phone, name=row.variables["first_name"], tags=tags, attributes=attributes)


def _people() -> Iterator[Row]:
    for number in range(1, PEOPLE + 1):
        first_name = _FIRST_NAMES[number % len(_FIRST_NAMES)]
        yield Row(number, f"+9725{number:08d}", {"first_name": first_name, "order_id": f"A-{number}"})
