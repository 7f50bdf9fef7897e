"""By each person's local time, on real rows: who is put off, when it starts, and what becomes of other hours."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from server.domain.errors import BadInput
from server.domain.local_time import LOCAL, LocalTime, waiting_times
from server.domain.preflight import Code
from server.domain.states import Actor, PauseReason
from server.models import WhatsAppBroadcast
from server.services import businesses, canaries, drafts, local_times, preflight, put_offs, schedules, steward
from server.services.ledger import Claimed, Pace, Standing
from server.services.preflight import Outside
from server.services.run_control import RunControl
from server.services.run_hours import RunHours
from server.services.run_ledger import RunLedger
from server.services.runs import LIMIT_REACHED
from tests.services.conftest import LedgerOf
from tests.support.books import assert_counters_equal_rows, read_books
from tests.support.builders import Made, a_run
from tests.support.marketing import FAR, HOME, a_marketing_broadcast, be_quiet, hours_around

POLICY = steward.Policy(unknown_grace_seconds=900, unknown_max_wait_seconds=21_600, max_attempts=5)
BOUNDS = {"failed_percent": 5, "opted_out_percent": 2, "wait_minutes": 15}


def a_time(place: ZoneInfo, *, hours: float) -> datetime:
    """What a clock in a place shows so many hours from now."""
    return (datetime.now(place) + timedelta(hours=hours)).replace(tzinfo=None, microsecond=0)


async def a_local_broadcast(engine: AsyncEngine, recipients: int, *, hours: float = 2, **columns: Any) -> Made:
    """Half are at home, where that time comes in so many hours, and half in Japan, where it has passed."""
    at = datetime.now(UTC) + timedelta(hours=hours)
    wall = a_time(HOME, hours=hours)
    values = {"by_local_time": True, "local_time": wall, "scheduled_at": at, **columns}
    return await a_marketing_broadcast(engine, recipients, half_is_far=True, **values)


async def waiting(engine: AsyncEngine, broadcast: Made) -> list[tuple[str, str]]:
    """Who waits until later: the first digits of their phones, and why."""
    statement = text(
        "SELECT DISTINCT left(phone, 3), error_message FROM whatsapp_broadcast_recipients"
        " WHERE broadcast_id = :id AND status = 'queued' AND next_attempt_at > now() ORDER BY 1"
    )
    async with engine.connect() as connection:
        return [(row[0], row[1]) for row in await connection.execute(statement, {"id": broadcast.id})]


@pytest.fixture
async def broadcast(engine: AsyncEngine) -> Made:
    return await a_local_broadcast(engine, 40)


@pytest.fixture
async def ledger(engine: AsyncEngine, database_url: str, broadcast: Made) -> AsyncIterator[RunLedger]:
    """Of a run whose lease lasts."""
    run = await a_run(engine, broadcast)
    control = RunControl(run)
    control.lease_renewed(control._clock(), 60)
    async with RunLedger(database_url, run, control) as made:
        yield made


def run_hours(wall: datetime, quiet: dict[str, Any] | None = None, *, is_marketing: bool = True) -> RunHours:
    """The hours of a run that has looked at its row."""
    hours = RunHours(is_marketing=is_marketing, local_time=wall)
    hours.follow(Standing("running", cancel_requested=False, run_epoch=1, quiet_hours=quiet))
    return hours


async def test_whose_time_has_not_come_is_put_off_and_everybody_else_is_claimed(
    engine: AsyncEngine, broadcast: Made, ledger: RunLedger, database_url: str
) -> None:
    hours = run_hours(a_time(HOME, hours=2))
    assert await hours.arrange(ledger) is None
    assert await waiting(engine, broadcast) == [("+97", "local time")]
    claimed = await ledger.once(lambda use: use.claim(100)) or []
    assert len(claimed) == 20
    assert all(one.phone.startswith("+81") for one in claimed)
    next_one = await ledger.once(lambda use: use.next_attempt())
    assert next_one is not None
    assert (next_one.is_early, next_one.is_quiet) == (True, False)
    assert_counters_equal_rows(database_url, broadcast.id)


async def test_where_nobodys_time_has_come_the_run_stops_until_the_first_and_writes_nothing_down(
    engine: AsyncEngine, broadcast: Made, ledger: RunLedger
) -> None:
    stop = await run_hours(a_time(FAR, hours=3)).arrange(ledger)
    assert stop is not None
    assert stop.pause_reason is PauseReason.LOCAL_TIME
    assert stop.resume_seconds is not None
    assert timedelta(hours=2.9) < timedelta(seconds=stop.resume_seconds) <= timedelta(hours=3)
    assert await waiting(engine, broadcast) == []


async def test_right_before_a_message_leaves_the_persons_clock_is_looked_at(broadcast: Made, ledger: RunLedger) -> None:
    at_home = Claimed(1, "+972501234567", {}, 1, 1, waited=True)
    early = run_hours(a_time(HOME, hours=1), is_marketing=False).put_off(at_home)
    assert early is not None
    assert (early.error_message, early.unused) == (LOCAL, 1)
    assert 3_500 < early.delay_seconds <= 3_600
    assert run_hours(a_time(HOME, hours=-0.01)).put_off(at_home) is None
    night = run_hours(a_time(HOME, hours=-0.01), hours_around(HOME)).put_off(at_home)
    assert night is not None
    assert night.error_message == "quiet hours"


async def test_other_quiet_hours_send_to_nobody_before_their_time_and_write_no_attempt(
    engine: AsyncEngine, database_url: str
) -> None:
    broadcast = await a_local_broadcast(engine, 40, hours=1, is_marketing=True)
    run = await a_run(engine, broadcast)
    control = RunControl(run)
    control.lease_renewed(control._clock(), 60)
    quiet = hours_around(HOME)
    await be_quiet(engine, broadcast.business_id, quiet)
    async with RunLedger(database_url, run, control) as ledger:
        await run_hours(a_time(HOME, hours=1), quiet).arrange(ledger)
        assert await waiting(engine, broadcast) == [("+97", "quiet hours")]
        await be_quiet(engine, broadcast.business_id, None)
        assert await waiting(engine, broadcast) == [("+97", "local time")]
        await be_quiet(engine, broadcast.business_id, quiet)
        assert await waiting(engine, broadcast) == [("+97", "quiet hours")]
        # One that had claimed somebody meanwhile puts them off by its own look.
        async with engine.begin() as connection:
            due = "UPDATE whatsapp_broadcast_recipients SET next_attempt_at = now() WHERE phone LIKE '+972%'"
            await connection.execute(text(due))
        claimed = await ledger.once(lambda use: use.claim(20)) or []
        results = [run_hours(a_time(HOME, hours=1)).put_off(one) for one in claimed]
        await ledger.once(lambda use: use.record([one for one in results if one], Pace(1.0, "window"), 0))
    assert await waiting(engine, broadcast) == [("+97", "local time")]
    async with engine.connect() as connection:
        assert await connection.scalar(text("SELECT count(*) FROM send_attempts")) == 0
    assert_counters_equal_rows(database_url, broadcast.id)


async def test_whoever_waits_is_timed_anew_in_steps_that_leave_nobody_out(
    engine: AsyncEngine, ledger_of: LedgerOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(put_offs, "ROWS_AT_ONCE", 7)
    monkeypatch.setattr(put_offs, "IDS_AT_ONCE", 10)
    broadcast = await a_local_broadcast(engine, 80, is_marketing=True)
    ledger = await ledger_of(await a_run(engine, broadcast))
    table = waiting_times(LocalTime(a_time(FAR, hours=20), "UTC"), None, datetime.now(UTC))
    after_id: int | None = 0
    while after_id is not None:
        after_id = await put_offs.put_off(ledger, table, after_id)
    assert [why for _, why in await waiting(engine, broadcast)] == ["local time"] * 2
    # By the time of its row those in Japan wait for nothing.
    await put_offs.release(engine, broadcast.business_id)
    assert await waiting(engine, broadcast) == [("+97", "local time")]
    assert len(await ledger.claim(100) or []) == 40


async def test_it_starts_when_the_first_on_its_list_may_be_sent_to(engine: AsyncEngine, database_url: str) -> None:
    wall = a_time(FAR, hours=1)
    at = datetime.now(UTC) + timedelta(hours=9)
    broadcast = await a_local_broadcast(engine, 10, status="draft", local_time=wall, scheduled_at=at)
    async with engine.begin() as connection:
        await drafts.start(connection, broadcast.id, by=Actor.USER, starts_per_minute=10, outside=Outside())
    row = read_books(database_url, broadcast.id).row
    assert (row["status"], row["scheduled_at"]) == ("scheduled", at)
    starts_at, waits_until = row["starts_at"], row["waits_until"]
    assert isinstance(starts_at, datetime)
    assert isinstance(waits_until, datetime)
    assert timedelta(minutes=59) < starts_at - datetime.now(UTC) <= timedelta(hours=1)
    assert timedelta(hours=5) < waits_until - starts_at < timedelta(hours=8)
    waits = row["waits"]
    assert isinstance(waits, dict)
    assert sorted(waits.values()) == [5, 5]
    await steward.go_round(engine, POLICY)
    assert read_books(database_url, broadcast.id).row["status"] == "scheduled"
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE whatsapp_broadcasts SET starts_at = now()"))
    await steward.go_round(engine, POLICY)
    assert read_books(database_url, broadcast.id).row["status"] == "queued"


async def test_whose_time_has_passed_lets_it_start_at_once_and_the_pre_flight_says_so(
    engine: AsyncEngine, database_url: str
) -> None:
    broadcast = await a_local_broadcast(engine, 10, status="draft")
    async with engine.begin() as connection:
        report = await preflight.inspect(connection, broadcast.id, Outside())
        await drafts.start(connection, broadcast.id, by=Actor.USER, starts_per_minute=10, outside=Outside())
    details = {finding.code: finding.detail for finding in report.findings}
    assert details[Code.LOCAL_TIME_PASSED].startswith("For 5 people it has been ")
    assert "by their own clock: at 20" in details[Code.LOCAL_TIMES]
    assert read_books(database_url, broadcast.id).row["status"] == "queued"
    async with engine.connect() as connection:
        told = await connection.execute(text("SELECT move, detail FROM broadcast_events ORDER BY id"))
        acts = {row.move: row.detail for row in told}
    assert acts["go_by_local_time"].startswith("Everybody gets it at 20")
    assert "For 5 people it has been" in acts["look_before_start"]


async def test_who_lets_it_start_by_schedule_is_not_told_to_be_late(engine: AsyncEngine) -> None:
    broadcast = await a_local_broadcast(engine, 10, status="scheduled", hours=-0.001)
    only_home = "DELETE FROM whatsapp_broadcast_recipients WHERE phone LIKE '+81%'"
    async with engine.begin() as connection:
        await connection.execute(text(only_home))
        report = await preflight.inspect(connection, broadcast.id, Outside())
        assert Code.LOCAL_TIME_PASSED not in [finding.code for finding in report.findings]
        await connection.execute(text("UPDATE whatsapp_broadcasts SET status = 'draft'"))
        report = await preflight.inspect(connection, broadcast.id, Outside())
        assert Code.LOCAL_TIME_PASSED in [finding.code for finding in report.findings]


async def test_quiet_hours_are_foretold_for_the_time_of_each_person(engine: AsyncEngine) -> None:
    broadcast = await a_local_broadcast(engine, 10, status="draft", hours=5)
    await be_quiet(engine, broadcast.business_id, hours_around(HOME))
    async with engine.connect() as connection:
        report = await preflight.inspect(connection, broadcast.id, Outside())
    assert Code.QUIET_HOURS not in [finding.code for finding in report.findings]
    at = datetime.now(HOME) + timedelta(hours=5)
    await be_quiet(engine, broadcast.business_id, {"from": f"{at:%H}:00", "to": f"{at + timedelta(hours=1):%H}:59"})
    async with engine.connect() as connection:
        report = await preflight.inspect(connection, broadcast.id, Outside())
    (found,) = [finding.detail for finding in report.findings if finding.code is Code.QUIET_HOURS]
    assert "for 5 people at that time of theirs" in found


async def test_an_audience_is_taken_when_it_is_that_time_for_the_first_people_on_earth(
    engine: AsyncEngine, database_url: str
) -> None:
    broadcast = await a_local_broadcast(
        engine, 0, status="draft", audience={"tags": ["vip"], "not_tags": [], "where": []}, hours=40
    )
    add = "INSERT INTO contacts (business_id, phone, tags) VALUES (:id, '+972500000001', '{vip}')"
    plain = "UPDATE whatsapp_broadcasts SET message = CAST(:message AS jsonb)"
    async with engine.begin() as connection:
        await connection.execute(text(add), {"id": broadcast.business_id})
        await connection.execute(text(plain), {"message": '{"text": {"body": "Hi"}}'})
        await drafts.start(connection, broadcast.id, by=Actor.USER, starts_per_minute=10, outside=Outside())
    row = read_books(database_url, broadcast.id).row
    wall = row["local_time"]
    assert isinstance(wall, datetime)
    local = LocalTime(wall, "UTC")
    assert (row["status"], row["starts_at"]) == ("scheduled", local.comes_first_at)
    assert (row["waits"], row["waits_until"]) == ({}, None)
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE whatsapp_broadcasts SET starts_at = now()"))
    await steward.go_round(engine, POLICY)
    row = read_books(database_url, broadcast.id).row
    assert (row["status"], row["total_recipients"]) == ("queued", 1)
    assert row["waits_until"] == local.comes_at(("Asia/Jerusalem",))


async def test_another_zone_of_the_business_moves_those_of_whom_no_zone_is_known(
    engine: AsyncEngine, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    broadcast = await a_local_broadcast(engine, 4, status="scheduled", local_time=a_time(ZoneInfo("UTC"), hours=1))
    async with engine.begin() as connection:
        satellites = "UPDATE whatsapp_broadcast_recipients SET phone = '+87077' || right(phone, 7)"
        await connection.execute(text(satellites))
        await local_times.arrange(connection, broadcast.id)
    before = read_books(database_url, broadcast.id).row["starts_at"]

    async def die(*_: object) -> None:
        raise ConnectionAbortedError

    monkeypatch.setattr(put_offs, "release", die)  # also where whoever changes it does not live any longer
    with pytest.raises(ConnectionAbortedError):
        await businesses.change(engine, broadcast.business_id, {"time_zone": "Asia/Kathmandu"})
    after = read_books(database_url, broadcast.id).row["starts_at"]
    assert isinstance(before, datetime)
    assert isinstance(after, datetime)
    assert before - after == timedelta(hours=5, minutes=45)


async def test_one_that_is_taken_off_its_schedule_just_then_keeps_nothing_of_it(
    engine: AsyncEngine, database_url: str
) -> None:
    """It was found to be on its schedule, and is a draft by the time that it is looked at."""
    broadcast = await a_local_broadcast(engine, 4, status="scheduled")
    async with engine.begin() as holding:
        await schedules.change(holding, broadcast.id, {"scheduled_at": None}, by=Actor.USER)
        moving = asyncio.create_task(local_times.rearrange(engine, broadcast.business_id))
        waits = text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
        async with engine.connect() as looking, asyncio.timeout(30):
            while not await looking.scalar(waits):
                await looking.rollback()  # a transaction sees who is connected once
    await moving
    row = read_books(database_url, broadcast.id).row
    assert (row["status"], row["starts_at"], row["waits"]) == ("draft", None, {})


async def test_people_who_wait_for_their_time_are_no_part_of_a_canary_until_they_are_sent_to(
    engine: AsyncEngine, database_url: str
) -> None:
    broadcast = await a_local_broadcast(engine, 400, canary=BOUNDS, hours=2)
    run = await a_run(engine, broadcast)
    control = RunControl(run)
    control.lease_renewed(control._clock(), 60)
    async with RunLedger(database_url, run, control) as ledger:
        hours = run_hours(a_time(HOME, hours=2))
        claimed = await ledger.once(lambda use: use.claim(20)) or []
        put_back = [result for one in claimed if (result := hours.put_off(one))]
        await ledger.once(lambda use: use.record(put_back, Pace(1.0, "window"), 0))
        await hours.arrange(ledger)
    async with AsyncSession(engine) as session:
        row = await session.scalar(select(WhatsAppBroadcast).where(WhatsAppBroadcast.id == broadcast.id))
        assert row is not None
        allowance = await canaries.allowance(await session.connection(), row, None, LIMIT_REACHED)
    assert allowance.people_left == 40


async def test_a_schedule_that_is_older_than_local_time_has_to_be_named_anew(engine: AsyncEngine) -> None:
    at = datetime.now(UTC) + timedelta(hours=3)
    columns: dict[str, Any] = {"by_local_time": False, "local_time": None, "scheduled_at": at, "status": "scheduled"}
    broadcast = await a_local_broadcast(engine, 2, **columns)
    async with engine.begin() as connection:
        with pytest.raises(BadInput):
            await schedules.change(connection, broadcast.id, {"by_local_time": True}, by=Actor.USER)
        named = {"by_local_time": True, "scheduled_at": at.astimezone(HOME)}
        for _ in range(2):  # the second changes nothing
            await schedules.change(connection, broadcast.id, named, by=Actor.USER)
        events = await connection.scalars(text("SELECT detail FROM broadcast_events"))
    (told,) = events.all()
    assert told.endswith(" by each person's clock.")
