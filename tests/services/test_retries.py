"""A new broadcast to those whom an earlier one did not reach, and to nobody who may have got it."""

import asyncio
import json

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from server.database import plain_connection
from server.domain.errors import BadInput, StateDoesNotAllow
from server.services import broadcast_json, recipients, retries, suppressions
from server.services.channel_directory import ChannelDirectory
from server.services.ledger import Ledger, Pace
from server.services.webhooks import WebhookDesk
from tests.support.books import assert_counters_equal_rows
from tests.support.builders import PHONE_NUMBER_ID, VAULT, Made, a_broadcast, a_run
from tests.support.sending import PUT_OFF, result_of, set_status
from tests.support.webhooks import a_body, a_failure, a_status

_SET = text("""
    UPDATE whatsapp_broadcast_recipients SET status = :status, was_unknown = :was_unknown
     WHERE broadcast_id = :broadcast_id AND row_number = :row
""")


async def an_ended_broadcast(engine: AsyncEngine) -> Made:
    """Of five people one got it, one failed, one failed as unknown, one is unknown, one failed and opted out since."""
    broadcast = await a_broadcast(engine, recipients=5)
    fates = ("sent", "failed", "failed", "unknown", "failed")
    async with engine.begin() as connection:
        for row, status in enumerate(fates, 1):
            values = {"broadcast_id": broadcast.id, "row": row, "status": status, "was_unknown": row == 3}
            await connection.execute(_SET, values)
        await connection.execute(text("UPDATE whatsapp_broadcasts SET status = 'partial'"))
        await suppressions.suppress(connection, broadcast.business_id, "+972500000005", "said STOP")
    return broadcast


@pytest.mark.parametrize(
    ("include", "rows"), [(["failed"], [2]), (["unknown"], [3, 4]), (["failed", "unknown"], [2, 3, 4])]
)
async def test_only_those_who_were_asked_for_are_tried_again(
    engine: AsyncEngine, database_url: str, include: list[str], rows: list[int]
) -> None:
    broadcast = await an_ended_broadcast(engine)
    async with engine.begin() as connection:
        new_id = await retries.create(connection, broadcast.id, include)
        found = await connection.scalars(
            text("SELECT row_number FROM whatsapp_broadcast_recipients WHERE broadcast_id = :id ORDER BY id"),
            {"id": new_id},
        )
        assert list(found) == rows
    assert assert_counters_equal_rows(database_url, new_id).row["status"] == "draft"


async def test_asking_twice_sends_once(engine: AsyncEngine) -> None:
    broadcast = await an_ended_broadcast(engine)
    async with engine.begin() as connection:
        await retries.create(connection, broadcast.id, ["failed"])
    async with engine.begin() as connection:
        with pytest.raises(BadInput, match="not in an earlier retry"):
            await retries.create(connection, broadcast.id, ["failed"])


async def test_a_broadcast_that_still_goes_on_is_not_retried(engine: AsyncEngine) -> None:
    broadcast = await a_broadcast(engine, recipients=1)
    async with engine.begin() as connection:
        with pytest.raises(StateDoesNotAllow, match="queued cannot be retried"):
            await retries.create(connection, broadcast.id, ["failed"])
        with pytest.raises(BadInput, match="Only failed and unknown"):
            await retries.create(connection, broadcast.id, ["sent"])


async def people_of(engine: AsyncEngine, broadcast_id: int) -> dict[int, str]:
    """The status of each by their row."""
    async with engine.connect() as connection:
        found = await connection.execute(
            text("SELECT row_number, status FROM whatsapp_broadcast_recipients WHERE broadcast_id = :id ORDER BY id"),
            {"id": broadcast_id},
        )
        return {row.row_number: row.status for row in found}


async def retry(engine: AsyncEngine, broadcast_id: int, *include: str, status: str = "queued") -> int:
    """A retry of a broadcast, started. status: where it stands then."""
    async with engine.begin() as connection:
        new_id = await retries.create(connection, broadcast_id, include or ("failed",))
    await set_status(engine, new_id, status)
    return new_id


async def hear(engine: AsyncEngine, broadcast: Made, said: str, row: int, *, code: int | None = None) -> None:
    """A status of the message to the nth person of a broadcast comes late."""
    callback = f"b{broadcast.id}:r{row}"
    message_id = f"wamid.{row}"
    status = a_failure(message_id, code, callback=callback) if code else a_status(message_id, said, callback=callback)
    body = a_body(f"{PHONE_NUMBER_ID}{broadcast.business_id}", statuses=[status])
    async with engine.begin() as connection:
        await connection.execute(
            text("INSERT INTO webhook_inbox (channel_id, body) SELECT id, :body FROM channels"),
            {"body": json.dumps(body).encode()},
        )
    await WebhookDesk(engine, ChannelDirectory(engine, VAULT), max_attempts=5).apply_all()


async def test_a_retry_of_a_retry_goes_to_those_who_failed_again_and_the_links_lead_both_ways(
    engine: AsyncEngine, database_url: str
) -> None:
    broadcast = await an_ended_broadcast(engine)
    first = await retry(engine, broadcast.id, "failed", "unknown")
    async with engine.begin() as connection:
        for row, status in ((2, "failed"), (3, "sent"), (4, "failed")):
            values = {"broadcast_id": first, "row": row, "status": status, "was_unknown": False}
            await connection.execute(_SET, values)
        await suppressions.suppress(connection, broadcast.business_id, "+972500000004", "said STOP")
    await set_status(engine, first, "partial")
    second = await retry(engine, first)
    assert await people_of(engine, second) == {2: "queued"}
    async with engine.connect() as connection:
        shown = [await broadcast_json.show(connection, None, one) for one in (broadcast.id, first, second)]
        listed = await broadcast_json.show_many(connection, None, status=None, before_id=None, limit=9)
    links = [(one["retry_of"], one["retried_by"]) for one in shown]
    assert links == [(None, [first]), (broadcast.id, [second]), (first, [])]
    assert [one["retried_by"] for one in listed] == [[], [second], [first]]
    with pytest.raises(BadInput, match="not in an earlier retry"):
        await retry(engine, broadcast.id)
    async with engine.connect() as connection:
        (event,) = await recipients.history(connection, broadcast.id, after_id=0, limit=9)
    assert (event["actor"], event["move"]) == ("user", "retry")
    assert event["detail"] == f"Broadcast {first} tries 3 of its people again."


async def test_whom_a_retry_left_out_may_be_tried_by_the_next_once_they_want_messages_again(
    engine: AsyncEngine,
) -> None:
    broadcast = await an_ended_broadcast(engine)
    first = await retry(engine, broadcast.id)
    async with engine.begin() as connection:
        await suppressions.suppress(connection, broadcast.business_id, "+972500000002", "said STOP")
    assert await people_of(engine, first) == {2: "skipped"}
    with pytest.raises(BadInput):
        await retry(engine, broadcast.id)
    async with engine.begin() as connection:
        await connection.execute(text("DELETE FROM suppressions WHERE phone = '+972500000002'"))
    assert await people_of(engine, await retry(engine, broadcast.id)) == {2: "queued"}


@pytest.mark.parametrize("said", ["sent", "delivered"])
async def test_who_got_it_meanwhile_by_a_late_status_is_not_in_a_retry(engine: AsyncEngine, said: str) -> None:
    broadcast = await an_ended_broadcast(engine)
    await hear(engine, broadcast, said, 3)
    assert await people_of(engine, await retry(engine, broadcast.id, "failed", "unknown")) == {2: "queued", 4: "queued"}


async def test_who_turns_out_to_have_got_it_is_taken_out_of_every_retry_that_has_not_sent_to_them(
    engine: AsyncEngine, database_url: str
) -> None:
    broadcast = await an_ended_broadcast(engine)
    first = await retry(engine, broadcast.id, "failed", "unknown", status="running")
    assert await people_of(engine, broadcast.id) == {1: "sent", 2: "failed", 3: "failed", 4: "failed", 5: "failed"}
    await hear(engine, broadcast, "delivered", 4)
    assert await people_of(engine, first) == {2: "queued", 3: "queued", 4: "skipped"}
    assert assert_counters_equal_rows(database_url, first).statuses == {"queued": 2, "skipped": 1}
    await set_status(engine, first, "partial")
    async with engine.begin() as connection:
        await connection.execute(_SET, {"broadcast_id": first, "row": 2, "status": "failed", "was_unknown": False})
    second = await retry(engine, first)
    await hear(engine, broadcast, "sent", 2)
    assert await people_of(engine, second) == {2: "skipped"}
    assert assert_counters_equal_rows(database_url, second).row["skipped_count"] == 1
    await hear(engine, broadcast, "delivered", 2)
    assert assert_counters_equal_rows(database_url, second).row["skipped_count"] == 1


async def test_who_is_unknown_in_a_retry_is_not_sent_to_again_once_they_turn_out_to_have_got_it(
    engine: AsyncEngine, database_url: str
) -> None:
    broadcast = await an_ended_broadcast(engine)
    first = await retry(engine, broadcast.id, status="settling")
    async with engine.begin() as connection:
        values = {"broadcast_id": first, "row": 2, "status": "unknown", "was_unknown": False}
        await connection.execute(_SET, values)
        await connection.execute(text("UPDATE whatsapp_broadcasts SET unknown_count = 1 WHERE id = :id"), {"id": first})
    await hear(engine, broadcast, "sent", 2)
    books = assert_counters_equal_rows(database_url, first)
    assert (books.statuses, books.row["unknown_count"]) == ({"failed": 1}, 0)


async def test_who_is_sent_to_at_this_moment_is_left_to_their_run(engine: AsyncEngine) -> None:
    broadcast = await an_ended_broadcast(engine)
    first = await retry(engine, broadcast.id)
    async with engine.begin() as connection:
        await connection.execute(_SET, {"broadcast_id": first, "row": 2, "status": "sending", "was_unknown": False})
    await hear(engine, broadcast, "sent", 2)
    assert await people_of(engine, first) == {2: "sending"}


async def test_who_is_tried_again_by_a_retry_is_not_put_off_in_the_first_broadcast_as_well(engine: AsyncEngine) -> None:
    broadcast = await an_ended_broadcast(engine)
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE whatsapp_broadcast_recipients SET claim_number = 1"))
    first = await retry(engine, broadcast.id, "unknown")
    async with engine.begin() as connection:
        await connection.execute(_SET, {"broadcast_id": first, "row": 4, "status": "sent", "was_unknown": False})
    await hear(engine, broadcast, "sent", 4)
    await hear(engine, broadcast, "failed", 4, code=131016)
    assert (await people_of(engine, broadcast.id))[4] == "failed"


async def test_who_got_it_is_not_tried_again_by_a_retry_of_a_retry_that_asks_for_unknowns(engine: AsyncEngine) -> None:
    broadcast = await an_ended_broadcast(engine)
    first = await retry(engine, broadcast.id, status="settling")
    async with engine.begin() as connection:
        await connection.execute(_SET, {"broadcast_id": first, "row": 2, "status": "unknown", "was_unknown": False})
        await connection.execute(text("UPDATE whatsapp_broadcasts SET unknown_count = 1 WHERE id = :id"), {"id": first})
    await hear(engine, broadcast, "sent", 2)
    with pytest.raises(BadInput):
        await retry(engine, first, "failed", "unknown")


async def test_who_is_put_off_in_a_retry_at_this_moment_is_spared_too(engine: AsyncEngine, database_url: str) -> None:
    broadcast = await an_ended_broadcast(engine)
    first = await retry(engine, broadcast.id)
    run = await a_run(engine, Made(first, broadcast.business_id))
    async with await plain_connection(database_url) as connection:
        (one,) = await Ledger(connection, run).claim(1) or []
    async with engine.begin() as recording:
        # The record of the run holds the row, and has put the person back into the queue.
        await recording.execute(text("SELECT id FROM whatsapp_broadcasts WHERE id = :id FOR UPDATE"), {"id": first})
        await recording.execute(
            text("UPDATE whatsapp_broadcast_recipients SET status = 'queued', next_attempt_at = now() WHERE id = :id"),
            {"id": one.id},
        )
        hearing = asyncio.create_task(hear(engine, broadcast, "sent", 2))
        await asyncio.sleep(0.5)
        assert not hearing.done()
    await hearing
    assert await people_of(engine, first) == {2: "skipped"}


@pytest.mark.parametrize("before", ["the record", "the look"])
async def test_who_was_sent_to_at_that_moment_and_is_then_put_off_is_not_sent_to_again(
    engine: AsyncEngine, database_url: str, before: str
) -> None:
    """WhatsApp refuses the retry's message for now, and reports at the same time that the first one got there."""
    broadcast = await an_ended_broadcast(engine)
    first = await retry(engine, broadcast.id)
    run = (await a_run(engine, Made(first, broadcast.business_id)))._replace(is_retry=True)
    async with await plain_connection(database_url) as connection:
        ledger = Ledger(connection, run)
        (one,) = await ledger.claim(1) or []
        if before == "the record":
            await hear(engine, broadcast, "sent", 2)
            await ledger.record([result_of(one, PUT_OFF)], Pace(1.0, "nothing"), one.id)
        else:
            async with engine.begin() as hearing:  # as two transactions that do not see each other would leave it
                values = {"broadcast_id": broadcast.id, "row": 2, "status": "delivered", "was_unknown": False}
                await hearing.execute(_SET, values)
            await ledger.record([result_of(one, PUT_OFF)], Pace(1.0, "nothing"), one.id)
        assert await ledger.claim(1) == []
        assert not await ledger.is_anybody_left()
    assert await people_of(engine, first) == {2: "skipped"}
    assert assert_counters_equal_rows(database_url, first).row["processed_count"] == 1


async def test_who_is_put_off_while_a_claim_waits_for_the_row_is_looked_at_before_they_are_claimed(
    engine: AsyncEngine, database_url: str
) -> None:
    """The claim looks for those who have got it, and waits for a record that puts one of them back into the queue."""
    broadcast = await an_ended_broadcast(engine)
    first = await retry(engine, broadcast.id)
    run = (await a_run(engine, Made(first, broadcast.business_id)))._replace(is_retry=True)
    async with await plain_connection(database_url) as connection:
        ledger = Ledger(connection, run)
        (one,) = await ledger.claim(1) or []
        async with engine.begin() as hearing:
            values = {"broadcast_id": broadcast.id, "row": 2, "status": "delivered", "was_unknown": False}
            await hearing.execute(_SET, values)
        async with engine.begin() as recording:
            await recording.execute(text("SELECT id FROM whatsapp_broadcasts WHERE id = :id FOR UPDATE"), {"id": first})
            claiming = asyncio.create_task(ledger.claim(1))
            await _until_somebody_waits(engine)
            back = "UPDATE whatsapp_broadcast_recipients SET status = 'queued', next_attempt_at = now() WHERE id = :id"
            await recording.execute(text(back), {"id": one.id})
        assert await claiming == []
    assert await people_of(engine, first) == {2: "skipped"}
    assert_counters_equal_rows(database_url, first)


async def _until_somebody_waits(engine: AsyncEngine) -> None:
    waits = text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%ledger.%'")
    async with engine.connect() as connection, asyncio.timeout(10):
        while not await connection.scalar(waits):
            await connection.rollback()
