"""WhatsApp calls some people by another way of writing their number than the one they were sent to."""

from datetime import UTC, datetime

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from server.services import conversations
from tests.support.books import assert_counters_equal_rows
from tests.support.builders import a_broadcast
from tests.support.webhooks import NOON, a_body, a_status, a_text
from tests.support.world import World

# As we send, and as WhatsApp says.
REWRITTEN = pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("+5531987654321", "553187654321"),
        ("+553187654321", "5531987654321"),
        ("+525512345678", "5215512345678"),
        ("+5215512345678", "525512345678"),
        ("+541123456789", "5491123456789"),
        ("+5491123456789", "541123456789"),
    ],
)


async def sent_to(world: World, phone: str, n: int = 0) -> None:
    """The nth person has this phone, in the broadcast that was sent and in one that waits."""
    await world.ask_to(f"UPDATE whatsapp_broadcast_recipients SET phone = '{phone}' WHERE row_number = {n + 1}")  # noqa: S608


@REWRITTEN
@pytest.mark.parametrize("quotes", [True, False], ids=["quoting", "without a quote"])
async def test_their_stop_holds_for_the_number_we_send_to(
    world: World, engine: AsyncEngine, ours: str, theirs: str, quotes: bool
) -> None:
    waiting = await a_broadcast(engine, recipients=3, tenant=world.tenant)
    await sent_to(world, ours)
    said = a_text("STOP", sender=theirs)
    await world.wrote({**said, "context": {"id": "wamid.0"}} if quotes else said)
    assert dict(assert_counters_equal_rows(world.database_url, waiting.id).statuses) == {"skipped": 1, "queued": 2}
    skipped = "SELECT phone FROM whatsapp_broadcast_recipients WHERE status = 'skipped'"
    assert await world.ask(skipped) == ours


@REWRITTEN
async def test_a_stop_holds_for_a_list_that_comes_later(world: World, ours: str, theirs: str) -> None:
    """Long after the last message, and for a number that nobody was sent to yet."""
    await world.wrote(a_text("STOP", sender=theirs, timestamp=str(NOON + 10**7)))
    assert await world.ask(f"SELECT count(*) FROM suppressions WHERE phone = '{ours}'") == 1  # noqa: S608
    await world.wrote(a_text("START", sender=theirs, message_id="wamid.s", timestamp=str(NOON + 10**7 + 1)))
    assert await world.ask("SELECT count(*) FROM suppressions") == 0


@REWRITTEN
async def test_whatsapps_own_switch_holds_for_the_number_we_send_to(world: World, ours: str, theirs: str) -> None:
    said = {"wa_id": theirs, "category": "marketing_messages", "value": "stop", "timestamp": NOON}
    await world.hear(a_body(world.number, field="user_preferences", user_preferences=[said]))
    assert await world.ask(f"SELECT count(*) FROM suppressions WHERE phone = '{ours}'") == 1  # noqa: S608


@REWRITTEN
async def test_what_they_write_stands_in_their_conversation_and_counts_as_a_reply(
    world: World, engine: AsyncEngine, ours: str, theirs: str
) -> None:
    await sent_to(world, ours)
    now = int(datetime.now(UTC).timestamp())
    await world.wrote(a_text("Who is this?", sender=theirs, timestamp=str(now)))
    assert await world.ask("SELECT replied_count FROM whatsapp_broadcasts") == 1
    async with engine.connect() as connection:
        found = await conversations.messages(connection, world.tenant.business_id, ours, before=None, limit=10)
    assert [message["body"] for message in found if message["direction"] == "in"] == ["Who is this?"]


@pytest.mark.parametrize(
    ("neighbour", "theirs"),
    [
        ("+5531987654322", "553187654321"),  # another number
        ("+5531923456789", "553123456789"),  # a landline, and a mobile that begins like it behind its nine
        ("+521551234567", "521551234567"),  # a digit too few
        ("+61987654321", "6187654321"),  # another country
        ("+5511987654321", "553187654321"),  # another town
    ],
)
async def test_nobody_else_is_taken_for_them(world: World, engine: AsyncEngine, neighbour: str, theirs: str) -> None:
    waiting = await a_broadcast(engine, recipients=3, tenant=world.tenant)
    if f"+{theirs}" != neighbour:
        await sent_to(world, neighbour)
    await world.wrote(a_text("STOP", sender=theirs, timestamp=str(int(datetime.now(UTC).timestamp()))))
    assert dict(assert_counters_equal_rows(world.database_url, waiting.id).statuses) == {"queued": 3}
    assert await world.ask("SELECT replied_count FROM whatsapp_broadcasts WHERE id = :broadcast_id") == 0


async def test_of_two_ways_in_two_lists_the_latest_message_is_the_one_that_was_answered(world: World) -> None:
    await sent_to(world, "+5531987654321", 0)
    await sent_to(world, "+553187654321", 1)
    now = datetime.now(UTC)
    await world.ask_to(
        "UPDATE whatsapp_broadcast_recipients SET sent_at = now() - interval '1 hour' WHERE row_number = 1"
    )
    await world.statuses(a_status("wamid.1", callback=world.callback(1)))
    await world.wrote(a_text("Hello", sender="5531987654321", timestamp=str(int(now.timestamp()))))
    linked = "SELECT recipient_id FROM inbound_messages"
    assert await world.ask(linked) == world.ids[1]
