"""A receipt adds up whatever happened to a broadcast, and tells where something does not."""

import asyncio
import json
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from server.domain.errors import BadInput, NotFound
from server.domain.receipts import differences, named, public_text, read
from server.domain.states import Actor, Move
from server.secrets import Vault
from server.services import broadcasts, receipts, settlements
from server.services.settlements import Settlement
from tests.services.test_stories import due_now, hear
from tests.support.books import assert_counters_equal_rows
from tests.support.builders import VAULT, Made, a_broadcast, a_run, run_out_of_lease
from tests.support.sending import ACCEPTED, BUSY, HANDED_BACK, PUT_OFF, REFUSED, UNKNOWN, go_through
from tests.support.webhooks import a_failure, a_status


async def receipt_of(engine: AsyncEngine, broadcast: Made) -> dict[str, Any]:
    """The receipt, as a client reads it."""
    return read(json.dumps(await receipts.issue(engine, VAULT, broadcast.business_id, broadcast.id)))


async def end(engine: AsyncEngine, broadcast: Made, move: Move) -> None:
    """The last move of a run."""
    async with engine.begin() as connection:
        assert await broadcasts.make(connection, broadcast.id, move, by=Actor.ENGINE)
        await run_out_of_lease(connection, broadcast.id)


async def test_a_broadcast_with_every_kind_of_end_adds_up(engine: AsyncEngine, database_url: str) -> None:
    broadcast = await a_broadcast(engine, recipients=8)
    run = await a_run(engine, broadcast)
    fates = (ACCEPTED, REFUSED, PUT_OFF, BUSY, HANDED_BACK, UNKNOWN, ACCEPTED, UNKNOWN)
    await go_through(database_url, run, fates)
    await hear(
        engine,
        broadcast,
        statuses=[
            a_status("wamid.1.1", "read", callback=f"b{broadcast.id}:r1"),
            a_failure("wamid.7.1", 131049, callback=f"b{broadcast.id}:r7"),
        ],
    )
    running = await receipt_of(engine, broadcast)
    assert (running["final"], running["holds"], differences(running)) == (False, True, [])
    assert running["counts"]["unknowns"] == 2

    await due_now(engine)
    await go_through(database_url, run, (ACCEPTED,) * 4)
    async with engine.begin() as connection:
        await settlements.settle(connection, broadcast.id, 6, Settlement.SENT)
        await settlements.settle(connection, broadcast.id, 8, Settlement.FAILED)
    await end(engine, broadcast, Move.FINISH_PARTIAL)
    assert_counters_equal_rows(database_url, broadcast.id)

    ended = await receipt_of(engine, broadcast)
    assert (ended["final"], ended["holds"], differences(ended)) == (True, True, [])
    counts = ended["counts"]
    assert counts["recipients"]["by_status"] | {"sent": 5, "read": 1, "failed": 2} == counts["recipients"]["by_status"]
    assert counts["attempts"] == {
        "count": 10,
        "ended": {
            "accepted": 5, "accepted_then_failed": 1, "failed": 1, "put_off": 1, "unknown": 2, "under_way": 0,
        },
        "not_counted": 1,
        "unexplained": 0,
    }  # fmt: skip
    assert counts["messages"] == {
        "ids": 6, "different_ids": 6, "with_id": 5, "without_id_settled_by_hand": 1, "without_id_adopted": 0,
    }  # fmt: skip
    assert (counts["doubles"], counts["unknowns"]) == (0, 0)
    assert [event["move"] for event in ended["history"]["events"]][-1] == "finish_partial"


async def test_who_got_it_twice_is_counted(engine: AsyncEngine, database_url: str) -> None:
    broadcast = await a_broadcast(engine, recipients=1)
    run = await a_run(engine, broadcast)
    await go_through(database_url, run, (UNKNOWN,))
    async with engine.begin() as connection:
        await settlements.settle(connection, broadcast.id, 1, Settlement.RESEND)
    await go_through(database_url, run, (ACCEPTED,))
    await end(engine, broadcast, Move.COMPLETE)
    assert (await receipt_of(engine, broadcast))["holds"]
    await hear(engine, broadcast, statuses=[a_status("wamid.first", "sent", callback=f"b{broadcast.id}:r1")])
    receipt = await receipt_of(engine, broadcast)
    assert not receipt["holds"]
    assert differences(receipt) == ["doubles: people with more than one accepted message 1, allowed 0."]


async def test_a_row_that_was_changed_behind_its_back_is_told(engine: AsyncEngine, database_url: str) -> None:
    broadcast = await a_broadcast(engine, recipients=3)
    await go_through(database_url, await a_run(engine, broadcast), (ACCEPTED,) * 3)
    await end(engine, broadcast, Move.COMPLETE)
    changes = {
        "DELETE FROM whatsapp_broadcast_recipients WHERE id = 3": "audience",
        "UPDATE whatsapp_broadcast_recipients SET message_id = 'wamid.1.1' WHERE id = 2": "different message ids",
        "UPDATE whatsapp_broadcast_recipients SET message_id = NULL WHERE id = 2": "message ids",
        "UPDATE whatsapp_broadcast_recipients SET attempts = 4 WHERE id = 2": "attempts of each",
        "UPDATE whatsapp_broadcast_recipients SET status = 'delivered' WHERE id = 2": "statuses",
        "UPDATE broadcast_events SET actor = 'user'": "history",
    }
    for change, name in changes.items():
        async with engine.connect() as connection:
            await connection.execute(text(change))
            drawn = await receipts._draw_up(connection, None, broadcast.id)  # what only this transaction sees
            await connection.rollback()
        assert not drawn["holds"], change
        failed = {check["name"] for check in drawn["checks"] if not check["holds"]}
        assert name in failed or (name == "history" and not failed), change
    assert (await receipt_of(engine, broadcast))["holds"]


async def test_people_of_an_older_system_are_named_as_such(engine: AsyncEngine) -> None:
    broadcast = await a_broadcast(engine, recipients=2, status="completed")
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE whatsapp_broadcast_recipients SET status = 'delivered', attempts = 3"))
        await connection.execute(
            text("UPDATE whatsapp_broadcasts SET sent_count = 2, delivered_count = 2, processed_count = 2")
        )
    receipt = await receipt_of(engine, broadcast)
    assert differences(receipt) == []
    assert (receipt["final"], receipt["holds"]) == (True, True)
    assert receipt["counts"]["messages"]["without_id_adopted"] == 2
    assert not receipt["counts"]["statuses"]["are_all_kept"]


async def test_all_processes_of_a_database_sign_with_one_key(engine: AsyncEngine) -> None:
    async def key(vault: Vault) -> str:
        async with engine.begin() as connection:
            return public_text((await receipts.signing_key(connection, vault)).public_key())

    keys = await asyncio.gather(*(key(VAULT) for _ in range(5)))
    assert len(set(keys)) == 1
    rotated = Vault(["a new key", "a key of the tests"])
    assert await key(rotated) == keys[0]
    with pytest.raises(BadInput, match="CLARION_SECRET_KEY"):
        await key(Vault(["another key"]))
    async with engine.connect() as connection:
        kept = (await connection.execute(text("SELECT private_key_encrypted, public_key FROM receipt_keys"))).one()
    assert kept.public_key == keys[0]
    assert keys[0] not in kept.private_key_encrypted


async def test_a_receipt_is_signed_with_the_key_that_is_given_out(engine: AsyncEngine) -> None:
    broadcast = await a_broadcast(engine, recipients=1)
    receipt = await receipt_of(engine, broadcast)
    async with engine.begin() as connection:
        given_out = named(await receipts.signing_key(connection, VAULT))
    assert receipt["key"] == given_out
    assert differences(receipt, given_out["public_key"]) == []


async def test_another_business_gets_no_receipt(engine: AsyncEngine) -> None:
    broadcast = await a_broadcast(engine, recipients=1)
    with pytest.raises(NotFound):
        await receipts.issue(engine, VAULT, broadcast.business_id + 1, broadcast.id)
