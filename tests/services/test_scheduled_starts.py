"""A broadcast on a schedule is looked at once more when its time has come."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, insert, text, update
from sqlalchemy.ext.asyncio import AsyncEngine

from server.config import Settings
from server.domain.states import Actor, Move
from server.models import Contact, Template, WhatsAppBroadcast
from server.services import broadcasts, drafts, schedules, steward, suppressions
from server.services.preflight import Lookout, Outside
from tests.providers.servers import always, answer, serving
from tests.support.books import assert_counters_equal_rows, read_books
from tests.support.builders import VAULT, WABA_ID, Tenant, a_broadcast, a_business
from tests.support.hooks import an_endpoint
from tests.support.simulator import Simulator

LATER = steward.Policy(unknown_grace_seconds=900, unknown_max_wait_seconds=21_600, max_attempts=5)
BODY = {"type": "BODY", "text": "Hi {{1}}"}


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    with Simulator.start(rate=0) as started:
        yield started


@pytest.fixture
async def tenant(engine: AsyncEngine) -> Tenant:
    """A business with an approved template."""
    made = await a_business(engine)
    template = {
        "business_id": made.business_id,
        "waba_id": WABA_ID,
        "provider_id": "1",
        "name": "sale",
        "language": "en",
        "status": "APPROVED",
        "category": "UTILITY",
        "components": [BODY],
    }
    async with engine.begin() as connection:
        await connection.execute(insert(Template).values(template))
    return made


async def change(engine: AsyncEngine, statement: str, **values: object) -> None:
    async with engine.begin() as connection:
        await connection.execute(text(statement), values)


async def a_due(engine: AsyncEngine, tenant: Tenant, recipients: int = 3, *, header: Any = None, **columns: Any) -> int:
    """A scheduled broadcast whose time has come."""
    made = await a_broadcast(engine, recipients, status="draft", tenant=tenant, **columns)
    template = {"name": "sale", "language": "en", "variables": {"1": "{{first_name}}"}}
    message = {"template": template if header is None else {**template, "header": header}}
    async with engine.begin() as connection:
        await connection.execute(
            update(WhatsAppBroadcast).where(WhatsAppBroadcast.id == made.id).values(message=message)
        )
        await broadcasts.make(connection, made.id, Move.SCHEDULE, by=Actor.USER)
        due = update(WhatsAppBroadcast).where(WhatsAppBroadcast.id == made.id)
        await connection.execute(due.values(scheduled_at=func.now()))
    return made.id


async def started(engine: AsyncEngine, broadcast_id: int, url: str = "") -> tuple[str, str | None, str]:
    """One round of the steward: the status, the reason and the detail that it leaves."""
    lookout = Lookout(engine, Settings(graph_api_url=url), VAULT) if url else None
    assert (await steward.go_round(engine, LATER, lookout)).started_count == 1
    async with engine.connect() as connection:
        row = (
            await connection.execute(
                text("SELECT status, pause_reason, status_detail FROM whatsapp_broadcasts WHERE id = :id"),
                {"id": broadcast_id},
            )
        ).one()
    return row.status, row.pause_reason, row.status_detail or ""


async def history(engine: AsyncEngine, broadcast_id: int) -> list[tuple[str, str, str]]:
    """Who did what, and the status after it."""
    statement = text("SELECT actor, move, to_status FROM broadcast_events WHERE broadcast_id = :id ORDER BY id")
    async with engine.connect() as connection:
        return [
            (row.actor, row.move, row.to_status) for row in await connection.execute(statement, {"id": broadcast_id})
        ]


async def test_one_in_order_starts(engine: AsyncEngine, tenant: Tenant, simulator: Simulator) -> None:
    broadcast_id = await a_due(engine, tenant)
    assert await started(engine, broadcast_id, simulator.url) == ("queued", None, "")
    assert await history(engine, broadcast_id) == [("user", "schedule", "scheduled"), ("steward", "queue", "queued")]


@pytest.mark.parametrize(
    ("since", "said"),
    [
        ("UPDATE templates SET status = 'PAUSED'", "WhatsApp has paused the template"),
        ("UPDATE templates SET status = 'REJECTED'", "is rejected, and only approved ones can be sent"),
        ("DELETE FROM templates", 'There is no template "sale".'),
        ('UPDATE templates SET components = \'[{"type": "BODY", "text": "{{1}} {{2}}"}]\'', "{{2}}"),
    ],
)
async def test_a_template_that_changed_since_pauses_it_until_it_is_mended(
    engine: AsyncEngine, tenant: Tenant, simulator: Simulator, database_url: str, since: str, said: str
) -> None:
    broadcast_id = await a_due(engine, tenant)
    await change(engine, since)
    status, reason, detail = await started(engine, broadcast_id, simulator.url)
    assert (status, reason) == ("paused", "template")
    assert said in detail
    assert (await history(engine, broadcast_id))[-2:] == [("steward", "queue", "queued"), ("steward", "hold", "paused")]
    assert (await steward.go_round(engine, LATER)).broadcast_ids == []
    async with engine.begin() as connection:
        await broadcasts.make_or_refuse(connection, broadcast_id, Move.RESUME, by=Actor.USER)
    assert (await steward.go_round(engine, LATER)).broadcast_ids == [broadcast_id]
    assert assert_counters_equal_rows(database_url, broadcast_id).statuses == {"queued": 3}


async def test_an_audience_is_taken_at_its_time_though_the_template_has_been_paused(
    engine: AsyncEngine, tenant: Tenant, simulator: Simulator, database_url: str
) -> None:
    everybody: dict[str, list[str]] = {"tags": [], "not_tags": [], "where": []}
    broadcast_id = await a_due(engine, tenant, 0, audience=everybody)
    people = [
        {"business_id": tenant.business_id, "phone": f"+97250000000{n}", "attributes": {"first_name": "Dana"}}
        for n in range(4)
    ]
    async with engine.begin() as connection:
        await connection.execute(insert(Contact).values(people))
        await suppressions.suppress(connection, tenant.business_id, "+972500000000", "said STOP")
    await change(engine, "UPDATE templates SET status = 'PAUSED'")
    assert (await started(engine, broadcast_id, simulator.url))[:2] == ("paused", "template")
    books = assert_counters_equal_rows(database_url, broadcast_id)
    assert books.statuses == {"queued": 3, "skipped": 1}


async def test_an_audience_of_nobody_fails_for_that(engine: AsyncEngine, tenant: Tenant, simulator: Simulator) -> None:
    broadcast_id = await a_due(engine, tenant, 0, audience={"tags": ["vip"], "not_tags": [], "where": []})
    status, _, detail = await started(engine, broadcast_id, simulator.url)
    assert status == "failed"
    assert detail.startswith("Nobody is in this audience")


async def test_a_media_link_that_died_pauses_it(engine: AsyncEngine, tenant: Tenant, simulator: Simulator) -> None:
    await change(
        engine, "UPDATE templates SET components = CAST(:c AS jsonb)",
        c='[{"type": "HEADER", "format": "IMAGE"}, {"type": "BODY", "text": "Hi {{1}}"}]',
    )  # fmt: skip
    async with serving(always(answer(404, b""))) as server:
        broadcast_id = await a_due(engine, tenant, header={"image": {"link": f"{server.url}/spring.png"}})
        status, reason, detail = await started(engine, broadcast_id, simulator.url)
    assert (status, reason) == ("paused", "template")
    assert detail == "The image is not where its link says (HTTP 404)."


async def test_a_number_that_may_not_send_pauses_it(engine: AsyncEngine, tenant: Tenant, simulator: Simulator) -> None:
    broadcast_id = await a_due(engine, tenant)
    simulator.world(status="BANNED")
    status, reason, detail = await started(engine, broadcast_id, simulator.url)
    assert (status, reason) == ("paused", "credentials")
    assert "WhatsApp lets nothing out from this number at present." in detail


@pytest.mark.parametrize(
    ("since", "said"),
    [
        ("UPDATE templates SET status = 'DISABLED'", "switched the template"),
        ("UPDATE whatsapp_broadcast_recipients SET variables = '{}'", 'Nobody has a value for "first_name"'),
    ],
)
async def test_what_can_never_be_sent_fails_and_everybody_with_it(
    engine: AsyncEngine, tenant: Tenant, simulator: Simulator, database_url: str, since: str, said: str
) -> None:
    broadcast_id = await a_due(engine, tenant)
    await change(engine, since)
    status, _, detail = await started(engine, broadcast_id, simulator.url)
    assert status == "failed"
    assert said in detail
    assert assert_counters_equal_rows(database_url, broadcast_id).statuses == {"failed": 3}


async def test_one_whose_people_have_all_opted_out_ends_as_a_run_ends_it(
    engine: AsyncEngine, tenant: Tenant, simulator: Simulator
) -> None:
    broadcast_id = await a_due(engine, tenant, 1)
    async with engine.begin() as connection:
        await suppressions.suppress(connection, tenant.business_id, "+972500000001", "said STOP")
    assert (await started(engine, broadcast_id, simulator.url))[0] == "queued"


async def test_a_provider_that_is_away_stops_nothing_and_the_history_says_so(
    engine: AsyncEngine, tenant: Tenant, simulator: Simulator
) -> None:
    broadcast_id = await a_due(engine, tenant)
    simulator.stop()
    assert (await started(engine, broadcast_id, simulator.url))[0] == "queued"
    assert (await history(engine, broadcast_id))[-1] == ("steward", "look_before_start", "queued")
    statement = text("SELECT detail FROM broadcast_events WHERE move = 'look_before_start'")
    async with engine.connect() as connection:
        assert "The number could not be checked." in str(await connection.scalar(statement))


async def test_warnings_of_a_start_by_hand_are_kept_too(engine: AsyncEngine, tenant: Tenant) -> None:
    made = await a_broadcast(engine, 2, status="draft", tenant=tenant, rejected_count=1)
    async with engine.begin() as connection:
        await drafts.start(connection, made.id, by=Actor.USER, starts_per_minute=10, outside=Outside())
    assert await history(engine, made.id) == [("user", "look_before_start", "draft"), ("user", "queue", "queued")]


async def test_one_that_nobody_can_make_sense_of_holds_up_no_other(
    engine: AsyncEngine, tenant: Tenant, simulator: Simulator
) -> None:
    """As a row of an older system may be: every business waits for the same round."""
    odd = await a_due(engine, tenant)
    await change(engine, "UPDATE whatsapp_broadcasts SET message = '[]' WHERE id = :id", id=odd)
    other = await a_due(engine, await a_business(engine, "Other"))
    lookout = Lookout(engine, Settings(graph_api_url=simulator.url), VAULT)
    for _ in range(2):
        done = await steward.go_round(engine, LATER, lookout)
    assert done.broadcast_ids == [other] or await status_of(engine, other) == "paused"
    assert await status_of(engine, odd) == "scheduled"


async def test_as_many_as_a_round_starts_that_cannot_be_started_hold_up_no_later_one(
    engine: AsyncEngine, tenant: Tenant, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steward, "MOST_STARTS", 2)
    odd = [await a_due(engine, tenant) for _ in range(2)]
    await change(
        engine, "UPDATE whatsapp_broadcasts SET message = '[]', scheduled_at = scheduled_at - interval '1 hour'"
    )
    good = await a_due(engine, await a_business(engine, "Other"))
    for _ in range(2):
        await steward.go_round(engine, LATER)
    assert [await status_of(engine, one) for one in odd] == ["scheduled"] * 2
    assert await status_of(engine, good) != "scheduled"
    row = read_books(database_url, odd[0]).row
    assert row["resume_at"] is not None
    assert "tried again in a few minutes" in str(row["status_detail"])
    # A person who names another time need not wait for that.
    async with engine.begin() as connection:
        at = datetime.now(UTC) + timedelta(hours=1)
        await schedules.change(connection, odd[0], {"scheduled_at": at}, by=Actor.USER)
    row = read_books(database_url, odd[0]).row
    assert (row["resume_at"], row["status_detail"]) == (None, None)
    await change(engine, "UPDATE whatsapp_broadcasts SET resume_at = now() WHERE id = :id", id=odd[1])
    message = '{"text": {"body": "Hi"}}'
    await change(
        engine, "UPDATE whatsapp_broadcasts SET message = CAST(:said AS jsonb) WHERE id = :id", id=odd[1], said=message
    )
    assert (await steward.go_round(engine, LATER)).started_count == 1
    row = read_books(database_url, odd[1]).row
    assert (row["status"], row["resume_at"], row["status_detail"]) == ("queued", None, None)


async def status_of(engine: AsyncEngine, broadcast_id: int) -> str:
    async with engine.connect() as connection:
        found = await connection.scalar(
            text("SELECT status FROM whatsapp_broadcasts WHERE id = :id"), {"id": broadcast_id}
        )
    return str(found)


async def test_whoever_is_told_of_its_failure_is_told_of_everybody(
    engine: AsyncEngine, tenant: Tenant, simulator: Simulator
) -> None:
    await an_endpoint(engine, tenant.business_id, "https://hooks.example.com/")
    broadcast_id = await a_due(engine, tenant)
    await change(engine, "UPDATE templates SET status = 'DISABLED'")
    assert (await started(engine, broadcast_id, simulator.url))[0] == "failed"
    async with engine.connect() as connection:
        told = await connection.scalar(text("SELECT data FROM webhook_deliveries WHERE event = 'broadcast.failed'"))
    assert told["broadcast"]["failed_count"] == 3


async def test_of_many_that_are_due_at_once_some_start_each_round_the_earliest_first(
    engine: AsyncEngine, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is asked about at WhatsApp, which may not answer; a round without a bound would never come to an end."""
    monkeypatch.setattr(steward, "MOST_STARTS", 2)
    late, *early = [await a_due(engine, tenant) for _ in range(3)]
    await change(
        engine, "UPDATE whatsapp_broadcasts SET scheduled_at = now() - interval '1 hour' WHERE id <> :id", id=late
    )
    assert (await steward.go_round(engine, LATER)).started_count == 2
    assert [await status_of(engine, one) for one in (late, *early)] == ["scheduled", "queued", "queued"]
    assert (await steward.go_round(engine, LATER)).started_count == 1
