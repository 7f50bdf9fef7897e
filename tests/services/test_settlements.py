"""Unknowns as a person sees them, and as a person settles them."""

from datetime import timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from server.domain.errors import NotFound, NotNow, StateDoesNotAllow
from server.domain.states import Actor, Move
from server.services import broadcasts, recipients, retries, settlements, suppressions, unknowns
from server.services.settlements import Settlement
from server.tenancy import BusinessEngine, Connects
from tests.support.books import assert_counters_equal_rows
from tests.support.builders import Made, a_broadcast, a_business, a_run, run_out_of_lease
from tests.support.sending import ACCEPTED, UNKNOWN, go_through, set_status

PATIENCE = unknowns.Patience(grace_seconds=900, max_wait_seconds=21_600, max_attempts=5)
FIRST, SECOND = 1, 2


async def a_settling_broadcast(engine: AsyncEngine, database_url: str) -> Made:
    """Of three people the first two are unknown, and nothing is left to send."""
    broadcast = await a_broadcast(engine, recipients=3)
    run = await a_run(engine, broadcast)
    await go_through(database_url, run, (UNKNOWN, UNKNOWN, ACCEPTED))
    async with engine.begin() as connection:
        assert await broadcasts.make(connection, broadcast.id, Move.SETTLE, by=Actor.ENGINE, epoch=run.epoch)
        await run_out_of_lease(connection, broadcast.id)
    return broadcast


async def settle(engine: Connects, broadcast: Made, recipient_id: int, settlement: Settlement) -> None:
    """What a person does."""
    async with engine.begin() as connection:
        await settlements.settle(connection, broadcast.id, recipient_id, settlement)


@pytest.mark.parametrize(("second", "ending"), [(Settlement.SENT, "completed"), (Settlement.FAILED, "partial")])
async def test_the_last_one_that_is_settled_ends_the_broadcast(
    engine: AsyncEngine, database_url: str, second: Settlement, ending: str
) -> None:
    broadcast = await a_settling_broadcast(engine, database_url)
    await settle(engine, broadcast, FIRST, Settlement.SENT)
    assert assert_counters_equal_rows(database_url, broadcast.id).row["status"] == "settling"
    await settle(engine, broadcast, SECOND, second)
    books = assert_counters_equal_rows(database_url, broadcast.id)
    assert (books.row["status"], books.row["unknown_count"]) == (ending, 0)
    async with engine.connect() as connection:
        events = await recipients.history(connection, broadcast.id, after_id=0, limit=50)
    made = [(event["actor"], event["move"]) for event in events][2:]
    assert made[:2] == [("user", "settle_by_hand")] * 2
    assert [actor for actor, _ in made] == ["user"] * 3
    assert "Recipient 1, unknown for" in events[2]["detail"]


async def test_who_is_sent_to_again_goes_back_into_the_queue_and_the_broadcast_goes_on(
    engine: AsyncEngine, database_url: str
) -> None:
    broadcast = await a_settling_broadcast(engine, database_url)
    await settle(engine, broadcast, FIRST, Settlement.RESEND)
    assert assert_counters_equal_rows(database_url, broadcast.id).row["status"] == "queued"
    (claimed,) = await go_through(database_url, await a_run(engine, broadcast), (ACCEPTED,))
    assert (claimed.id, claimed.attempts) == (FIRST, 2)
    assert assert_counters_equal_rows(database_url, broadcast.id).statuses == {"sent": 2, "unknown": 1}


async def test_who_opted_out_meanwhile_is_not_sent_to_again_and_the_broadcast_does_not_go_on(
    engine: AsyncEngine, database_url: str
) -> None:
    broadcast = await a_settling_broadcast(engine, database_url)
    async with engine.begin() as connection:
        await suppressions.suppress(connection, broadcast.business_id, "+972500000001", "said STOP")
    await settle(engine, broadcast, FIRST, Settlement.RESEND)
    books = assert_counters_equal_rows(database_url, broadcast.id)
    assert (books.row["status"], books.statuses["skipped"]) == ("settling", 1)


async def test_only_who_is_unknown_can_be_settled_and_only_once(engine: AsyncEngine, database_url: str) -> None:
    broadcast = await a_settling_broadcast(engine, database_url)
    await settle(engine, broadcast, FIRST, Settlement.FAILED)
    for recipient_id in (FIRST, 3):
        for settlement in Settlement:
            with pytest.raises(NotNow, match="not unknown"):
                await settle(engine, broadcast, recipient_id, settlement)
    with pytest.raises(NotFound):
        await settle(engine, broadcast, 404, Settlement.SENT)
    assert assert_counters_equal_rows(database_url, broadcast.id).statuses == {"failed": 1, "unknown": 1, "sent": 1}


async def test_nobody_is_sent_to_again_after_the_end_or_while_a_webhook_may_tell(
    engine: AsyncEngine, database_url: str
) -> None:
    broadcast = await a_settling_broadcast(engine, database_url)
    await set_status(engine, broadcast.id, "cancelled")
    with pytest.raises(StateDoesNotAllow, match="cancelled cannot send to anybody again"):
        await settle(engine, broadcast, FIRST, Settlement.RESEND)
    await set_status(engine, broadcast.id, "settling")
    async with engine.begin() as connection:
        await connection.execute(
            text("INSERT INTO webhook_inbox (channel_id, received_at, body)"
                 " SELECT id, now() - interval '3 seconds', '{}' FROM channels")
        )  # fmt: skip
    with pytest.raises(NotNow, match="Webhooks are waiting"):
        await settle(engine, broadcast, FIRST, Settlement.RESEND)
    assert assert_counters_equal_rows(database_url, broadcast.id).statuses == {"unknown": 2, "sent": 1}


async def test_a_wish_to_cancel_is_not_undone_by_sending_again(engine: AsyncEngine, database_url: str) -> None:
    broadcast = await a_broadcast(engine, recipients=2)
    await go_through(database_url, await a_run(engine, broadcast), (UNKNOWN,))
    async with engine.begin() as connection:
        await broadcasts.request_cancel(connection, broadcast.id, by=Actor.USER)
    with pytest.raises(StateDoesNotAllow, match="being cancelled"):
        await settle(engine, broadcast, FIRST, Settlement.RESEND)


async def test_who_is_tried_again_by_another_broadcast_is_not_sent_to_by_both(
    engine: AsyncEngine, database_url: str
) -> None:
    broadcast = await a_settling_broadcast(engine, database_url)
    async with engine.begin() as connection:
        new_id = await retries.create(connection, broadcast.id, ["unknown"])
    assert assert_counters_equal_rows(database_url, new_id).statuses == {"queued": 2}
    assert assert_counters_equal_rows(database_url, broadcast.id).statuses == {"failed": 2, "sent": 1}
    with pytest.raises(NotNow, match="failed, not unknown"):
        await settle(engine, broadcast, FIRST, Settlement.RESEND)


async def test_an_unknown_is_shown_with_its_age_its_deadline_and_the_evidence(
    engine: AsyncEngine, database_url: str
) -> None:
    broadcast = await a_broadcast(engine, recipients=31)
    await go_through(database_url, await a_run(engine, broadcast), (UNKNOWN, *[ACCEPTED] * 30))
    values = {"id": broadcast.id}
    async with engine.begin() as connection:
        await connection.execute(
            text("UPDATE whatsapp_broadcast_recipients SET unknown_at = unknown_at - interval '20 minutes',"
                 " claimed_at = date_trunc('minute', now()) - interval '20 minutes' WHERE broadcast_id = :id"),
            values,
        )  # fmt: skip
        (shown,) = await unknowns.page(connection, broadcast.id, PATIENCE, after_id=0, limit=10)
        assert shown["would_be"] == "fail"
        assert "No status has ever come" in shown["evidence"]
        assert shown["decided_by"] > shown["unknown_at"]

        await connection.execute(text("UPDATE channels SET last_status_at = clock_timestamp()"))
        (shown,) = await unknowns.page(connection, broadcast.id, PATIENCE, after_id=0, limit=10)
        assert (shown["would_be"], shown["accepted_around_count"], shown["heard_around_count"]) == ("wait", 30, 0)
        assert "Of 30 messages around it" in shown["evidence"]
        seconds = (shown["decided_by"] - shown["unknown_at"]).total_seconds()
        assert round(seconds) == PATIENCE.max_wait_seconds

        await connection.execute(
            text("UPDATE whatsapp_broadcast_recipients SET heard_at = now() WHERE message_id IS NOT NULL")
        )
        (shown,) = await unknowns.page(connection, broadcast.id, PATIENCE, after_id=0, limit=10)
        assert (shown["id"], shown["phone"], shown["reason"]) == (FIRST, "+972500000001", "no answer")
        assert (shown["would_be"], shown["heard_around_count"]) == ("resend", 30)
        assert "never accepted it" in shown["evidence"]
        assert 1_200 <= shown["age_seconds"] < PATIENCE.max_wait_seconds
        assert await unknowns.page(connection, broadcast.id, PATIENCE, after_id=FIRST, limit=10) == []


@pytest.mark.parametrize(
    ("policy", "is_heard", "status", "wait_seconds", "needs_a_person"),
    [
        ("evidence", True, "settling", PATIENCE.max_wait_seconds, False),
        ("evidence", False, "settling", PATIENCE.grace_seconds, True),
        ("evidence", True, "cancelled", PATIENCE.grace_seconds, False),
        ("assume_failed", False, "settling", PATIENCE.grace_seconds, False),
        ("resend", False, "settling", PATIENCE.grace_seconds, False),
    ],
)
async def test_a_broadcast_says_when_the_last_unknown_one_is_decided_and_whether_only_a_person_can_know(
    engine: AsyncEngine,
    database_url: str,
    policy: str,
    is_heard: bool,
    status: str,
    wait_seconds: float,
    needs_a_person: bool,
) -> None:
    broadcast = await a_settling_broadcast(engine, database_url)
    others = await a_broadcast(engine, 1, tenant=await a_business(engine, "Other"))
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE businesses SET unknown_policy = :policy"), {"policy": policy})
        await connection.execute(text("UPDATE whatsapp_broadcasts SET status = :status"), {"status": status})
        if is_heard:
            await connection.execute(text("UPDATE channels SET last_status_at = clock_timestamp()"))
        latest = await connection.scalar(text("SELECT max(unknown_at) FROM whatsapp_broadcast_recipients"))
        found = await unknowns.waiting(connection, [broadcast.id, others.id], PATIENCE)
    assert found == {broadcast.id: (latest + timedelta(seconds=wait_seconds), needs_a_person)}


async def test_a_webhook_that_waits_under_another_businesss_number_may_tell_as_well(
    engine: AsyncEngine, database_url: str
) -> None:
    """Two businesses may share one app of Meta's, and with it the secret that says whose webhook it is."""
    broadcast = await a_settling_broadcast(engine, database_url)
    other = await a_business(engine, "Other")
    async with engine.begin() as connection:
        await connection.execute(
            text("INSERT INTO webhook_inbox (channel_id, body, received_at) VALUES (:id, '', now() - interval '9 s')"),
            {"id": other.channel_id},
        )
    theirs = BusinessEngine(engine, broadcast.business_id)
    with pytest.raises(NotNow, match="Webhooks are waiting"):
        await settle(theirs, broadcast, FIRST, Settlement.RESEND)
    async with engine.begin() as connection:
        await connection.execute(text("DELETE FROM webhook_inbox"))
    await settle(theirs, broadcast, FIRST, Settlement.RESEND)
