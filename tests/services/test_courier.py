"""What is due is delivered, signed and under one id, to servers that take it, fail, hang or are gone."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from server.domain.errors import NotNow
from server.domain.webhook_events import EventKind
from server.domain.webhook_retries import FAILING_REASON, GONE_REASON
from server.providers.webhook_posts import Postman
from server.services import deliveries, outbox, webhook_endpoints
from server.services.courier import AT_ONCE_FOR_ONE, CUT_OFF, Courier
from tests.support.builders import VAULT, Tenant, a_business
from tests.support.hooks import Hooks, an_endpoint, receiving

KIND = EventKind.MESSAGE_REPLIED
TIMEOUT_SECONDS = 20.0


@pytest.fixture
def hooks() -> Iterator[Hooks]:
    with receiving() as made:
        yield made


@pytest.fixture
async def tenant(engine: AsyncEngine) -> Tenant:
    return await a_business(engine)


async def happen(engine: AsyncEngine, tenant: Tenant, count: int = 1) -> None:
    """So many events."""
    async with engine.begin() as connection:
        for n in range(count):
            await outbox.tell(connection, tenant.business_id, KIND, {"n": n})


@asynccontextmanager
async def a_courier(engine: AsyncEngine, seconds: float = TIMEOUT_SECONDS) -> AsyncIterator[Courier]:
    async with Postman(timeout_seconds=seconds, allow_private=True) as postman:
        yield Courier(engine, VAULT, postman, timeout_seconds=seconds)


async def deliver(engine: AsyncEngine, seconds: float = TIMEOUT_SECONDS) -> Courier:
    """One run."""
    async with a_courier(engine, seconds) as courier:
        await courier.deliver()
        return courier


async def rows(engine: AsyncEngine) -> list[Any]:
    async with engine.connect() as connection:
        found = await connection.execute(text("SELECT * FROM webhook_deliveries ORDER BY id"))
        return list(found.all())


async def row_of(engine: AsyncEngine) -> Any:
    (row,) = await rows(engine)
    return row


async def change(engine: AsyncEngine, table: str, column: str, value: str) -> None:
    """Write something into every row of a table, as if it had become so. value: SQL."""
    async with engine.begin() as connection:
        await connection.execute(text(f"UPDATE {table} SET {column} = {value}"))  # noqa: S608 - our own words


async def make_due(engine: AsyncEngine) -> None:
    """Let the wait for another attempt be over."""
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE webhook_deliveries SET next_attempt_at = now() WHERE status = 'pending'"))
        await connection.execute(text("UPDATE webhook_endpoints SET rest_until = now() WHERE rest_until IS NOT NULL"))


async def endpoint(engine: AsyncEngine, tenant: Tenant) -> dict[str, Any]:
    async with engine.connect() as connection:
        (shown,) = await webhook_endpoints.page(connection, tenant.business_id, after_id=0, limit=10)
        return shown


async def test_events_are_delivered_once_each_with_what_they_say(
    engine: AsyncEngine, tenant: Tenant, hooks: Hooks
) -> None:
    made = await an_endpoint(engine, tenant.business_id, hooks.url())
    await happen(engine, tenant, 200)
    courier = await deliver(engine)
    assert (courier.done.delivered_count, courier.done.failed_count) == (200, 0)
    assert sorted(told.body["data"]["n"] for told in hooks.told) == list(range(200))
    assert all(told.is_signed_with(made.secret) for told in hooks.told)
    found = await rows(engine)
    assert {told.id for told in hooks.told} == {row.message_id for row in found}
    assert {row.status for row in found} == {"delivered"}
    told = hooks.told[0]
    assert list(told.body) == ["type", "timestamp", "data"]
    assert (told.body["type"], told.body["timestamp"][-1]) == (KIND, "Z")
    (entry,) = found[0].attempts
    assert (entry["number"], entry["status_code"], entry["error"]) == (1, 204, None)


async def test_what_fails_is_tried_again_later_under_the_same_id_and_with_the_same_words(
    engine: AsyncEngine, tenant: Tenant, hooks: Hooks
) -> None:
    await an_endpoint(engine, tenant.business_id, hooks.url())
    await happen(engine, tenant)
    hooks.answers["/"] = [500, 302]
    for attempts in (1, 2):
        await deliver(engine)
        row = await row_of(engine)
        assert (row.status, row.attempt_count, len(hooks.told)) == ("pending", attempts, attempts)
        assert (await endpoint(engine, tenant))["failing_since"] is not None
        await make_due(engine)
    await deliver(engine)
    row = await row_of(engine)
    assert (row.status, row.next_attempt_at) == ("delivered", None)
    assert [(entry["number"], entry["status_code"], entry["answer"]) for entry in row.attempts] == [
        (1, 500, "answered 500"),
        (2, 302, "answered 302"),
        (3, 204, ""),
    ]
    assert len({(told.id, told.raw) for told in hooks.told}) == 1
    assert (await endpoint(engine, tenant))["failing_since"] is None


async def test_after_24_hours_of_failures_an_event_is_given_up_and_its_endpoint_disabled(
    engine: AsyncEngine, tenant: Tenant, hooks: Hooks
) -> None:
    await an_endpoint(engine, tenant.business_id, hooks.url())
    await happen(engine, tenant, 2)
    hooks.always["/"] = 503
    await deliver(engine)
    assert (await endpoint(engine, tenant))["enabled"]
    await change(engine, "webhook_endpoints", "failing_since", "failing_since - interval '24 hours'")
    first_alone = "trying_since - CASE id WHEN 1 THEN interval '24 hours' ELSE interval '0' END"
    await change(engine, "webhook_deliveries", "trying_since", first_alone)
    await make_due(engine)
    courier = await deliver(engine)
    assert courier.done.disabled_count == 1
    shown = await endpoint(engine, tenant)
    assert (shown["enabled"], shown["disabled_reason"]) == (False, FAILING_REASON)
    first, second = await rows(engine)
    assert (first.status, second.status) == ("failed", "pending")
    # Nothing more is written for it or sent to it, until a person enables it; then what waits goes out.
    told_count = len(hooks.told)
    await happen(engine, tenant)
    await make_due(engine)
    await deliver(engine)
    assert (len(await rows(engine)), len(hooks.told)) == (2, told_count)
    async with engine.begin() as connection:
        with pytest.raises(NotNow):
            await deliveries.redeliver(connection, tenant.business_id, 1, 1)
        await webhook_endpoints.change(connection, tenant.business_id, 1, {"enabled": True}, allow_private=True)
        await deliveries.redeliver(connection, tenant.business_id, 1, 1)
    hooks.always["/"] = 200
    await deliver(engine)
    assert [row.status for row in await rows(engine)] == ["delivered", "delivered"]
    assert (await endpoint(engine, tenant))["failing_since"] is None


async def test_410_disables_at_once(engine: AsyncEngine, tenant: Tenant, hooks: Hooks) -> None:
    await an_endpoint(engine, tenant.business_id, hooks.url())
    await happen(engine, tenant)
    hooks.always["/"] = 410
    await deliver(engine)
    shown = await endpoint(engine, tenant)
    assert (shown["enabled"], shown["disabled_reason"]) == (False, GONE_REASON)
    assert (await row_of(engine)).status == "failed"


async def test_a_ping_is_sent_once_and_whatever_it_meets_it_disables_nothing(
    engine: AsyncEngine, tenant: Tenant, hooks: Hooks
) -> None:
    made = await an_endpoint(engine, tenant.business_id, hooks.url(), EventKind.CONTACT_OPTED_IN)
    hooks.answers["/"] = [410]
    for status in ("failed", "delivered"):
        async with engine.begin() as connection:
            await deliveries.ping(connection, tenant.business_id, made.id)
        await deliver(engine)
        assert (await rows(engine))[-1].status == status
    assert [told.body["type"] for told in hooks.told] == ["ping", "ping"]
    assert (await endpoint(engine, tenant))["enabled"]


async def test_for_24_hours_the_old_secret_signs_too(engine: AsyncEngine, tenant: Tenant, hooks: Hooks) -> None:
    old = await an_endpoint(engine, tenant.business_id, hooks.url())
    async with engine.begin() as connection:
        new = await webhook_endpoints.rotate_secret(connection, VAULT, tenant.business_id, old.id)
    assert new.secret != old.secret
    await happen(engine, tenant)
    await deliver(engine)
    await change(engine, "webhook_endpoints", "old_secret_until", "now()")
    await happen(engine, tenant)
    await deliver(engine)
    both, one = hooks.told
    assert (both.is_signed_with(old.secret), both.is_signed_with(new.secret)) == (True, True)
    assert (one.is_signed_with(old.secret), one.is_signed_with(new.secret)) == (False, True)


async def test_two_couriers_at_once_deliver_nothing_twice(engine: AsyncEngine, tenant: Tenant, hooks: Hooks) -> None:
    await an_endpoint(engine, tenant.business_id, hooks.url())
    await happen(engine, tenant, 300)
    await asyncio.gather(*(deliver(engine) for _ in range(3)))
    assert max(Counter(told.id for told in hooks.told).values()) == 1
    assert len(hooks.told) == 300


async def test_what_somebody_took_and_never_brought_comes_back_and_their_late_word_counts_for_nothing(
    engine: AsyncEngine, tenant: Tenant, hooks: Hooks
) -> None:
    made = await an_endpoint(engine, tenant.business_id, hooks.url())
    await happen(engine, tenant)
    async with engine.begin() as connection:
        (taken,) = await deliveries.take(connection, made.id, 10, 60)
    await deliver(engine)
    assert hooks.told == []  # the lease holds
    await change(engine, "webhook_deliveries", "leased_until", "now()")
    hooks.answers["/"] = [500]
    await deliver(engine)
    async with engine.begin() as connection:
        await deliveries.record(connection, [deliveries.Result(taken.id, taken.number, "delivered")])
    row = await row_of(engine)
    assert (row.status, row.attempt_count) == ("pending", 2)
    assert [entry["number"] for entry in row.attempts] == [2]
    assert hooks.told[0].id == taken.message_id


async def test_a_server_that_hangs_holds_up_no_other(engine: AsyncEngine, tenant: Tenant, hooks: Hooks) -> None:
    await an_endpoint(engine, tenant.business_id, hooks.url("/hangs"))
    await an_endpoint(engine, tenant.business_id, hooks.url("/takes"))
    hooks.held.add("/hangs")
    await happen(engine, tenant, 100)
    async with a_courier(engine) as courier:
        run = asyncio.create_task(courier.deliver())
        await asyncio.to_thread(hooks.until, lambda: len(hooks.of("/takes")) == 100 and hooks.of("/hangs"))
        assert hooks.most_at_once["/hangs"] <= AT_ONCE_FOR_ONE
        # What happens while it hangs is delivered to the others as well.
        await happen(engine, tenant, 5)
        await asyncio.to_thread(hooks.until, lambda: len(hooks.of("/takes")) == 105)
        courier.stop()
        await run


async def test_a_server_that_fails_is_asked_one_thing_and_left_alone_until_it_takes_it(
    engine: AsyncEngine, tenant: Tenant, hooks: Hooks
) -> None:
    await an_endpoint(engine, tenant.business_id, hooks.url())
    await change(engine, "webhook_endpoints", "failing_since", "now()")
    hooks.always["/"] = 500
    await happen(engine, tenant, 20)
    for attempts in (1, 2, 2):
        await deliver(engine)
        assert len(hooks.told) == attempts
        if attempts == 1:
            await make_due(engine)
    # Who asks for something by hand need not wait, and it goes before what is due.
    async with engine.begin() as connection:
        await deliveries.redeliver(connection, tenant.business_id, 1, 20)
    await deliver(engine)
    assert [told.body["data"]["n"] for told in hooks.told][2:] == [19]
    hooks.always["/"] = 200
    await make_due(engine)
    await deliver(engine)
    assert {row.status for row in await rows(engine)} == {"delivered"}


async def test_a_stop_cuts_off_what_hangs_and_gives_the_rest_back(
    engine: AsyncEngine, tenant: Tenant, hooks: Hooks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.services.courier.LAST_WORDS_SECONDS", 0.1)
    await an_endpoint(engine, tenant.business_id, hooks.url())
    hooks.held.add("/")
    await happen(engine, tenant, 50)
    async with a_courier(engine) as courier:
        run = asyncio.create_task(courier.deliver())
        await asyncio.to_thread(hooks.until, lambda: len(hooks.told) == AT_ONCE_FOR_ONE)
        courier.stop()
        await run
    found = await rows(engine)
    assert {row.status for row in found} == {"pending"}
    assert all(row.leased_until is None for row in found)
    assert Counter(row.attempt_count for row in found) == {1: AT_ONCE_FOR_ONE, 0: 50 - AT_ONCE_FOR_ONE}
    assert {entry["error"] for row in found for entry in row.attempts} == {CUT_OFF}
    assert (await endpoint(engine, tenant))["failing_since"] is None
    hooks.release()
    await deliver(engine)
    assert {row.status for row in await rows(engine)} == {"delivered"}
    assert len({told.id for told in hooks.told}) == 50


async def test_a_secret_that_cannot_be_read_stops_nobody_else(
    engine: AsyncEngine, tenant: Tenant, hooks: Hooks
) -> None:
    broken = await an_endpoint(engine, tenant.business_id, hooks.url("/broken"))
    await an_endpoint(engine, tenant.business_id, hooks.url("/well"))
    await change(
        engine, "webhook_endpoints", "secret_encrypted", f"CASE id WHEN {broken.id} THEN 'x' ELSE secret_encrypted END"
    )
    await happen(engine, tenant, 3)
    await deliver(engine)
    assert (len(hooks.of("/broken")), len(hooks.of("/well"))) == (0, 3)


async def test_what_is_old_is_forgotten(engine: AsyncEngine, tenant: Tenant) -> None:
    made = await an_endpoint(engine, tenant.business_id, "https://hooks.example.com/")
    await happen(engine, tenant, 3)
    old = "now() - interval '8 days'"
    await change(engine, "webhook_deliveries", "created_at", f"CASE WHEN id < 3 THEN {old} ELSE created_at END")
    async with engine.begin() as connection:
        await deliveries.forget(connection)
    assert len(await rows(engine)) == 1
    async with engine.begin() as connection:
        await webhook_endpoints.remove(connection, tenant.business_id, made.id)
    await change(engine, "webhook_endpoints", "removed_at", old)
    await change(engine, "webhook_deliveries", "created_at", old)
    async with engine.begin() as connection:
        await deliveries.forget(connection)
        assert await connection.scalar(text("SELECT count(*) FROM webhook_endpoints")) == 0


async def test_taking_costs_what_is_due_and_not_what_waits(engine: AsyncEngine, tenant: Tenant) -> None:
    made = await an_endpoint(engine, tenant.business_id, "https://hooks.example.com/")
    many = """/* tests.many */
        INSERT INTO webhook_deliveries (business_id, endpoint_id, event, data, next_attempt_at)
        SELECT business_id, id, 'x', '{}', now() + interval '1 hour' FROM webhook_endpoints, generate_series(1, 20000)
    """
    async with engine.begin() as connection:
        await connection.execute(text(many))
        await connection.execute(text("ANALYZE webhook_deliveries"))
    await happen(engine, tenant)
    values = {"endpoint_id": made.id, "most": 64, "seconds": 60}
    async with engine.begin() as connection:
        explain = text(f"EXPLAIN (ANALYZE, TIMING off, COSTS off) {deliveries._TAKE.text}")
        plan = "\n".join((await connection.execute(explain, values)).scalars())
    assert "Seq Scan on webhook_deliveries" not in plan, plan
    assert "Rows Removed by Filter" not in plan, plan
