"""Who has had enough marketing lately, on real rows."""

from typing import Any

import pytest
from sqlalchemy import insert, text
from sqlalchemy.ext.asyncio import AsyncEngine

from server.domain.frequency_cap import FrequencyCap
from server.domain.preflight import Code, Level
from server.models import Contact
from server.services import businesses, preflight, run_cap
from server.services.preflight import Outside
from server.tenancy import BusinessEngine
from tests.services.conftest import LedgerOf
from tests.support.books import assert_counters_equal_rows
from tests.support.builders import Tenant, a_run
from tests.support.marketing import a_marketing_broadcast, a_marketing_business

CAP = FrequencyCap(messages=2, days=7)


async def had(
    engine: AsyncEngine,
    tenant: Tenant,
    people: int,
    *,
    status: str = "sent",
    days_ago: float = 1,
    is_marketing: bool = True,
) -> None:
    """A broadcast that the first so many people got, or nearly."""
    made = await a_marketing_broadcast(engine, people, tenant=tenant, status="completed", is_marketing=is_marketing)
    at = "clock_timestamp() - :days * interval '1 day'"
    sent_at = at if status in ("sent", "delivered", "read") else "NULL"
    async with engine.begin() as connection:
        rows = f"UPDATE whatsapp_broadcast_recipients SET status = :status, claimed_at = {at}, sent_at = {sent_at}"  # noqa: S608 - our own text
        values = {"id": made.id, "status": status, "days": days_ago}
        await connection.execute(text(f"{rows} WHERE broadcast_id = :id"), values)
        row = (
            f"UPDATE whatsapp_broadcasts SET started_at = {at}, completed_at = {at} + interval '1 hour' WHERE id = :id"  # noqa: S608 - our own text
        )
        await connection.execute(text(row), {"id": made.id, "days": days_ago})


async def over_count(engine: AsyncEngine, tenant: Tenant, ledger_of: LedgerOf, *, recipients: int = 10) -> int:
    """How many of a new broadcast a run would skip."""
    broadcast = await a_marketing_broadcast(engine, recipients, tenant=tenant)
    ledger = await ledger_of(await a_run(engine, broadcast))
    return len(await run_cap.over(ledger, CAP))


async def test_who_has_had_as_many_as_the_cap_allows_is_skipped_with_the_reason(
    engine: AsyncEngine, ledger_of: LedgerOf, database_url: str
) -> None:
    tenant = await a_marketing_business(engine)
    await had(engine, tenant, 6)
    await had(engine, tenant, 4, status="read")
    broadcast = await a_marketing_broadcast(engine, 10, tenant=tenant)
    ledger = await ledger_of(await a_run(engine, broadcast))

    ids = await run_cap.over(ledger, CAP)
    assert await run_cap.skip(ledger, CAP, ids) == 4
    assert await run_cap.skip(ledger, CAP, ids) == 0  # once

    books = assert_counters_equal_rows(database_url, broadcast.id)
    assert books.statuses == {"skipped": 4, "queued": 6}
    async with engine.connect() as connection:
        said = "SELECT DISTINCT error_message FROM whatsapp_broadcast_recipients WHERE status = 'skipped'"
        assert list(await connection.scalars(text(said))) == ["has had 2 marketing messages in 7 days"]
    assert [one.phone for one in await ledger.claim(1) or []] == ["+972500000005"]


@pytest.mark.parametrize(
    ("second", "expected"),
    [
        ({"status": "delivered"}, 10),
        ({"status": "unknown"}, 10),  # they may have got it
        ({"status": "failed"}, 0),
        ({"status": "skipped"}, 0),
        ({"days_ago": 8}, 0),
        ({"is_marketing": False}, 0),
    ],
    ids=str,
)
async def test_what_counts_is_marketing_that_was_or_may_have_been_accepted_within_the_days(
    engine: AsyncEngine, ledger_of: LedgerOf, second: dict[str, Any], expected: int
) -> None:
    tenant = await a_marketing_business(engine)
    await had(engine, tenant, 10)
    await had(engine, tenant, 10, **second)
    assert await over_count(engine, tenant, ledger_of) == expected


async def test_a_broadcast_does_not_count_itself(engine: AsyncEngine, ledger_of: LedgerOf) -> None:
    tenant = await a_marketing_business(engine)
    await had(engine, tenant, 10)
    broadcast = await a_marketing_broadcast(engine, 10, tenant=tenant, is_marketing=True)
    ledger = await ledger_of(await a_run(engine, broadcast))
    async with engine.begin() as connection:
        sent = "UPDATE whatsapp_broadcast_recipients SET status = 'sent', sent_at = now() WHERE broadcast_id = :id"
        await connection.execute(text(sent), {"id": broadcast.id})
        again = "UPDATE whatsapp_broadcast_recipients SET status = 'queued' WHERE broadcast_id = :id AND id % 2 = 0"
        await connection.execute(text(again), {"id": broadcast.id})
    assert await run_cap.over(ledger, CAP) == []


async def test_the_pre_flight_counts_them_of_a_list_and_of_an_audience(engine: AsyncEngine) -> None:
    tenant = await a_marketing_business(engine)
    await had(engine, tenant, 6)
    await had(engine, tenant, 4)
    await businesses.change(engine, tenant.business_id, {"frequency_cap": CAP.as_json()})
    a_list = await a_marketing_broadcast(engine, 10, tenant=tenant, status="draft")
    audience = await a_marketing_broadcast(engine, 0, tenant=tenant, status="draft", audience={"tags": ["vip"]})
    people = [
        {
            "business_id": tenant.business_id,
            "phone": f"+97250{n:07d}",
            "tags": ["vip"],
            "attributes": {"first_name": "Dana", "order_id": "A"},
        }
        for n in range(3, 9)
    ]
    async with engine.begin() as connection:
        await connection.execute(insert(Contact), people)
    # As a web request sees it, behind row-level security.
    async with BusinessEngine(engine, tenant.business_id).connect() as connection:
        for broadcast, count in ((a_list, 4), (audience, 2)):
            report = await preflight.inspect(connection, broadcast.id, Outside())
            (found,) = [finding for finding in report.findings if finding.code is Code.FREQUENCY_CAP]
            assert found.level is Level.INFO
            assert found.detail.startswith(f"{count} people have had 2 marketing messages in 7 days already")
