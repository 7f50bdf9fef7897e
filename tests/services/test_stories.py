"""One person's story: every attempt, every webhook, in the order in which they became known."""

import json
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from server.domain.errors import NotFound
from server.services import stories
from server.services.channel_directory import ChannelDirectory
from server.services.settlements import Settlement, settle
from server.services.webhooks import WebhookDesk
from tests.support.builders import PHONE_NUMBER_ID, VAULT, Made, a_broadcast, a_run, run_out_of_lease
from tests.support.sending import ACCEPTED, BUSY, HANDED_BACK, PUT_OFF, REFUSED, UNKNOWN, go_through
from tests.support.webhooks import a_body, a_failure, a_status, a_text

_DUE_NOW = text("UPDATE whatsapp_broadcast_recipients SET next_attempt_at = now() WHERE next_attempt_at IS NOT NULL")


async def story(engine: AsyncEngine, broadcast: Made, recipient_id: int = 1) -> dict[str, Any]:
    """What is told of somebody."""
    async with engine.connect() as connection:
        return await stories.tell(connection, broadcast.id, recipient_id, api_version="v25.0")


def attempts(told: dict[str, Any]) -> list[tuple[int, str, bool]]:
    """The attempts in a story: the claim, how it ended, whether it counts."""
    found = [entry for entry in told["entries"] if entry["kind"] == "attempt"]
    return [(entry["claim_number"], entry["outcome"], entry["is_counted"]) for entry in found]


async def hear(engine: AsyncEngine, broadcast: Made, **kinds: Any) -> None:
    """Webhooks of the broadcast's number come in and are applied."""
    body = a_body(f"{PHONE_NUMBER_ID}{broadcast.business_id}", **kinds)
    async with engine.begin() as connection:
        await connection.execute(
            text("INSERT INTO webhook_inbox (channel_id, body) SELECT id, :body FROM channels"),
            {"body": json.dumps(body).encode()},
        )
    await WebhookDesk(engine, ChannelDirectory(engine, VAULT), max_attempts=5).apply_all()


async def due_now(engine: AsyncEngine) -> None:
    """Whoever was put off may be tried again at once."""
    async with engine.begin() as connection:
        await connection.execute(_DUE_NOW)


async def test_an_attempt_that_was_simply_accepted_costs_no_row_and_is_told(
    engine: AsyncEngine, database_url: str
) -> None:
    broadcast = await a_broadcast(engine, recipients=1)
    await go_through(database_url, await a_run(engine, broadcast), (ACCEPTED,))
    (entry,) = (await story(engine, broadcast))["entries"]
    assert (entry["kind"], entry["outcome"], entry["message_id"]) == ("attempt", "accepted", "wamid.1.1")
    assert entry["asked"] == {
        "rendered_now": True,
        "method": "POST",
        "path": f"/v25.0/{PHONE_NUMBER_ID}{broadcast.business_id}/messages",
        "body": {
            "messaging_product": "whatsapp",
            "recipient_type": "individual",
            "to": "+972500000001",
            "biz_opaque_callback_data": f"b{broadcast.id}:r1",
            "type": "text",
            "text": {"preview_url": False, "body": "Hi Name 1"},
        },
    }
    async with engine.connect() as connection:
        assert await connection.scalar(text("SELECT count(*) FROM send_attempts")) == 0


async def test_every_attempt_is_told_with_its_answer(engine: AsyncEngine, database_url: str) -> None:
    broadcast = await a_broadcast(engine, recipients=1)
    run = await a_run(engine, broadcast)
    for fate in (PUT_OFF, BUSY, HANDED_BACK, ACCEPTED):
        await go_through(database_url, run, (fate,))
        await due_now(engine)
    told = await story(engine, broadcast)
    assert attempts(told) == [(1, "put_off", True), (2, "put_off", False), (4, "accepted", True)]
    first, _, last = told["entries"]
    assert (first["error_code"], first["error_message"]) == (131016, "away")
    assert first["asked"]["body"]["biz_opaque_callback_data"] == f"b{broadcast.id}:r1"
    assert last["asked"]["body"]["biz_opaque_callback_data"] == f"b{broadcast.id}:r1:c4"
    assert (told["recipient"]["status"], told["recipient"]["attempts"]) == ("sent", 2)


@pytest.mark.parametrize(("fate", "outcome"), [(REFUSED, "failed"), (UNKNOWN, "unknown")])
async def test_an_attempt_that_failed_or_got_no_answer_is_told_once(
    engine: AsyncEngine, database_url: str, fate: str, outcome: str
) -> None:
    broadcast = await a_broadcast(engine, recipients=1)
    await go_through(database_url, await a_run(engine, broadcast), (fate,))
    assert attempts(await story(engine, broadcast)) == [(1, outcome, True)]


async def test_what_a_dead_run_left_in_flight_is_an_attempt_without_an_answer(
    engine: AsyncEngine, database_url: str
) -> None:
    broadcast = await a_broadcast(engine, recipients=2)
    run = await a_run(engine, broadcast)
    await go_through(database_url, run, (ACCEPTED,))
    async with engine.begin() as connection:  # claimed, and the worker dies
        await connection.execute(
            text("UPDATE whatsapp_broadcast_recipients SET status = 'sending', attempts = 1, claim_number = 1,"
                 " claimed_at = now() WHERE id = 2")
        )  # fmt: skip
        await connection.execute(text("UPDATE whatsapp_broadcasts SET last_processed_recipient_id = 2"))
        await run_out_of_lease(connection, broadcast.id)
    assert attempts(await story(engine, broadcast, 2)) == [(1, "under_way", True)]
    await a_run(engine, broadcast)
    told = await story(engine, broadcast, 2)
    assert attempts(told) == [(1, "unknown", True)]
    assert "worker stopped" in told["entries"][0]["error_message"]


async def test_webhooks_and_what_a_person_did_stand_in_their_order(engine: AsyncEngine, database_url: str) -> None:
    broadcast = await a_broadcast(engine, recipients=2)
    await go_through(database_url, await a_run(engine, broadcast), (UNKNOWN, ACCEPTED))
    async with engine.begin() as connection:
        await settle(connection, broadcast.id, 1, Settlement.SENT)
    callback = f"b{broadcast.id}:r1"
    await hear(
        engine,
        broadcast,
        statuses=[
            a_status("wamid.late", "delivered", callback=callback),
            a_status("wamid.late", "sent", callback=callback),
            a_status("wamid.2.1", "read", callback=f"b{broadcast.id}:r2"),
        ],
    )
    await hear(engine, broadcast, messages=[a_text("STOP", context={"id": "wamid.late"})])

    told = await story(engine, broadcast)
    kinds = [(entry["kind"], entry.get("status") or entry.get("move")) for entry in told["entries"]]
    assert kinds == [
        ("attempt", None),
        ("history", "settle_by_hand"),
        ("status", "sent"),
        ("status", "delivered"),
        ("reply", None),
        ("consent", None),
    ]
    reply, consent = told["entries"][4:]
    assert (reply["body"], reply["webhook"]["text"]) == ("STOP", {"body": "STOP"})
    assert (consent["wish"], consent["proof"]) == ("stop", "wamid.in")
    assert told["entries"][1]["is_about_them"]
    other = await story(engine, broadcast, 2)
    assert [entry["kind"] for entry in other["entries"]] == ["attempt", "status"]


async def test_a_message_that_was_accepted_failed_and_sent_anew_keeps_both_attempts(
    engine: AsyncEngine, database_url: str
) -> None:
    broadcast = await a_broadcast(engine, recipients=1)
    run = await a_run(engine, broadcast)
    await go_through(database_url, run, (ACCEPTED,))
    await hear(engine, broadcast, statuses=[a_failure("wamid.1.1", 131049, callback=f"b{broadcast.id}:r1")])
    await due_now(engine)
    await go_through(database_url, run, (ACCEPTED,))
    told = await story(engine, broadcast)
    assert attempts(told) == [(1, "accepted", True), (2, "accepted", True)]
    ids = [entry["message_id"] for entry in told["entries"] if entry["kind"] == "attempt"]
    assert ids == ["wamid.1.1", "wamid.1.2"]


async def test_what_was_asked_is_left_out_where_it_cannot_be_built_again(
    engine: AsyncEngine, database_url: str
) -> None:
    broadcast = await a_broadcast(engine, recipients=1)
    await go_through(database_url, await a_run(engine, broadcast), (ACCEPTED,))
    async with engine.begin() as connection:
        await connection.execute(
            text("""UPDATE whatsapp_broadcasts SET message = '{"template": {"name": "gone", "language": "en"}}'""")
        )
    (entry,) = (await story(engine, broadcast))["entries"]
    assert entry["asked"] is None
    assert 'no template "gone"' in entry["not_rendered_because"]


async def test_a_story_holds_no_secret(engine: AsyncEngine, database_url: str) -> None:
    broadcast = await a_broadcast(engine, recipients=1)
    await go_through(database_url, await a_run(engine, broadcast), (ACCEPTED,))
    told = json.dumps(await story(engine, broadcast), default=str)
    assert not [secret for secret in ('"token"', '"secret"', '"verify"', "Bearer") if secret in told]


@pytest.mark.parametrize("webhook", ["{", '{"x": 1e999}', '{"x": "\\ud800"}', "[" * 201 + "]" * 201])
async def test_a_webhook_that_cannot_be_given_back_as_json_is_given_as_its_text(
    engine: AsyncEngine, database_url: str, webhook: str
) -> None:
    broadcast = await a_broadcast(engine, recipients=1)
    await go_through(database_url, await a_run(engine, broadcast), (ACCEPTED,))
    await hear(engine, broadcast, statuses=[a_status("wamid.1.1", callback=f"b{broadcast.id}:r1")])
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE message_statuses SET raw = :raw"), {"raw": webhook})
    status = (await story(engine, broadcast))["entries"][-1]
    assert (status["kind"], status["webhook"]) == ("status", webhook)


async def test_nobody_of_another_broadcast_is_found(engine: AsyncEngine) -> None:
    broadcast = await a_broadcast(engine, recipients=1)
    with pytest.raises(NotFound):
        await story(engine, broadcast, 2)
