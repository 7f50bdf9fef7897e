"""Quiet hours that change while a broadcast goes on, and what else is at work then."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from server.database import plain_connection
from server.domain.states import Actor, Move, PauseReason
from server.models import WhatsAppBroadcast
from server.services import broadcasts, canaries, put_offs, steward, templates, unknowns
from server.services.broadcasts import Why
from server.services.ledger import Ledger, Pace, RunKey, Standing
from server.services.run_control import RunControl
from server.services.run_hours import RunHours
from server.services.run_ledger import RunLedger
from server.services.runs import LIMIT_REACHED
from tests.services.test_put_offs import night_at, phones_waiting
from tests.support.books import assert_counters_equal_rows, read_books
from tests.support.builders import WABA_ID, Made, a_run, run_out_of_lease
from tests.support.marketing import HOME, a_marketing_broadcast, a_marketing_business, be_quiet, hours_around
from tests.support.sending import ACCEPTED, result_of

BOUNDS = {"failed_percent": 5, "opted_out_percent": 2, "wait_minutes": 15}
POLICY = steward.Policy(unknown_grace_seconds=900, unknown_max_wait_seconds=21_600, max_attempts=5)
TOMORROW = timedelta(hours=12)


@pytest.fixture
async def broadcast(engine: AsyncEngine) -> Made:
    """One to twenty people at home, and twenty in Japan."""
    return await a_marketing_broadcast(engine, recipients=40, half_is_far=True)


@pytest.fixture
async def run(engine: AsyncEngine, broadcast: Made) -> RunKey:
    return await a_run(engine, broadcast)


@pytest.fixture
async def ledger(database_url: str, run: RunKey) -> AsyncIterator[RunLedger]:
    """Of a run whose lease lasts."""
    control = RunControl(run)
    control.lease_renewed(control._clock(), 60)
    async with RunLedger(database_url, run, control) as made:
        yield made


def standing(hours: dict[str, Any] | None) -> Standing:
    """What a look at the row tells of the hours."""
    return Standing("running", cancel_requested=False, run_epoch=1, quiet_hours=hours)


async def a_hold(engine: AsyncEngine, broadcast: Made, resume_at: datetime) -> None:
    """A run stops because it is quiet for everybody who is left."""
    why = Why(PauseReason.QUIET_HOURS, "It is quiet.", resume_at)
    async with engine.begin() as connection:
        assert await broadcasts.make(connection, broadcast.id, Move.HOLD, by=Actor.ENGINE, why=why)


def is_due(database_url: str, broadcast: Made) -> bool:
    """Whether it goes on by itself now."""
    instant = read_books(database_url, broadcast.id).row["resume_at"]
    return isinstance(instant, datetime) and instant <= datetime.now(UTC)


async def test_a_run_that_put_off_by_hours_that_were_others_already_lets_those_people_go(
    engine: AsyncEngine, broadcast: Made, ledger: RunLedger
) -> None:
    hours = RunHours(is_marketing=True)
    hours.follow(standing(hours_around(HOME)))
    await put_offs.release(engine, broadcast.business_id)  # a person has switched them off, which the run did not hear
    assert await hours.arrange(ledger) is None
    assert len(await phones_waiting(engine, broadcast)) == 20

    hours.follow(standing(None))
    assert await hours.arrange(ledger) is None
    assert await phones_waiting(engine, broadcast) == []


async def test_a_stop_by_hours_that_are_others_by_then_does_not_last_until_their_end(
    engine: AsyncEngine, database_url: str, broadcast: Made, run: RunKey, ledger: RunLedger
) -> None:
    async with engine.begin() as connection:
        await connection.execute(text("DELETE FROM whatsapp_broadcast_recipients WHERE phone LIKE '+81%'"))
    await be_quiet(engine, broadcast.business_id, hours_around(HOME))
    async with await plain_connection(database_url) as connection:
        said = await Ledger(connection, run).look()
    assert said is not None
    hours = RunHours(is_marketing=True)
    hours.follow(said)
    stop = await hours.arrange(ledger)
    assert stop is not None
    assert stop.hours is not None
    later = datetime.now(UTC) + TOMORROW

    await a_hold(engine, broadcast, later)
    async with engine.begin() as connection:
        await put_offs.look_again(connection, broadcast.id, *stop.hours)
    assert not is_due(database_url, broadcast)  # they are the same

    async with engine.begin() as connection:
        await connection.execute(text("UPDATE businesses SET quiet_hours = NULL"))
        await put_offs.look_again(connection, broadcast.id, *stop.hours)
    assert is_due(database_url, broadcast)


async def test_one_that_waits_for_somebody_else_goes_on_for_those_who_are_let_go(
    engine: AsyncEngine, database_url: str, broadcast: Made, run: RunKey
) -> None:
    async with await plain_connection(database_url) as connection:
        await put_offs.put_off(Ledger(connection, run), night_at(HOME), 0)
    why = Why(None, "Waiting for recipients who were put off.", datetime.now(UTC) + TOMORROW)
    async with engine.begin() as connection:
        assert await broadcasts.make(connection, broadcast.id, Move.YIELD, by=Actor.ENGINE, why=why)
    await put_offs.release(engine, broadcast.business_id)
    assert is_due(database_url, broadcast)


async def test_where_whoever_changes_the_hours_dies_the_next_run_lets_everybody_go(
    engine: AsyncEngine, database_url: str, broadcast: Made, run: RunKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    await be_quiet(engine, broadcast.business_id, hours_around(HOME))
    async with await plain_connection(database_url) as connection:
        await put_offs.put_off(Ledger(connection, run), night_at(HOME), 0)
    await a_hold(engine, broadcast, datetime.now(UTC) + TOMORROW)

    async def die(*_: object) -> None:
        raise ConnectionAbortedError

    monkeypatch.setattr(put_offs, "release", die)
    with pytest.raises(ConnectionAbortedError):
        await be_quiet(engine, broadcast.business_id, None)
    assert is_due(database_url, broadcast)
    assert len(await phones_waiting(engine, broadcast)) == 20

    await steward.go_round(engine, POLICY)
    await _run_looks(engine, database_url, broadcast, None)
    assert await phones_waiting(engine, broadcast) == []
    assert read_books(database_url, broadcast.id).row["waits"] == {}


async def test_of_many_who_wait_the_run_times_anew_whom_the_change_leaves(
    engine: AsyncEngine, database_url: str, broadcast: Made, run: RunKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(put_offs, "TIMED_AT_ONCE", 7)
    monkeypatch.setattr(put_offs, "ROWS_AT_ONCE", 4)
    async with await plain_connection(database_url) as connection:
        after_id: int | None = 0
        while after_id is not None:
            after_id = await put_offs.put_off(Ledger(connection, run), night_at(HOME), after_id)
    await put_offs.release(engine, broadcast.business_id)
    assert len(await phones_waiting(engine, broadcast)) == 13
    await a_hold(engine, broadcast, datetime.now(UTC))
    await steward.go_round(engine, POLICY)
    await _run_looks(engine, database_url, broadcast, None)
    assert await phones_waiting(engine, broadcast) == []


async def _run_looks(engine: AsyncEngine, database_url: str, broadcast: Made, hours_now: dict[str, Any] | None) -> None:
    """A new run begins, and looks at everybody who waits."""
    async with engine.begin() as connection:
        await run_out_of_lease(connection, broadcast.id)
    key = await a_run(engine, broadcast)
    control = RunControl(key)
    control.lease_renewed(control._clock(), 60)
    hours = RunHours(is_marketing=True)
    hours.follow(standing(hours_now))
    async with RunLedger(database_url, key, control) as ledger:
        assert await hours.arrange(ledger) is None
        while hours.is_looking:
            await hours.arrange(ledger)


async def test_who_comes_back_into_the_queue_does_not_wait_for_the_morning_of_others(
    engine: AsyncEngine, database_url: str, broadcast: Made, run: RunKey
) -> None:
    async with await plain_connection(database_url) as connection:
        used = Ledger(connection, run)
        await put_offs.put_off(used, night_at(HOME), 0)
        claimed = await used.claim(20) or []
        lost, *others = claimed
        await used.record([result_of(one, ACCEPTED) for one in others], Pace(1.0, "nothing"), 0)
        await used.record([result_of(lost, "unknown")], Pace(1.0, "nothing"), 0)
    await a_hold(engine, broadcast, datetime.now(UTC) + TOMORROW)
    async with engine.begin() as connection:
        await unknowns.lock(connection, broadcast.id)
        await unknowns.resend(connection, broadcast.id, [lost.id], "a person", by=Actor.USER, why="a person")
    assert is_due(database_url, broadcast)
    assert_counters_equal_rows(database_url, broadcast.id)


async def test_whom_a_canary_reaches_after_their_hours_is_part_of_it(engine: AsyncEngine, database_url: str) -> None:
    """They were put off before they were claimed, behind the cursor."""
    broadcast = await a_marketing_broadcast(engine, recipients=400, half_is_far=True, canary=BOUNDS, is_marketing=True)
    run = await a_run(engine, broadcast)
    async with await plain_connection(database_url) as connection:
        ledger = Ledger(connection, run)
        first = await ledger.claim(10) or []
        await put_offs.put_off(ledger, night_at(HOME), 0)
        async with engine.begin() as morning:
            due = "UPDATE whatsapp_broadcast_recipients SET next_attempt_at = now() WHERE next_attempt_at IS NOT NULL"
            await morning.execute(text(due))
        rest = await ledger.claim(30) or []
        assert all(one.waited for one in rest)
        await ledger.record([result_of(one, ACCEPTED) for one in (*first, *rest)], Pace(1.0, "nothing"), 0)

    async with AsyncSession(engine) as session:
        row = await session.scalar(select(WhatsAppBroadcast).where(WhatsAppBroadcast.id == broadcast.id))
        assert row is not None
        allowance = await canaries.allowance(await session.connection(), row, None, LIMIT_REACHED)
    assert allowance.people_left == 10

    # And how they took it is seen.
    async with engine.begin() as connection:
        failed = "UPDATE whatsapp_broadcast_recipients SET status = 'failed' WHERE id = ANY(:ids)"
        await connection.execute(text(failed), {"ids": [one.id for one in rest]})
        watched = (
            "UPDATE whatsapp_broadcasts"
            " SET status = 'paused', pause_reason = 'canary', resume_at = now() + interval '13 minutes'"
        )
        await connection.execute(text(watched))
    await steward.go_round(engine, POLICY)
    assert "30 of the first 40 people failed" in str(read_books(database_url, broadcast.id).row["status_detail"])


@pytest.mark.parametrize(("category", "is_marketing"), [("MARKETING", True), ("UTILITY", False)])
async def test_a_run_knows_whether_its_message_is_marketing(
    engine: AsyncEngine, category: str, is_marketing: bool
) -> None:
    """Quiet hours and the frequency cap hold for a run by this alone."""
    tenant = await a_marketing_business(engine, category=category)
    broadcast = await a_marketing_broadcast(engine, 1, tenant=tenant)
    async with engine.begin() as connection:
        message = await connection.scalar(
            text("SELECT message FROM whatsapp_broadcasts WHERE id = :id"), {"id": broadcast.id}
        )
        plan = await templates.plan_message(connection, tenant.business_id, WABA_ID, message)
    assert plan.is_marketing is is_marketing
