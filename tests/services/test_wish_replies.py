"""What is written back to people who stop or start again: promised once, sent once, or not at all."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from server.domain.errors import BadInput
from server.providers.whatsapp import WhatsAppClient
from server.services import businesses, wish_replies
from tests.providers.servers import Connection, serving
from tests.support.builders import VAULT
from tests.support.simulator import Simulator
from tests.support.webhooks import NOON, a_body, a_failure, a_text
from tests.support.world import World, a_world

STOPPED, STARTED = "You will get no more messages from us.", "Welcome back."
PHONE = "+972500000001"
_SECONDS = itertools.count()


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    with Simulator.start(rate=0) as started:
        yield started


@pytest.fixture
async def world(engine: AsyncEngine, database_url: str) -> World:
    """A business that writes back to whoever stops or starts."""
    made = await a_world(engine, database_url, people=2)
    texts = {"opt_out_reply": f" {STOPPED} ", "opt_in_reply": STARTED}
    await businesses.change(engine, made.tenant.business_id, texts)
    return made


@pytest.fixture
async def client(simulator: Simulator) -> AsyncIterator[WhatsAppClient]:
    async with WhatsAppClient(simulator.url, "v25.0") as made:
        yield made


async def says(world: World, *said: str, sender: str = PHONE[1:]) -> None:
    """Messages of one person, each a second later than all before it, and none of them long ago."""
    for words in said:
        seconds = next(_SECONDS)
        at = str(int(time.time()) - 600 + seconds)
        await world.wrote(a_text(words, sender=sender, message_id=f"wamid.in.{seconds}", timestamp=at))


async def test_what_was_written_back_long_ago_is_forgotten(world: World, engine: AsyncEngine) -> None:
    await says(world, "stop", "start", "stop")
    older = text("UPDATE wish_replies SET created_at = now() - interval '91 days', status = :status WHERE id = :id")
    async with engine.begin() as connection:
        first, second, _ = await connection.scalars(text("SELECT id FROM wish_replies ORDER BY id"))
        await connection.execute(older, {"id": first, "status": "sent"})
        await connection.execute(older, {"id": second, "status": "waiting"})
        await wish_replies.forget(connection)
        assert len((await connection.scalars(text("SELECT id FROM wish_replies"))).all()) == 2


async def replies(engine: AsyncEngine) -> list[tuple[str, str]]:
    async with engine.connect() as connection:
        rows = await connection.execute(text("SELECT wish, status FROM wish_replies ORDER BY id"))
        return [(row.wish, row.status) for row in rows]


async def change(engine: AsyncEngine, statement: str) -> None:
    async with engine.begin() as connection:
        await connection.execute(text(statement))


def texts_to(simulator: Simulator, phone: str) -> list[Any]:
    return [entry["to"] for entry in simulator.accepted() if entry["to"] == phone]


async def test_there_is_one_reply_for_each_change_and_none_for_a_second_stop(
    world: World, engine: AsyncEngine, simulator: Simulator, client: WhatsAppClient
) -> None:
    await says(world, "STOP", "stop!", "Unsubscribe")
    assert await replies(engine) == [("stop", "waiting")]
    rounds = await asyncio.gather(*(wish_replies.send_due(engine, VAULT, client) for _ in range(4)))
    assert sum(rounds) == 1
    assert await replies(engine) == [("stop", "sent")]
    assert await wish_replies.send_due(engine, VAULT, client) == 0
    assert texts_to(simulator, PHONE) == [PHONE]
    await says(world, "START", "START")
    await wish_replies.send_due(engine, VAULT, client)
    assert await replies(engine) == [("stop", "sent"), ("start", "sent")]


async def test_a_webhook_that_comes_twice_promises_once(world: World, engine: AsyncEngine) -> None:
    message = a_text("STOP", timestamp=str(int(time.time())))
    for _ in range(2):
        await world.wrote(message, message)
    assert await replies(engine) == [("stop", "waiting")]


async def test_a_tap_is_answered_too(world: World, engine: AsyncEngine) -> None:
    tap = {"type": "button", "button": {"payload": "STOP|b7", "text": "No more"}, "text": None}
    await world.wrote({**a_text(""), **tap})
    assert await replies(engine) == [("stop", "waiting")]


async def test_whatsapps_own_switch_and_131050_are_not_answered(world: World, engine: AsyncEngine) -> None:
    said = {"wa_id": "972500000001", "category": "marketing_messages", "value": "stop", "timestamp": NOON}
    await world.hear(a_body(world.number, field="user_preferences", user_preferences=[said]))
    await world.statuses(a_failure("wamid.1", 131050, callback=world.callback(1)))
    assert await world.ask("SELECT count(*) FROM suppressions") == 2
    assert await replies(engine) == []


async def test_without_a_text_nothing_is_written_back(world: World, engine: AsyncEngine) -> None:
    settings = await businesses.change(engine, world.tenant.business_id, {"opt_out_reply": "  "})
    assert (settings["opt_out_reply"], settings["opt_in_reply"]) == (None, STARTED)
    await says(world, "STOP")
    assert await replies(engine) == []
    await says(world, "START")
    assert await replies(engine) == [("start", "waiting")]
    with pytest.raises(BadInput):
        await businesses.change(engine, world.tenant.business_id, {"opt_in_reply": "x" * 1_001})


async def test_what_is_late_or_no_longer_so_is_dropped(
    world: World, engine: AsyncEngine, simulator: Simulator, client: WhatsAppClient
) -> None:
    await world.wrote(a_text("STOP"))  # written days ago
    await says(world, "STOP", "START", sender="972500000002")
    await change(engine, "UPDATE wish_replies SET written_at = now() - interval '24 hours' WHERE phone LIKE '%1'")
    await wish_replies.send_due(engine, VAULT, client)
    assert await replies(engine) == [("stop", "dropped"), ("stop", "dropped"), ("start", "sent")]
    assert texts_to(simulator, PHONE) == []


async def test_a_claim_that_nobody_finished_is_unknown_and_never_sent_again(
    world: World, engine: AsyncEngine, simulator: Simulator, client: WhatsAppClient
) -> None:
    await says(world, "STOP")
    await change(
        engine, "UPDATE wish_replies SET status = 'sending', attempts = 1, claimed_at = now() - interval '3 minutes'"
    )
    for _ in range(2):
        assert await wish_replies.send_due(engine, VAULT, client) == 0
    assert await replies(engine) == [("stop", "unknown")]
    assert simulator.accepted() == []


async def test_an_answer_that_broke_off_leaves_it_unknown(world: World, engine: AsyncEngine) -> None:
    await says(world, "STOP")

    async def breaks_off(connection: Connection) -> None:
        await connection.read_request()
        connection.reset()

    async with serving(breaks_off) as server, WhatsAppClient(server.url, "v25.0") as client:
        assert await wish_replies.send_due(engine, VAULT, client) == 1
        assert await wish_replies.send_due(engine, VAULT, client) == 0
    assert await replies(engine) == [("stop", "unknown")]


async def test_what_never_left_is_tried_again_later_and_not_for_ever(
    world: World, engine: AsyncEngine, simulator: Simulator, client: WhatsAppClient
) -> None:
    await says(world, "STOP")
    simulator.stop()
    assert await wish_replies.send_due(engine, VAULT, client) == 1
    assert await wish_replies.send_due(engine, VAULT, client) == 0  # in a minute
    assert await replies(engine) == [("stop", "waiting")]
    for _ in range(wish_replies.MOST_ATTEMPTS - 1):
        await change(engine, "UPDATE wish_replies SET next_attempt_at = now()")
        await wish_replies.send_due(engine, VAULT, client)
    assert await replies(engine) == [("stop", "failed")]


async def test_a_few_of_one_number_go_in_a_round(
    world: World, engine: AsyncEngine, simulator: Simulator, client: WhatsAppClient
) -> None:
    for number in range(wish_replies.A_ROUND + 2):
        await says(world, "STOP", sender=f"9725011111{number:02}")
    counts = [await wish_replies.send_due(engine, VAULT, client) for _ in range(3)]
    assert counts == [wish_replies.A_ROUND, 2, 0]
    assert simulator.most_messages_to_one_person() == 1
