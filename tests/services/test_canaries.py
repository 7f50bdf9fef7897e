"""The canary on real rows: what a run may claim, and what the steward makes of what was seen."""

from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import Row, select, text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from server.database import plain_connection
from server.domain.states import Actor, Move, PauseReason
from server.models import WhatsAppBroadcast
from server.providers.webhooks import AccountNews, Origin
from server.services import account_updates, broadcasts, canaries, steward
from server.services.account_updates import Told
from server.services.broadcasts import Why
from server.services.canaries import Allowance
from server.services.ledger import Ledger
from server.services.messaging_limits import Room
from server.services.runs import LIMIT_REACHED
from tests.support.builders import WABA_ID, Made, a_broadcast, a_run

BOUNDS = {"failed_percent": 5, "opted_out_percent": 2, "wait_minutes": 15}
POLICY = steward.Policy(unknown_grace_seconds=900, unknown_max_wait_seconds=21_600, max_attempts=5)

# The first so many have been claimed, and have their message for two minutes.
SENT = """
    UPDATE whatsapp_broadcast_recipients SET status = 'delivered', claim_number = 1, attempts = 1, delivered_at = now(),
           sent_at = now(), claimed_at = now() - interval '2 minutes', heard_at = now()
     WHERE id IN (SELECT id FROM whatsapp_broadcast_recipients ORDER BY id LIMIT :count);
"""
CURSOR = """
    UPDATE whatsapp_broadcasts SET last_processed_recipient_id = (
        SELECT coalesce(max(id), 0) FROM whatsapp_broadcast_recipients WHERE claim_number > 0),
        sent_count = :count, delivered_count = :count, processed_count = :count
"""
WATCHED = """
    UPDATE whatsapp_broadcasts SET status = 'paused', pause_reason = 'canary', resume_at = now() + interval '13 minutes'
"""
FIRST = "(SELECT id FROM whatsapp_broadcast_recipients ORDER BY id LIMIT :count)"


async def let(engine: AsyncEngine, statement: str, count: int = 0) -> None:
    """One change of the test's own."""
    async with engine.begin() as connection:
        await connection.execute(text(statement), {"count": count} if ":count" in statement else {})


async def a_canary(engine: AsyncEngine, *, sent: int = 50, recipients: int = 400) -> Made:
    """A broadcast whose first people have their message, and whose steward watches them."""
    broadcast = await a_broadcast(engine, recipients=recipients, canary=BOUNDS)
    await let(engine, SENT, sent)
    await let(engine, CURSOR, sent)
    await let(engine, WATCHED)
    return broadcast


async def row_of(engine: AsyncEngine, broadcast: Made) -> Row[Any]:
    async with engine.connect() as connection:
        return (await connection.execute(select(WhatsAppBroadcast).where(WhatsAppBroadcast.id == broadcast.id))).one()


async def allowed(engine: AsyncEngine, broadcast: Made, room: Room | None = None) -> Allowance:
    """What the next run of the broadcast may claim."""
    async with AsyncSession(engine) as session:
        row = await session.scalar(select(WhatsAppBroadcast).where(WhatsAppBroadcast.id == broadcast.id))
        assert row is not None
        return await canaries.allowance(await session.connection(), row, room, LIMIT_REACHED)


async def test_a_run_may_claim_what_is_left_of_the_canary(engine: AsyncEngine) -> None:
    broadcast = await a_broadcast(engine, recipients=400, canary=BOUNDS)
    assert (await allowed(engine, broadcast)).people_left == 50
    await let(engine, SENT, 20)
    await let(engine, CURSOR, 20)
    assert (await allowed(engine, broadcast)).people_left == 30
    assert (await allowed(engine, broadcast)).at_limit.pause_reason is PauseReason.CANARY


async def test_who_is_tried_again_takes_nobodys_place(engine: AsyncEngine) -> None:
    broadcast = await a_canary(engine)
    assert (await allowed(engine, broadcast)).people_left == 0
    put_back = (
        "UPDATE whatsapp_broadcast_recipients SET status = 'queued', next_attempt_at = now() - interval '1 second'"
    )
    await let(engine, f"{put_back} WHERE id IN {FIRST}", 3)
    assert (await allowed(engine, broadcast)).people_left == 3
    later = "UPDATE whatsapp_broadcast_recipients SET next_attempt_at = now() + interval '1 day'"
    await let(engine, f"{later} WHERE id IN {FIRST}", 3)
    assert (await allowed(engine, broadcast)).people_left == 0


async def test_who_is_tried_again_comes_before_whoever_was_never_part_of_it(
    engine: AsyncEngine, database_url: str
) -> None:
    """Else each run would send to one more of those whose hours have just ended, and be held again, for all of them."""
    broadcast = await a_canary(engine)
    await let(
        engine,
        "UPDATE whatsapp_broadcasts SET waits_until = now(), is_marketing = true, sent_count = 49,"
        " delivered_count = 49, processed_count = 49",
    )
    others = (
        "UPDATE whatsapp_broadcast_recipients"
        " SET next_attempt_at = now() - interval '1 hour', error_message = 'quiet hours' WHERE claim_number = 0"
    )
    await let(engine, others)
    put_back = (
        "UPDATE whatsapp_broadcast_recipients SET status = 'queued', next_attempt_at = now() - interval '1 second'"
    )
    await let(engine, f"{put_back} WHERE id IN {FIRST}", 1)
    assert (await steward.go_round(engine, POLICY)).resumed_count == 1
    assert (await allowed(engine, broadcast)).people_left == 1
    run = await a_run(engine, broadcast)
    async with await plain_connection(database_url) as connection:
        (claimed,) = await Ledger(connection, run).claim(1) or []
    assert claimed.claim_number == 2


@pytest.mark.parametrize(("left", "reason"), [(10, PauseReason.MESSAGING_LIMIT), (50, PauseReason.CANARY)])
async def test_the_tighter_of_canary_and_messaging_limit_binds(
    engine: AsyncEngine, left: int, reason: PauseReason
) -> None:
    broadcast = await a_broadcast(engine, recipients=400, canary=BOUNDS)
    allowance = await allowed(engine, broadcast, Room(1_000, left))
    assert (allowance.people_left, allowance.at_limit.pause_reason) == (left, reason)


async def test_without_a_canary_or_once_it_is_judged_nothing_is_held_back(engine: AsyncEngine) -> None:
    broadcast = await a_broadcast(engine, recipients=400, canary=BOUNDS)
    await let(engine, "UPDATE whatsapp_broadcasts SET canary_judged_at = now()")
    assert (await allowed(engine, broadcast)).people_left is None
    await let(engine, "UPDATE whatsapp_broadcasts SET canary_judged_at = NULL, canary = NULL")
    assert (await allowed(engine, broadcast)).people_left is None


async def test_the_steward_lets_a_good_canary_go_on_once(engine: AsyncEngine) -> None:
    broadcast = await a_canary(engine)
    rounds = [await steward.go_round(engine, POLICY) for _ in range(2)]
    assert [done.resumed_count for done in rounds] == [1, 0]
    row = await row_of(engine, broadcast)
    assert (row.status, row.resume_at) == ("queued", None)
    assert row.canary_judged_at is not None


async def test_a_watched_canary_that_is_over_is_judged_and_not_just_resumed(engine: AsyncEngine) -> None:
    broadcast = await a_canary(engine)
    await let(engine, "UPDATE whatsapp_broadcasts SET resume_at = now() - interval '1 minute'")
    await let(
        engine, "UPDATE whatsapp_broadcast_recipients SET heard_at = NULL, status = 'sent' WHERE claim_number > 0"
    )
    assert (await steward.go_round(engine, POLICY)).resumed_count == 0
    row = await row_of(engine, broadcast)
    assert (row.status, row.pause_reason, row.resume_at) == ("paused", "canary", None)
    assert "none of the first 50" in row.status_detail
    # Stopped is stopped: nothing but a person goes on from here.
    assert (await steward.go_round(engine, POLICY)).resumed_count == 0


async def test_opt_outs_since_the_message_stop_it(engine: AsyncEngine) -> None:
    broadcast = await a_canary(engine)
    opt_out = "INSERT INTO suppressions (business_id, phone, reason) SELECT business_id, phone, 'stop'"
    await let(engine, f"{opt_out} FROM whatsapp_broadcast_recipients WHERE id IN {FIRST}", 2)
    await steward.go_round(engine, POLICY)
    row = await row_of(engine, broadcast)
    assert row.status_detail.startswith("2 of the first 50 people opted out: 4.0 %")


async def test_who_is_due_in_the_canary_is_sent_to_before_it_is_judged(engine: AsyncEngine) -> None:
    broadcast = await a_canary(engine)
    put_back = (
        "UPDATE whatsapp_broadcast_recipients SET status = 'queued', next_attempt_at = now() - interval '1 second'"
    )
    await let(engine, f"{put_back} WHERE id IN {FIRST}", 1)
    assert (await steward.go_round(engine, POLICY)).resumed_count == 1
    row = await row_of(engine, broadcast)
    assert (row.status, row.canary_judged_at) == ("queued", None)


@pytest.mark.parametrize("by", [Actor.STEWARD, Actor.ENGINE, Actor.USER])
async def test_only_a_persons_resume_overrules_the_canary(engine: AsyncEngine, by: Actor) -> None:
    broadcast = await a_canary(engine)
    async with engine.begin() as connection:
        assert await broadcasts.make(connection, broadcast.id, Move.RESUME, by=by)
    assert ((await row_of(engine, broadcast)).canary_judged_at is not None) == (by is Actor.USER)


async def test_a_persons_pause_takes_the_canary_over_and_it_is_judged_after_their_resume(engine: AsyncEngine) -> None:
    broadcast = await a_canary(engine)
    async with engine.begin() as connection:
        assert await broadcasts.make(connection, broadcast.id, Move.PAUSE, by=Actor.USER, why=Why(PauseReason.USER))
    assert (await steward.go_round(engine, POLICY)).resumed_count == 0
    async with engine.begin() as connection:
        assert await broadcasts.make(connection, broadcast.id, Move.RESUME, by=Actor.USER)
    assert (await allowed(engine, broadcast)).people_left == 0


async def test_who_is_put_off_until_tomorrow_does_not_hang_the_canary(engine: AsyncEngine) -> None:
    broadcast = await a_canary(engine)
    put_off = "UPDATE whatsapp_broadcast_recipients SET status = 'queued', next_attempt_at = now() + interval '1 day'"
    await let(engine, f"{put_off} WHERE id IN {FIRST}", 20)
    assert (await steward.go_round(engine, POLICY)).resumed_count == 1
    assert (await row_of(engine, broadcast)).canary_judged_at is not None


async def test_what_whatsapp_says_while_a_canary_is_watched_stops_it(engine: AsyncEngine) -> None:
    broadcast = await a_canary(engine)
    news = AccountNews(Origin(WABA_ID, None), "account_update", {"event": "DISABLED_UPDATE"}, "{}", "1")
    async with engine.begin() as connection:
        channel_id = await connection.scalar(text("SELECT id FROM channels"))
        now = datetime.now(UTC)
        await account_updates.carry_out(connection, Told(int(channel_id or 0), broadcast.business_id, now, news))
    assert (await row_of(engine, broadcast)).pause_reason == "quality"
    assert (await steward.go_round(engine, POLICY)).resumed_count == 0
    async with engine.begin() as connection:
        assert await broadcasts.make(connection, broadcast.id, Move.RESUME, by=Actor.USER)
    assert (await allowed(engine, broadcast)).people_left == 0


async def test_how_many_failed_is_judged_by_the_canary_alone(engine: AsyncEngine) -> None:
    broadcast = await a_canary(engine)
    async with engine.begin() as connection:
        await account_updates.hold(connection, [broadcast.id], Why(PauseReason.FAILURES, "too many failed"))
    assert (await row_of(engine, broadcast)).pause_reason == "canary"


async def test_a_canary_that_was_stopped_stays_so_whatever_whatsapp_says(engine: AsyncEngine) -> None:
    broadcast = await a_canary(engine)
    await let(engine, "UPDATE whatsapp_broadcasts SET resume_at = NULL")
    soon = datetime.now(UTC)
    async with engine.begin() as connection:
        await account_updates.hold(connection, [broadcast.id], Why(PauseReason.QUALITY, "restricted", soon))
    row = await row_of(engine, broadcast)
    assert (row.pause_reason, row.resume_at) == ("canary", None)


async def test_who_is_found_again_behind_the_cursor_makes_no_room_for_a_second_canary(engine: AsyncEngine) -> None:
    broadcast = await a_broadcast(engine, recipients=400, canary=BOUNDS)
    await let(engine, SENT, 50)
    await let(engine, CURSOR, 50)
    run = await a_run(engine, broadcast)
    async with engine.begin() as connection:
        await broadcasts.rewind(connection, broadcast.id, run.epoch)
    assert (await allowed(engine, broadcast)).people_left == 0
