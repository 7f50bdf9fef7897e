"""Events from what happened to somebody's server: through the steward, its deliverer, and a SIGKILL in the middle."""

import os
import signal
from collections import Counter
from collections.abc import Iterator

import psutil
import psycopg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from server.domain.webhook_events import EventKind
from server.services import outbox
from tests.support.builders import a_broadcast, a_business
from tests.support.engine import Engine, Part, until
from tests.support.hooks import Hooks, an_endpoint, receiving
from tests.support.simulator import Simulator

ALLOWED = {"CLARION_WEBHOOKS_ALLOW_PRIVATE": "true"}


@pytest.fixture
def hooks(clarion: Engine) -> Iterator[Hooks]:
    """A server of the business, which the operator lets be reached."""
    clarion.environment.update(ALLOWED)
    with receiving() as made:
        yield made


def deliverers(steward: Part) -> list[psutil.Process]:
    """The process that delivers, below a steward, and its job."""
    found = []
    for process in steward.tree()[1:]:
        try:
            if "--webhooks" in process.cmdline():
                found.append(process)
        except psutil.NoSuchProcess:
            continue
    return found


def statuses(clarion: Engine) -> Counter[str]:
    with psycopg.connect(clarion.database_url) as connection:
        return Counter(status for (status,) in connection.execute("SELECT status FROM webhook_deliveries"))


def until_all_delivered(clarion: Engine) -> None:
    until(lambda: set(statuses(clarion)) == {"delivered"}, what="everything is delivered")


async def test_a_broadcast_tells_from_its_start_to_its_end(
    engine: AsyncEngine, clarion: Engine, simulator: Simulator, hooks: Hooks
) -> None:
    tenant = await a_business(engine)
    made = await an_endpoint(engine, tenant.business_id, hooks.url())
    broadcast = await a_broadcast(engine, recipients=30, tenant=tenant)
    missing = ["+972500000003", "+972500000007"]
    simulator.faults(orders=[{"fault": "code", "code": 131026, "phone": phone} for phone in missing])
    clarion.start("worker")
    clarion.start("steward")

    assert clarion.until_ended(broadcast.id)["status"] == "partial"
    hooks.until(lambda: "broadcast.partial" in {told.body["type"] for told in hooks.told})
    until_all_delivered(clarion)
    assert all(told.is_signed_with(made.secret) for told in hooks.told)
    assert Counter(told.body["type"] for told in hooks.told) == {
        "broadcast.started": 1,
        "recipient.failed": 2,
        "broadcast.partial": 1,
    }
    failed = [told.body["data"] for told in hooks.told if told.body["type"] == "recipient.failed"]
    assert sorted(data["phone"] for data in failed) == missing
    assert {data["error_code"] for data in failed} == {131026}
    ended = next(told.body["data"] for told in hooks.told if told.body["type"] == "broadcast.partial")
    assert (ended["broadcast"]["sent_count"], ended["broadcast"]["failed_count"]) == (28, 2)
    until(lambda: "WEBHOOKS DELIVERED" in clarion.logs(), what="the line of the run")


async def test_a_server_that_hangs_holds_up_no_broadcast(engine: AsyncEngine, clarion: Engine, hooks: Hooks) -> None:
    tenant = await a_business(engine)
    for n in range(5):
        await an_endpoint(engine, tenant.business_id, hooks.url(f"/{n}"))
        hooks.held.add(f"/{n}")
    clarion.start("worker")
    clarion.start("steward")
    first = await a_broadcast(engine, recipients=20, tenant=tenant)
    assert clarion.until_ended(first.id)["status"] == "completed"
    hooks.until(lambda: len({told.path for told in hooks.told}) == 5)
    # While all of them hang, the steward starts another and it ends.
    second = await a_broadcast(engine, recipients=20, tenant=tenant)
    assert clarion.until_ended(second.id)["status"] == "completed"
    assert statuses(clarion)["delivered"] == 0
    hooks.release()


async def test_what_a_killed_deliverer_had_comes_back_under_the_same_ids(
    engine: AsyncEngine, clarion: Engine, hooks: Hooks
) -> None:
    tenant = await a_business(engine)
    await an_endpoint(engine, tenant.business_id, hooks.url())
    async with engine.begin() as connection:
        for n in range(100):
            await outbox.tell(connection, tenant.business_id, EventKind.MESSAGE_REPLIED, {"n": n})
    hooks.held.add("/")
    steward = clarion.start("steward")
    hooks.until(lambda: len(hooks.told) >= 10)
    dead = deliverers(steward)
    assert len(dead) == 2  # the worker and its job
    for process in dead:
        os.kill(process.pid, signal.SIGKILL)
    hooks.release()

    assert statuses(clarion) == {"pending": 100}
    # What it had: some of it may still be on its way to whoever listens.
    with psycopg.connect(clarion.database_url) as connection:
        leased = "SELECT message_id FROM webhook_deliveries WHERE leased_until IS NOT NULL"
        had = {message_id for (message_id,) in connection.execute(leased)}
    clarion.execute("UPDATE webhook_deliveries SET leased_until = now() WHERE leased_until IS NOT NULL")
    until_all_delivered(clarion)
    times = Counter(told.id for told in hooks.told)
    assert len(times) == 100
    assert {id_ for id_, count in times.items() if count > 1} <= had
    assert max(times.values()) <= 2
    assert {told.body["data"]["n"] for told in hooks.told} == set(range(100))


async def test_asked_to_end_the_steward_cuts_off_what_hangs_and_gives_it_back(
    engine: AsyncEngine, clarion: Engine, hooks: Hooks
) -> None:
    clarion.environment["CLARION_WEBHOOKS_TIMEOUT_SECONDS"] = "30"
    tenant = await a_business(engine)
    await an_endpoint(engine, tenant.business_id, hooks.url())
    async with engine.begin() as connection:
        await outbox.tell(connection, tenant.business_id, EventKind.MESSAGE_REPLIED, {})
    hooks.held.add("/")
    steward = clarion.start("steward")
    hooks.until(lambda: len(hooks.told) == 1)
    steward.stop()
    with psycopg.connect(clarion.database_url) as connection_:
        row = connection_.execute("SELECT status, leased_until FROM webhook_deliveries").fetchone()
    assert row == ("pending", None)
    hooks.release()
    clarion.start("steward")
    until_all_delivered(clarion)
    assert len({told.id for told in hooks.told}) == 1


async def test_an_address_of_this_machine_is_not_reached_unless_the_operator_lets_it(
    engine: AsyncEngine, clarion: Engine, hooks: Hooks
) -> None:
    del clarion.environment["CLARION_WEBHOOKS_ALLOW_PRIVATE"]
    tenant = await a_business(engine)
    await an_endpoint(engine, tenant.business_id, hooks.url())
    async with engine.begin() as connection:
        await outbox.tell(connection, tenant.business_id, EventKind.MESSAGE_REPLIED, {})
    clarion.start("steward")

    def errors() -> list[str]:
        with psycopg.connect(clarion.database_url) as connection_:
            rows = connection_.execute("SELECT attempts FROM webhook_deliveries").fetchall()
        return [entry["error"] for (attempts,) in rows for entry in attempts]

    until(errors, what="an attempt")
    assert "https://" in errors()[0]
    assert hooks.told == []
