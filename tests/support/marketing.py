"""Broadcasts of a marketing template, to people of whose clocks a test knows something."""

from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
from sqlalchemy import insert, text
from sqlalchemy.ext.asyncio import AsyncEngine

from server.models import Template
from server.services import businesses
from tests.support.builders import WABA_ID, Made, Tenant, a_broadcast, a_business

# A phone of the builders' is in Israel; every other one of these is moved to Japan, six or seven hours ahead.
HOME, FAR = ZoneInfo("Asia/Jerusalem"), ZoneInfo("Asia/Tokyo")
IS_FAR = "phone LIKE '+81%'"
_MOVE = text("""
    UPDATE whatsapp_broadcast_recipients SET phone = '+8190' || right(phone, 8)
     WHERE broadcast_id = :broadcast_id AND id % 2 = 0
""")


async def a_marketing_business(engine: AsyncEngine, *, rate: int = 0, category: str = "MARKETING") -> Tenant:
    """A business whose template is marketing, if nothing else is said."""
    tenant = await a_business(engine, rate=rate)
    template = {
        "business_id": tenant.business_id,
        "waba_id": WABA_ID,
        "provider_id": "1",
        "name": "order_update",
        "language": "en_US",
        "status": "APPROVED",
        "category": category,
        "components": [{"type": "BODY", "text": "Hi {{1}}, your order {{2}} is on its way."}],
    }
    async with engine.begin() as connection:
        await connection.execute(insert(Template).values(template))
    return tenant


async def a_marketing_broadcast(
    engine: AsyncEngine, recipients: int, *, tenant: Tenant | None = None, half_is_far: bool = False, **columns: Any
) -> Made:
    """A broadcast of that template. half_is_far: every other person is in Japan."""
    tenant = tenant or await a_marketing_business(engine)
    variables = {"1": "{{first_name}}", "2": "{{order_id}}"}
    message = {"template": {"name": "order_update", "language": "en_US", "variables": variables}}
    made = await a_broadcast(engine, recipients, tenant=tenant, message=message, **columns)
    if half_is_far:
        async with engine.begin() as connection:
            await connection.execute(_MOVE, {"broadcast_id": made.id})
    return made


def hours_around(place: ZoneInfo, *, minutes_before: int = 60, minutes_after: int = 120) -> dict[str, Any]:
    """Quiet hours that it is now, on the clocks of a place."""
    now = datetime.now(place)
    begin, end = now - timedelta(minutes=minutes_before), now + timedelta(minutes=minutes_after)
    return {"from": f"{begin:%H:%M}", "to": f"{end:%H:%M}"}


async def be_quiet(engine: AsyncEngine, tenant_id: int, hours: dict[str, Any] | None) -> None:
    """What a person sets."""
    await businesses.change(engine, tenant_id, {"quiet_hours": hours})


def first_claimed_at(database_url: str, broadcast: Made, prefix: str = "+") -> datetime:
    """When the first of these was claimed last, which is when their message left at the earliest."""
    with psycopg.connect(database_url) as connection:
        row = connection.execute(
            "SELECT min(claimed_at) FROM whatsapp_broadcast_recipients WHERE broadcast_id = %s AND phone LIKE %s",
            (broadcast.id, f"{prefix}%"),
        ).fetchone()
    assert row is not None
    found: datetime = row[0]
    return found
