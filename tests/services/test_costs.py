"""What a broadcast costs: people counted by country in a real database, and the rate card of the business."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import insert, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from server.domain.errors import BadInput
from server.domain.phones import country_of
from server.domain.preflight import Code, Level, Report
from server.models import Contact, InboundMessage, Template
from server.services import preflight, rate_cards, suppressions
from server.services.countries import by_country, leading
from server.services.preflight import Outside
from tests.support.builders import WABA_ID, Tenant, a_broadcast, a_business

CARD = b"""country,category,price,currency,valid_from
IL,utility,0.0053,EUR,2026-01-01
IL,utility,9,EUR,2999-01-01
IL,marketing,0.0353,EUR,2026-01-01
DE,utility,0.0456,EUR,2026-04-01
"""
PHONES = (
    "+972500000001", "+972500000002", "+972500000003", "+4915112345678", "+4915112345679", "+33612345678",
    "+33612345679", "+12125551234", "+12125559876", "+16045551234", "+16040000000", "+447781123456", "+447400123456",
    "+77011234567", "+79161234567", "+3906698123", "+390612345678", "+35818123456", "+358401234567", "+59995151234",
    "+5997151234", "+870123456789", "+61891641234", "+61412345678", "+2125288123456", "+212612345678", "+290412345",
)  # fmt: skip
_ADD = text("""
    INSERT INTO whatsapp_broadcast_recipients (broadcast_id, business_id, phone, variables)
    SELECT :broadcast_id, :business_id, phone, '{}' FROM unnest(CAST(:phones AS text[])) AS p (phone)
""")


async def a_draft(engine: AsyncEngine, tenant: Tenant, category: str = "UTILITY", **columns: Any) -> int:
    """A draft to all these people, or to an audience, with a template of the category."""
    made = await a_broadcast(engine, 0, status="draft", tenant=tenant, **columns)
    template = {
        "business_id": tenant.business_id,
        "waba_id": WABA_ID,
        "provider_id": "1",
        "name": "sale",
        "language": "en",
        "status": "APPROVED",
        "category": category,
        "components": [{"type": "BODY", "text": "It is on."}],
    }
    async with engine.begin() as connection:
        await connection.execute(insert(Template).values(template))
        await connection.execute(
            text("UPDATE whatsapp_broadcasts SET message = CAST(:message AS jsonb), total_recipients = :total"),
            {
                "message": '{"template": {"name": "sale", "language": "en"}}',
                "total": 0 if "audience" in columns else len(PHONES),
            },
        )
        if "audience" not in columns:
            values = {"broadcast_id": made.id, "business_id": tenant.business_id, "phones": list(PHONES)}
            await connection.execute(_ADD, values)
    return made.id


async def bring_in(engine: AsyncEngine, tenant: Tenant, card: bytes = CARD) -> None:
    async with engine.begin() as connection:
        await rate_cards.replace(connection, tenant.business_id, card)


async def write(connection: AsyncConnection, tenant: Tenant, phone: str, hours_ago: float, channel_id: int) -> None:
    """Let a person have written to a number."""
    at = datetime.now(UTC) - timedelta(hours=hours_ago)
    values = {"business_id": tenant.business_id, "channel_id": channel_id, "message_id": f"{phone}{hours_ago}"}
    message = {**values, "phone": phone, "kind": "text", "at": at, "received_at": at, "raw": "{}"}
    await connection.execute(insert(InboundMessage).values(message))


async def looked_at(engine: AsyncEngine, broadcast_id: int) -> Report:
    async with engine.connect() as connection:
        return await preflight.inspect(connection, broadcast_id, Outside())


def said(report: Report, code: Code) -> list[str]:
    return [finding.detail for finding in report.findings if finding.code is code and finding.level is Level.INFO]


async def test_the_groups_of_the_database_are_of_one_country_each(engine: AsyncEngine) -> None:
    statement = text(f"""
        SELECT min(phone), count(*) FROM unnest(CAST(:phones AS text[])) AS p (phone) GROUP BY {leading("phone")}
    """)  # noqa: S608 - our own expression
    async with engine.connect() as connection:
        groups = (await connection.execute(statement, {"phones": list(PHONES)})).all()
    assert by_country((phone, count) for phone, count in groups) == Counter(map(country_of, PHONES))


async def test_without_a_card_it_says_so_and_what_to_do(engine: AsyncEngine) -> None:
    tenant = await a_business(engine)
    report = await looked_at(engine, await a_draft(engine, tenant))
    assert report.cost is None
    (detail,) = said(report, Code.NO_RATE_CARD)
    assert "clarion rates import FILE" in detail


async def test_people_are_counted_by_country_without_those_who_opted_out(engine: AsyncEngine) -> None:
    tenant, other = await a_business(engine), await a_business(engine, "Other")
    await bring_in(engine, tenant)
    await bring_in(engine, other, CARD.replace(b"0.0053", b"5"))
    broadcast_id = await a_draft(engine, tenant)
    async with engine.begin() as connection:
        await suppressions.suppress(connection, tenant.business_id, PHONES[2], "said STOP")
    report = await looked_at(engine, broadcast_id)
    assert report.cost is not None
    shown = report.cost.as_json()
    assert (shown["currency"], shown["total"], shown["prices_date"]) == ("EUR", "0.1018", "2026-04-01")
    assert shown["by_country"] == [
        {"country": "DE", "category": "utility", "recipients": 2, "free": 0, "price": "0.0456", "cost": "0.0912"},
        {"country": "IL", "category": "utility", "recipients": 2, "free": 0, "price": "0.0053", "cost": "0.0106"},
    ]
    missing = {item["country"]: item["recipients"] for item in shown["missing"]}  # type: ignore[attr-defined]
    assert missing == {
        country: count for country, count in Counter(map(country_of, PHONES)).items() if country not in ("IL", "DE")
    }
    (detail,) = said(report, Code.COST)
    made_of = "DE utility 2 x 0.0456, IL utility 2 x 0.0053; prices of 2026-04-01."
    assert detail == f"It costs about EUR 0.10 if everybody gets it: {made_of}"
    (detail,) = said(report, Code.NO_PRICE)
    assert "CA, FR" in detail
    assert "numbers of no country" in detail


async def test_a_utility_template_is_free_inside_the_window_with_this_number_and_marketing_is_not(
    engine: AsyncEngine,
) -> None:
    tenant = await a_business(engine)
    await bring_in(engine, tenant)
    broadcast_id = await a_draft(engine, tenant)
    async with engine.begin() as connection:
        await write(connection, tenant, PHONES[0], 1, tenant.channel_id)
        await write(connection, tenant, PHONES[0], 2, tenant.channel_id)
        await write(connection, tenant, PHONES[1], 25, tenant.channel_id)
        await write(connection, tenant, PHONES[2], 1, tenant.channel_id + 1)

    async def costs() -> list[tuple[str | None, int, str]]:
        cost = (await looked_at(engine, broadcast_id)).cost
        assert cost is not None
        return [(item.country, item.free_count, str(item.cost.normalize())) for item in cost.by_country]

    assert await costs() == [("DE", 0, "0.0912"), ("IL", 1, "0.0106")]
    assert "1 person is inside the 24-hour window" in said(await looked_at(engine, broadcast_id), Code.COST)[0]
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE templates SET category = 'MARKETING'"))
    assert await costs() == [("IL", 0, "0.1059")]
    # On another day nobody knows whose window is open, and the prices are those of that day.
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE templates SET category = 'UTILITY'"))
        await connection.execute(text("UPDATE whatsapp_broadcasts SET scheduled_at = '2999-01-02'"))
    assert await costs() == [("IL", 0, "27"), ("DE", 0, "0.0912")]


async def test_an_audience_is_counted_as_it_is_now(engine: AsyncEngine) -> None:
    tenant = await a_business(engine)
    await bring_in(engine, tenant)
    broadcast_id = await a_draft(engine, tenant, audience={"tags": ["vip"], "not_tags": [], "where": []})
    contacts = [
        {"business_id": tenant.business_id, "phone": phone, "tags": ["vip"] if n else []}
        for n, phone in enumerate(PHONES)
    ]
    async with engine.begin() as connection:
        await connection.execute(insert(Contact).values(contacts))
        await suppressions.suppress(connection, tenant.business_id, PHONES[4], "said STOP")
        await write(connection, tenant, PHONES[1], 1, tenant.channel_id)
    cost = (await looked_at(engine, broadcast_id)).cost
    assert cost is not None
    assert [(item.country, item.people_count, item.free_count) for item in cost.by_country] == [
        ("DE", 1, 0), ("IL", 2, 1),
    ]  # fmt: skip


async def test_free_text_costs_nothing(engine: AsyncEngine) -> None:
    tenant = await a_business(engine)
    made = await a_broadcast(engine, 3, status="draft", tenant=tenant)
    report = await looked_at(engine, made.id)
    assert said(report, Code.COST) == ["It costs nothing: WhatsApp charges for template messages alone."]


async def test_a_card_that_is_refused_leaves_the_one_there_was(engine: AsyncEngine) -> None:
    tenant = await a_business(engine)
    await bring_in(engine, tenant)
    for body in (b"\x00\x01", CARD + b"XX,utility,1,EUR,2026-01-01\n", b"x" * (rate_cards.MOST_BYTES + 1)):
        with pytest.raises(BadInput):
            await bring_in(engine, tenant, body)
    async with engine.connect() as connection:
        shown = await rate_cards.show(connection, tenant.business_id)
        assert (shown["currency"], len(shown["items"])) == ("EUR", 4)
        await rate_cards.forget(connection, tenant.business_id)
        assert await rate_cards.of_business(connection, tenant.business_id) is None


async def test_a_start_does_not_count_what_it_costs(engine: AsyncEngine) -> None:
    tenant = await a_business(engine)
    await bring_in(engine, tenant)
    broadcast_id = await a_draft(engine, tenant)
    async with engine.connect() as connection:
        report = await preflight.inspect_for_start(connection, broadcast_id, Outside())
    assert report.cost is None
    assert not said(report, Code.COST)
