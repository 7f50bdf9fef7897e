"""People who are left alone for now, on real rows."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from server.domain.preflight import Code, Level
from server.domain.quiet_hours import EVERYBODY_AWAKE, Hours, Timetable, parse, timetable
from server.domain.states import RecipientStatus
from server.services import preflight, put_offs
from server.services.ledger import Pace, Result
from server.services.preflight import Outside
from tests.services.conftest import LedgerOf
from tests.support.books import assert_counters_equal_rows, read_books
from tests.support.builders import Made, a_run
from tests.support.marketing import FAR, HOME, a_marketing_broadcast, be_quiet, hours_around


def night_at(place: ZoneInfo) -> Timetable:
    """The timetable of this minute, where it is night in one place alone."""
    hours = Hours(parse(hours_around(place)), "UTC")
    return timetable(lambda zones: hours.until(zones, datetime.now(UTC)))


async def phones_waiting(engine: AsyncEngine, broadcast: Made) -> list[str]:
    """Who is put off by quiet hours until later."""
    async with engine.connect() as connection:
        statement = text(
            "SELECT phone FROM whatsapp_broadcast_recipients WHERE broadcast_id = :id AND status = 'queued'"
            " AND error_message = 'quiet hours' AND next_attempt_at > now() ORDER BY id"
        )
        return list(await connection.scalars(statement, {"id": broadcast.id}))


async def test_a_list_says_whether_anybody_may_be_sent_to_now(engine: AsyncEngine, ledger_of: LedgerOf) -> None:
    broadcast = await a_marketing_broadcast(engine, recipients=10, half_is_far=True)
    ledger = await ledger_of(await a_run(engine, broadcast))
    assert await put_offs.census(ledger, EVERYBODY_AWAKE) == (True, None)
    partly = await put_offs.census(ledger, night_at(HOME))
    assert partly.is_anybody_awake
    assert partly.first_until is not None
    assert 3_600 < partly.first_until - datetime.now(UTC).timestamp() <= 7_200

    async with engine.begin() as connection:
        await connection.execute(text("DELETE FROM whatsapp_broadcast_recipients WHERE phone LIKE '+81%'"))
    assert not (await put_offs.census(ledger, night_at(HOME))).is_anybody_awake
    assert await put_offs.census(ledger, night_at(FAR)) == (True, None)


async def test_who_is_left_alone_is_put_off_and_everybody_else_is_claimed(
    engine: AsyncEngine, ledger_of: LedgerOf, database_url: str
) -> None:
    broadcast = await a_marketing_broadcast(engine, recipients=20, half_is_far=True)
    ledger = await ledger_of(await a_run(engine, broadcast))
    assert await put_offs.put_off(ledger, night_at(HOME), 0) is None
    left_alone = await phones_waiting(engine, broadcast)
    claimed = await ledger.claim(100) or []

    assert len(left_alone) == 10
    assert all(phone.startswith("+972") for phone in left_alone)
    assert all(one.phone.startswith("+81") for one in claimed)
    assert len(claimed) == 10
    waits_until = assert_counters_equal_rows(database_url, broadcast.id).row["waits_until"]
    assert isinstance(waits_until, datetime)
    assert waits_until > datetime.now(UTC) + timedelta(hours=1)
    waiting = await ledger.next_attempt()
    assert waiting is not None
    assert waiting.is_quiet


async def test_a_long_list_is_looked_through_in_steps_that_leave_nobody_out(
    engine: AsyncEngine, ledger_of: LedgerOf
) -> None:
    broadcast = await a_marketing_broadcast(engine, recipients=2 * put_offs.ROWS_AT_ONCE + 100, half_is_far=True)
    ledger = await ledger_of(await a_run(engine, broadcast))
    table, steps = night_at(HOME), 0
    after_id: int | None = 0
    while after_id is not None:
        after_id = await put_offs.put_off(ledger, table, after_id)
        steps += 1
    assert steps == 3
    assert len(await phones_waiting(engine, broadcast)) == put_offs.ROWS_AT_ONCE + 50


async def test_a_row_of_an_older_system_with_an_odd_phone_stops_nothing(
    engine: AsyncEngine, ledger_of: LedgerOf
) -> None:
    broadcast = await a_marketing_broadcast(engine, recipients=3)
    async with engine.begin() as connection:
        odd = "UPDATE whatsapp_broadcast_recipients SET phone = '050-123 x' WHERE id % 3 = 0"
        await connection.execute(text(odd))
    ledger = await ledger_of(await a_run(engine, broadcast))
    assert await put_offs.put_off(ledger, night_at(HOME), 0) is None
    assert len(await phones_waiting(engine, broadcast)) == 2


async def test_other_hours_let_everybody_go_who_waited_for_the_old_ones(
    engine: AsyncEngine, ledger_of: LedgerOf, database_url: str
) -> None:
    broadcast = await a_marketing_broadcast(engine, recipients=put_offs.ROWS_AT_ONCE + 10)
    await be_quiet(engine, broadcast.business_id, hours_around(HOME))
    ledger = await ledger_of(await a_run(engine, broadcast))
    await put_offs.put_off(ledger, night_at(HOME), 0)
    async with engine.begin() as connection:
        paused = (
            "UPDATE whatsapp_broadcasts"
            " SET status = 'paused', pause_reason = 'quiet_hours', resume_at = now() + interval '2 hours'"
        )
        await connection.execute(text(paused))

    await be_quiet(engine, broadcast.business_id, None)

    assert await phones_waiting(engine, broadcast) == []
    row = read_books(database_url, broadcast.id).row
    for name in ("resume_at", "waits_until"):
        instant = row[name]
        assert isinstance(instant, datetime)
        assert instant <= datetime.now(UTC)


async def test_what_a_dead_run_had_claimed_of_those_who_waited_is_found_among_all_who_wait(
    engine: AsyncEngine, ledger_of: LedgerOf, database_url: str
) -> None:
    broadcast = await a_marketing_broadcast(engine, recipients=20)
    run = await a_run(engine, broadcast, seconds=0)
    ledger = await ledger_of(run)
    await put_offs.put_off(ledger, night_at(HOME), 0)
    async with engine.begin() as connection:
        due = "UPDATE whatsapp_broadcast_recipients SET next_attempt_at = now() WHERE id % 4 = 0"
        await connection.execute(text(due))
    claimed = await ledger.claim(100) or []
    assert [one.waited for one in claimed] == [True] * 5
    (first, *_) = claimed
    sent = Result(first.id, first.claim_number, RecipientStatus.SENT, "wamid.1")
    await ledger.record([sent], Pace(1.0, "nothing"), 0)

    await a_run(engine, broadcast)  # another run takes over

    assert assert_counters_equal_rows(database_url, broadcast.id).statuses == {"sent": 1, "unknown": 4, "queued": 15}


async def test_the_pre_flight_says_for_how_many_it_is_quiet_and_until_when(engine: AsyncEngine) -> None:
    broadcast = await a_marketing_broadcast(engine, recipients=10, half_is_far=True, status="draft")
    await be_quiet(engine, broadcast.business_id, hours_around(HOME))
    async with engine.connect() as connection:
        report = await preflight.inspect(connection, broadcast.id, Outside())
    (found,) = [finding for finding in report.findings if finding.code is Code.QUIET_HOURS]
    assert found.level is Level.INFO
    assert "for 5 people when it starts. They are sent to at 20" in found.detail

    later = datetime.now(UTC) + timedelta(hours=4)
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE whatsapp_broadcasts SET scheduled_at = :at"), {"at": later})
        report = await preflight.inspect(connection, broadcast.id, Outside())
    assert Code.QUIET_HOURS not in [finding.code for finding in report.findings]
