"""What happened is in the outbox when it is committed, once for each endpoint that wants it, and nothing else is."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from server.database import plain_connection
from server.domain.states import Actor, Move, PauseReason, RecipientStatus
from server.domain.webhook_events import EventKind
from server.domain.wishes import Wish
from server.services import broadcasts, consents, leases, ledger, retries, suppressions, unknowns, webhook_endpoints
from server.services.broadcasts import Why
from server.services.consents import WishTold
from server.services.ledger import Ledger, Pace, Result
from tests.support.builders import Made, Tenant, a_broadcast, a_business, a_run, run_out_of_lease
from tests.support.hooks import an_endpoint
from tests.support.sending import ACCEPTED, UNKNOWN, go_through
from tests.support.webhooks import NOON, a_failure, a_status, a_text
from tests.support.world import World, a_world

PACE = Pace(80.0, "your_rate")
URL = "https://hooks.example.com/"
FAILED = RecipientStatus.FAILED


@pytest.fixture
async def tenant(engine: AsyncEngine) -> Tenant:
    """A business with an endpoint that wants everything, and one that wants nothing that happens here."""
    tenant = await a_business(engine)
    await an_endpoint(engine, tenant.business_id, URL)
    disabled = await an_endpoint(engine, tenant.business_id, URL)
    async with engine.begin() as connection:
        change = {"enabled": False}
        await webhook_endpoints.change(connection, tenant.business_id, disabled.id, change, allow_private=False)
    other = await a_business(engine, "Other")
    await an_endpoint(engine, other.business_id, URL)
    return tenant


async def outbox(engine: AsyncEngine) -> list[tuple[str, dict[str, Any]]]:
    """What is to be told, in the order in which it happened."""
    async with engine.connect() as connection:
        rows = await connection.execute(text("SELECT event, data, business_id FROM webhook_deliveries ORDER BY id"))
        return [(row.event, row.data) for row in rows]


async def failed(engine: AsyncEngine) -> list[tuple[int, int, str, str | None]]:
    """Who was told of as failed: broadcast, recipient, phone, reason."""
    told = [data for event, data in await outbox(engine) if event == EventKind.RECIPIENT_FAILED]
    return [(data["broadcast_id"], data["recipient_id"], data["phone"], data["error_message"]) for data in told]


async def move(engine: AsyncEngine, broadcast: Made, move: Move, *, by: Actor = Actor.USER, **more: Any) -> bool:
    async with engine.begin() as connection:
        return await broadcasts.make(connection, broadcast.id, move, by=by, **more)


async def test_a_broadcast_tells_of_its_life(engine: AsyncEngine, tenant: Tenant) -> None:
    broadcast = await a_broadcast(engine, recipients=0, tenant=tenant)
    run = await a_run(engine, broadcast)
    await move(engine, broadcast, Move.PAUSE, why=Why(PauseReason.USER, "lunch"))
    await move(engine, broadcast, Move.RESUME)
    async with engine.begin() as connection:
        await run_out_of_lease(connection, broadcast.id)
        run_again = await leases.take(connection, broadcast.id, 10)
    assert run_again is not None
    await move(engine, broadcast, Move.SETTLE, by=Actor.ENGINE, epoch=run_again.epoch)
    assert not await move(engine, broadcast, Move.COMPLETE, by=Actor.ENGINE, epoch=run.epoch)  # no longer its run
    await move(engine, broadcast, Move.COMPLETE, by=Actor.STEWARD)

    told = await outbox(engine)
    assert [event.removeprefix("broadcast.") for event, _ in told] == [
        *("started", "paused", "resumed", "settling", "completed")
    ]
    changes = [(data["from_status"], data["broadcast"]["status"], data["actor"]) for _, data in told]
    assert changes == [
        ("queued", "running", "engine"),
        ("running", "paused", "user"),
        ("paused", "queued", "user"),
        ("running", "settling", "engine"),
        ("settling", "completed", "steward"),
    ]
    paused = told[1][1]["broadcast"]
    assert (paused["id"], paused["pause_reason"], paused["status_detail"]) == (broadcast.id, "user", "lunch")
    assert "rejected" not in paused


async def test_what_is_rolled_back_is_not_told(engine: AsyncEngine, tenant: Tenant) -> None:
    broadcast = await a_broadcast(engine, recipients=1, tenant=tenant)
    async with engine.connect() as connection:
        await leases.take(connection, broadcast.id, 10)
        await suppressions.suppress(connection, tenant.business_id, "+972500000001", "said STOP")
        assert await connection.scalar(text("SELECT count(*) FROM webhook_deliveries")) == 2
    assert await outbox(engine) == []


async def test_a_cancel_is_told_when_it_is_done_and_not_when_it_is_asked_for(
    engine: AsyncEngine, tenant: Tenant
) -> None:
    broadcast = await a_broadcast(engine, recipients=5, tenant=tenant)
    async with engine.begin() as connection:
        await broadcasts.request_cancel(connection, broadcast.id, by=Actor.USER)
    assert await outbox(engine) == []
    async with engine.begin() as connection:
        assert await broadcasts.finish_cancel(connection, broadcast.id)
    ((event, data),) = await outbox(engine)
    assert (event, data["broadcast"]["cancelled_count"]) == ("broadcast.cancelled", 5)


async def test_a_record_tells_of_those_who_failed_once_however_often_it_comes(
    engine: AsyncEngine, tenant: Tenant, database_url: str
) -> None:
    broadcast = await a_broadcast(engine, recipients=4, tenant=tenant)
    run = await a_run(engine, broadcast)
    results = [
        Result(1, 1, FAILED, error_code=131026, error_message="not on WhatsApp"),
        Result(2, 1, RecipientStatus.SENT, message_id="wamid.2"),
        Result(3, 1, RecipientStatus.QUEUED, error_code=130429, error_message="too fast", delay_seconds=30),
        Result(4, 1, FAILED, message_id="wamid.4", error_message='it said "no"'),
    ]
    connection = await plain_connection(database_url)
    one = Ledger(connection, run)
    await one.claim(4)
    for _ in range(2):
        await one.record(results, PACE, 0)
    await connection.close()
    assert await failed(engine) == [
        (broadcast.id, 1, "+972500000001", "not on WhatsApp"),
        (broadcast.id, 4, "+972500000004", 'it said "no"'),
    ]
    told = [data for _, data in await outbox(engine)][-2:]
    assert [(data["error_code"], data["message_id"]) for data in told] == [(131026, None), (None, "wamid.4")]


async def test_whoever_whatsapp_says_has_stopped_is_told_of(
    engine: AsyncEngine, tenant: Tenant, database_url: str
) -> None:
    broadcast = await a_broadcast(engine, recipients=1, tenant=tenant)
    run = await a_run(engine, broadcast)
    connection = await plain_connection(database_url)
    one = Ledger(connection, run)
    (claimed,) = await one.claim(1) or []
    stopped = Result(claimed.id, 1, FAILED, error_code=131050, suppressed_phone=claimed.phone)
    await one.record([stopped], PACE, 0)
    await connection.close()
    told = dict((await outbox(engine))[1:])
    assert told["contact.opted_out"] == {
        "phone": "+972500000001",
        "reason": "stopped marketing messages in WhatsApp",
        "contact_id": None,
    }
    assert told["recipient.failed"]["error_code"] == 131050


async def test_a_broadcast_that_fails_tells_of_everybody_who_is_left_and_of_the_end_with_its_counts(
    engine: AsyncEngine, tenant: Tenant
) -> None:
    broadcast = await a_broadcast(engine, recipients=3, tenant=tenant)
    run = await a_run(engine, broadcast)
    why = Why(PauseReason.TEMPLATE, "The template was disabled.")
    await move(engine, broadcast, Move.FAIL, by=Actor.ENGINE, why=why, epoch=run.epoch)
    assert [reason for *_, reason in await failed(engine)] == ["The template was disabled."] * 3
    event, data = (await outbox(engine))[-1]
    assert (event, data["broadcast"]["failed_count"]) == ("broadcast.failed", 3)


async def test_unknown_ones_are_told_of_when_they_count_as_failed(
    engine: AsyncEngine, tenant: Tenant, database_url: str
) -> None:
    broadcast = await a_broadcast(engine, recipients=3, tenant=tenant)
    await go_through(database_url, await a_run(engine, broadcast), (UNKNOWN, UNKNOWN, ACCEPTED))
    async with engine.begin() as connection:
        await unknowns.fail(connection, broadcast.id, [1, 3], "nobody knows")  # the third is not unknown
    assert await failed(engine) == [(broadcast.id, 1, "+972500000001", "nobody knows")]


async def test_unknown_ones_whom_a_retry_sends_to_are_told_of(
    engine: AsyncEngine, tenant: Tenant, database_url: str
) -> None:
    broadcast = await a_broadcast(engine, recipients=2, tenant=tenant)
    run = await a_run(engine, broadcast)
    await go_through(database_url, run, (UNKNOWN, ACCEPTED))
    await move(engine, broadcast, Move.SETTLE, by=Actor.ENGINE, epoch=run.epoch)
    async with engine.begin() as connection:
        retry_id = await retries.create(connection, broadcast.id, ["unknown"])
    ((broadcast_id, recipient_id, _, reason),) = await failed(engine)
    assert (broadcast_id, recipient_id) == (broadcast.id, 1)
    assert reason is not None
    assert f"Broadcast {retry_id} sends it again" in reason


async def a_world_with_an_endpoint(engine: AsyncEngine, database_url: str) -> World:
    world = await a_world(engine, database_url, people=3)
    await an_endpoint(engine, world.tenant.business_id, URL)
    return world


async def test_a_failure_that_whatsapp_reports_is_told_once(engine: AsyncEngine, database_url: str) -> None:
    world = await a_world_with_an_endpoint(engine, database_url)
    for _ in range(2):
        await world.statuses(
            a_failure("wamid.0", 131026, callback=world.callback(0)),
            a_status("wamid.1", "delivered", callback=world.callback(1)),
        )
    ((broadcast_id, recipient_id, phone, reason),) = await failed(engine)
    assert (broadcast_id, recipient_id, phone) == (world.broadcast.id, world.ids[0], "+972500000001")
    assert reason is not None
    assert "as Meta puts it" in reason


async def test_an_answer_to_a_broadcast_is_told_once_with_whom_it_is_from(
    engine: AsyncEngine, database_url: str
) -> None:
    world = await a_world_with_an_endpoint(engine, database_url)
    for _ in range(2):
        await world.wrote(a_text("How much is it?", timestamp=str(NOON + 86_400 * 30)))  # long after the broadcast
    assert await outbox(engine) == []
    answer = a_text("How much is it?", message_id="wamid.in2", context={"id": "wamid.0"})
    await world.statuses(a_status("wamid.0", "delivered", callback=world.callback(0)))
    for _ in range(2):
        await world.wrote(answer)
    ((event, data),) = await outbox(engine)
    assert event == "message.replied"
    assert (data["recipient_id"], data["body"], data["at"]) == (
        world.ids[0],
        "How much is it?",
        "2026-11-25T12:00:00Z",
    )


async def wish(connection: AsyncConnection, tenant: Tenant, said: Wish, second: int) -> None:
    at = datetime(2026, 11, 25, tzinfo=UTC) + timedelta(seconds=second)
    await consents.tell(connection, WishTold(tenant.business_id, "+972500000001", said, "by phone", at))


async def test_a_wish_is_told_where_it_changes_something(engine: AsyncEngine, tenant: Tenant) -> None:
    async with engine.begin() as connection:
        for second, said in enumerate((Wish.START, Wish.STOP, Wish.STOP, Wish.START)):
            await wish(connection, tenant, said, second)
    told = [(event, data["phone"], data["reason"]) for event, data in await outbox(engine)]
    assert told == [
        ("contact.opted_out", "+972500000001", "by phone"),
        ("contact.opted_in", "+972500000001", "by phone"),
    ]


async def test_each_endpoint_is_told_of_what_it_wants(engine: AsyncEngine) -> None:
    tenant = await a_business(engine)
    first = await an_endpoint(engine, tenant.business_id, URL, EventKind.CONTACT_OPTED_OUT)
    second = await an_endpoint(engine, tenant.business_id, URL, EventKind.CONTACT_OPTED_OUT, EventKind.CONTACT_OPTED_IN)
    removed = await an_endpoint(engine, tenant.business_id, URL)
    async with engine.begin() as connection:
        await webhook_endpoints.remove(connection, tenant.business_id, removed.id)
        await suppressions.suppress_all(connection, tenant.business_id, ["+972500000001", "+972500000002"], "a list")
        await suppressions.allow(connection, tenant.business_id, "+972500000001", "asked")
        rows = await connection.execute(text("SELECT endpoint_id, event, message_id FROM webhook_deliveries"))
        told = [tuple(row) for row in rows]
    assert sorted(row[:2] for row in told) == sorted(
        [(first.id, "contact.opted_out")] * 2
        + [(second.id, "contact.opted_out")] * 2
        + [(second.id, "contact.opted_in")]
    )
    assert len({message_id for *_, message_id in told}) == 5


async def test_two_transactions_at_once_tell_of_the_same_person_once(engine: AsyncEngine, tenant: Tenant) -> None:
    async def stop() -> None:
        async with engine.begin() as connection:
            await suppressions.suppress(connection, tenant.business_id, "+972500000001", "said STOP")

    await asyncio.gather(*(stop() for _ in range(4)))
    assert [event for event, _ in await outbox(engine)] == ["contact.opted_out"]


async def test_where_nobody_wants_to_know_a_record_writes_nothing_of_it(engine: AsyncEngine, database_url: str) -> None:
    broadcast = await a_broadcast(engine, recipients=1)
    run = await a_run(engine, broadcast)
    results = json.dumps([{"id": 1, "claim_number": 1, "status": "failed"}])
    values = {**run._asdict(), "results": results, "rate": 1.0, "limited_by": "x", "settled_through_id": 0}
    async with engine.begin() as connection:
        await ledger.within(connection, ledger.CLAIM, {**run._asdict(), "wanted": 1})
        plan = await ledger.within(connection, f"EXPLAIN (ANALYZE, TIMING off, COSTS off) {ledger.RECORD}", values)
    lines = [row[0] for row in plan]
    told = [line for line in lines if "Insert on webhook_deliveries" in line]
    assert len(told) == 2
    assert all("rows=0" in line for line in told)
    assert await outbox(engine) == []
