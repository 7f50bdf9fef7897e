"""What webhooks change, on real rows: by whom they are found, in any order, whatever stands beside them."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from server.domain.errors import BadInput
from server.domain.states import Actor, Move
from server.services import billing, broadcasts, retries
from tests.support.books import assert_counters_equal_rows
from tests.support.builders import PHONE_NUMBER_ID, WABA_ID, a_broadcast, a_business
from tests.support.webhooks import NOON, a_body, a_failure, a_status, a_text, an_envelope
from tests.support.world import World, a_world


async def test_statuses_are_counted_once_however_often_they_come(world: World) -> None:
    for _ in range(2):
        await world.statuses(
            a_status("wamid.0", "read", callback=world.callback(0)),
            a_status("wamid.0", "delivered", callback=world.callback(0)),
            a_status("wamid.1", "delivered", callback=world.callback(1)),
        )
    assert world.books() == {"read": 1, "delivered": 1, "sent": 1}
    assert await world.ask("SELECT count(*) FROM message_statuses") == 3


async def test_a_failure_without_contacts_or_recipient_counts(world: World) -> None:
    await world.statuses(a_failure("wamid.0", 131026, callback=world.callback(0)))
    assert world.books() == {"failed": 1, "sent": 2}
    assert "as Meta puts it" in await world.ask(
        "SELECT error_message FROM whatsapp_broadcast_recipients WHERE status = 'failed'"
    )


async def test_a_failure_without_our_text_is_found_by_its_message_id(world: World) -> None:
    await world.statuses(a_status("wamid.0", callback=world.callback(0)))
    await world.statuses(a_failure("wamid.0", 131026), a_failure("wamid.1", 131026))
    assert world.books() == {"failed": 2, "sent": 1}


async def test_one_strange_item_costs_none_of_its_neighbours(world: World) -> None:
    strange: list[Any] = [7, {"id": None}, {"id": "wamid.9", "status": "teleported", "timestamp": "1"}]
    good = a_status("wamid.0", "read", callback=world.callback(0), a_new_field={"deep": [1]})
    body = a_body(world.number, statuses=[*strange, good], messages=[{"odd": True}], errors=[{"code": 130429}])
    body["entry"].append("an entry that is none")
    body["entry"][0]["changes"].append({"field": "a_new_field", "value": {"x": 1}})
    await world.hear(body)
    assert world.books() == {"read": 1, "sent": 2}
    assert await world.ask("SELECT count(*) FROM webhook_oddities") == 5
    assert await world.ask("SELECT count(*) FROM account_updates") == 1


@pytest.mark.parametrize("body", [b"", b"\xff\xfe", b"[]", b"{", b'{"entry":' + b"[" * 5_000, b'{"entry":{}}'])
async def test_what_is_no_webhook_is_kept_as_it_came(world: World, body: bytes) -> None:
    await world.hear(body)
    assert await world.ask("SELECT raw FROM webhook_oddities") == body
    assert await world.ask("SELECT count(*) FROM webhook_inbox") == 0


async def test_nobodys_webhook_changes_the_rows_of_somebody_else(world: World) -> None:
    other = await a_business(world.engine, "Other")
    body = a_body(
        f"{PHONE_NUMBER_ID}{other.business_id}",
        statuses=[a_status("wamid.0", "read", callback=world.callback(0))],
        messages=[a_text("STOP", context={"id": "wamid.1"})],
    )
    await world.hear(body, channel_id=other.channel_id)
    await world.hear(a_body("999", statuses=[a_status("wamid.1", "read", callback=world.callback(1))]))
    assert world.books() == {"sent": 3}


async def test_a_number_that_was_added_a_moment_ago_is_known(world: World) -> None:
    """Numbers of one app share its secret: the first proves bodies that speak of the one that nobody has read yet."""
    await world.statuses(a_status("wamid.0", "delivered", callback=world.callback(0)))  # the directory is read
    newcomer = await a_business(world.engine, "Newcomer")
    broadcast = await a_broadcast(world.engine, recipients=1, tenant=newcomer)
    await world.ask_to("UPDATE whatsapp_broadcast_recipients SET status = 'sent' WHERE message_id IS NULL")
    await world.ask_to("UPDATE whatsapp_broadcasts SET sent_count = 1, processed_count = 1 WHERE sent_count = 0")
    recipient_id = await world.ask("SELECT id FROM whatsapp_broadcast_recipients WHERE message_id IS NULL")
    status = a_status("wamid.new", "read", callback=f"b{broadcast.id}:r{recipient_id}")
    await world.hear(a_body(f"{PHONE_NUMBER_ID}{newcomer.business_id}", statuses=[status]))
    assert assert_counters_equal_rows(world.database_url, broadcast.id).statuses == {"read": 1}
    assert await world.ask("SELECT count(*) FROM webhook_oddities") == 0


async def test_a_status_that_was_quicker_than_our_record_settles_it(
    world: World, engine: AsyncEngine, database_url: str
) -> None:
    async with engine.begin() as connection:
        await connection.execute(
            text("UPDATE whatsapp_broadcast_recipients SET status = 'unknown', message_id = NULL, unknown_at = now()")
        )
        await connection.execute(
            text("UPDATE whatsapp_broadcasts SET sent_count = 0, processed_count = 0, unknown_count = 3")
        )
    await world.statuses(a_status("wamid.0", "delivered", callback=world.callback(0)))
    assert world.books() == {"delivered": 1, "unknown": 2}
    assert (
        await world.ask("SELECT message_id FROM whatsapp_broadcast_recipients WHERE status = 'delivered'") == "wamid.0"
    )


async def test_a_person_who_is_capped_is_put_off_by_a_day_and_twice_at_most(world: World) -> None:
    await world.statuses(a_failure("wamid.0", 131049, callback=world.callback(0)))
    assert world.books() == {"queued": 1, "sent": 2}
    hours = await world.ask(
        "SELECT extract(epoch FROM next_attempt_at - now()) / 3600 FROM whatsapp_broadcast_recipients"
        " WHERE status = 'queued'"
    )
    assert 23.9 < hours < 27
    async with world.engine.begin() as connection:
        await connection.execute(
            text(
                "UPDATE whatsapp_broadcast_recipients SET status = 'sent', attempts = 3, claim_number = 3,"
                " message_id = 'wamid.third' WHERE status = 'queued'"
            )
        )
        await connection.execute(text("UPDATE whatsapp_broadcasts SET sent_count = 3, processed_count = 3"))
    await world.statuses(a_failure("wamid.third", 131049, callback=f"{world.callback(0)}:c3"))
    assert world.books() == {"failed": 1, "sent": 2}


@pytest.mark.parametrize("order", ["delivered first", "failed first", "together"])
async def test_who_has_got_it_is_not_sent_to_again_whatever_fails_later(world: World, order: str) -> None:
    delivered = a_status("wamid.0", "delivered", callback=world.callback(0))
    failed = a_failure("wamid.0", 131049, callback=world.callback(0))
    said = {"delivered first": ([delivered], [failed]), "failed first": ([failed], [delivered])}
    for statuses in said.get(order, ([failed, delivered],)):
        await world.statuses(*statuses)
    assert world.books() == {"failed": 1, "sent": 2}
    async with world.engine.begin() as connection:
        await connection.execute(text("UPDATE whatsapp_broadcasts SET status = 'partial'"))
    async with world.engine.begin() as connection:
        with pytest.raises(BadInput):
            await retries.create(connection, world.broadcast.id, ["failed"])


async def test_a_broadcast_that_had_completed_goes_on_with_whoever_is_put_off(world: World) -> None:
    async with world.engine.begin() as connection:
        await connection.execute(
            text("UPDATE whatsapp_broadcasts SET status = 'completed', lease_holder = NULL, completed_at = now()")
        )
    await world.statuses(a_failure("wamid.0", 131049, callback=world.callback(0)))
    row = assert_counters_equal_rows(world.database_url, world.broadcast.id).row
    assert (row["status"], row["completed_at"]) == ("queued", None)
    assert isinstance(row["resume_at"], datetime)
    assert row["resume_at"] > datetime.now(UTC)


async def test_completed_never_hides_that_somebody_failed(world: World) -> None:
    async with world.engine.begin() as connection:
        await connection.execute(text("UPDATE whatsapp_broadcasts SET status = 'completed', completed_at = now()"))
    await world.statuses(a_failure("wamid.0", 131026, callback=world.callback(0)))
    assert await world.ask("SELECT status FROM whatsapp_broadcasts") == "partial"


async def test_a_payment_problem_pauses_the_broadcast_with_what_to_do(world: World) -> None:
    await world.statuses(a_failure("wamid.0", 131042, callback=world.callback(0)))
    row = assert_counters_equal_rows(world.database_url, world.broadcast.id).row
    assert (row["status"], row["pause_reason"]) == ("paused", "credentials")
    assert "payment" in str(row["status_detail"])


async def test_what_is_billed_is_kept_by_category_and_country(world: World) -> None:
    price = {"billable": True, "pricing_model": "PMP", "type": "regular", "category": "marketing"}
    free = {**price, "type": "free_customer_service"}
    await world.statuses(
        a_status("wamid.0", "sent", callback=world.callback(0), pricing=price),
        a_status("wamid.0", "delivered", callback=world.callback(0), pricing=price),
        a_status("wamid.1", "read", callback=world.callback(1), pricing=price),
        a_status("wamid.2", "read", callback=world.callback(2), pricing=free),
    )
    async with world.engine.connect() as connection:
        assert await billing.of_broadcast(connection, world.broadcast.id) == [
            {"category": "marketing", "type": "regular", "country": "IL", "count": 2},
            {"category": "marketing", "type": "free_customer_service", "country": "IL", "count": 1},
        ]


# --- people's wishes


@pytest.mark.parametrize("word", ["STOP", "stop!", "הסר", "BAJA", "СТОП", "توقف"])
async def test_a_stop_holds_at_once_in_a_broadcast_that_runs(world: World, engine: AsyncEngine, word: str) -> None:
    other = await a_broadcast(engine, recipients=3, tenant=world.tenant)
    await world.wrote(a_text(word, context={"from": "1", "id": "wamid.0"}))
    assert dict(assert_counters_equal_rows(world.database_url, other.id).statuses) == {"skipped": 1, "queued": 2}
    assert await world.ask("SELECT source FROM consent_changes") == f'wrote "{word}"'


async def test_a_stop_among_thousands_of_signs_is_a_stop_and_stands_in_nobodys_way(world: World) -> None:
    signs = "".join(chr(0x2600 + n * 7 % 250) for n in range(4_000))
    await world.wrote(a_text(f"STOP{signs}"))
    assert await world.ask("SELECT count(*) FROM webhook_inbox") == 0
    assert await world.ask("SELECT count(*) FROM suppressions") == 1


async def test_start_lets_messages_in_again_and_every_change_is_kept(world: World) -> None:
    await world.wrote(a_text("STOP", message_id="wamid.s"))
    assert await world.ask("SELECT count(*) FROM suppressions") == 1
    await world.wrote(a_text("START", message_id="wamid.t", timestamp=str(NOON + 60)))
    assert await world.ask("SELECT count(*) FROM suppressions") == 0
    assert await world.ask("SELECT string_agg(wish, ' ' ORDER BY id) FROM consent_changes") == "stop start"


async def test_the_latest_wish_holds_whatever_order_they_come_in(world: World) -> None:
    await world.wrote(a_text("START", message_id="wamid.t", timestamp=str(NOON + 60)))
    await world.wrote(a_text("STOP", message_id="wamid.s"))
    assert await world.ask("SELECT count(*) FROM suppressions") == 0


async def test_a_tap_on_stop_without_context_holds(world: World) -> None:
    tap = {"type": "button", "button": {"payload": "STOP|b7", "text": "No more"}, "text": None}
    await world.wrote({**a_text(""), **tap})
    assert await world.ask("SELECT phone FROM suppressions") == "+972500000001"


async def test_whatsapps_own_switch_stops_and_resumes(world: World) -> None:
    for value, at, left in (("stop", NOON, 1), ("resume", NOON + 5, 0)):
        said = {"wa_id": "972500000001", "category": "marketing_messages", "value": value, "timestamp": at}
        await world.hear(a_body(world.number, field="user_preferences", user_preferences=[said]))
        assert await world.ask("SELECT count(*) FROM suppressions") == left


async def test_131050_suppresses_the_person(world: World) -> None:
    await world.statuses(a_failure("wamid.0", 131050, callback=world.callback(0)))
    assert await world.ask("SELECT count(*) FROM suppressions") == 1
    assert world.books() == {"failed": 1, "sent": 2}


async def test_a_business_has_words_of_its_own(world: World) -> None:
    async with world.engine.begin() as connection:
        await connection.execute(text("""UPDATE businesses SET stop_words = '["genug"]'"""))
    await world.wrote(a_text("Genug!"))
    assert await world.ask("SELECT count(*) FROM suppressions") == 1


async def test_replies_are_linked_and_each_person_is_counted_once(world: World) -> None:
    await world.statuses(a_status("wamid.0", callback=world.callback(0)))
    await world.wrote(
        a_text("Thanks!", message_id="wamid.a", context={"id": "wamid.0"}),
        a_text("And again", message_id="wamid.b", context={"id": "wamid.0"}),
    )
    assert await world.ask("SELECT replied_count FROM whatsapp_broadcasts") == 1
    linked = "SELECT count(*) FROM inbound_messages WHERE broadcast_id = :broadcast_id AND recipient_id = :recipient_id"
    assert await world.ask(linked, recipient_id=world.ids[0]) == 2


async def test_a_reply_without_context_answers_the_latest_message_within_72_hours(world: World) -> None:
    now = int(datetime.now(UTC).timestamp())
    await world.wrote(a_text("Who is this?", message_id="wamid.a", timestamp=str(now)))
    await world.wrote(a_text("Too late", message_id="wamid.b", timestamp=str(now + 73 * 3600)))
    assert await world.ask("SELECT count(*) FROM inbound_messages WHERE broadcast_id = :broadcast_id") == 1


async def test_people_without_a_number_are_kept_too(world: World) -> None:
    said = a_text("Hello", from_user_id="US.134912")
    del said["from"]
    await world.wrote(said)
    assert await world.ask("SELECT user_id FROM inbound_messages") == "US.134912"


@pytest.mark.parametrize("order", ["the status first", "together", "the stop first"])
async def test_a_stop_without_a_number_holds_by_the_message_it_quotes(world: World, order: str) -> None:
    """Also where all that was ever said of the message waits in the same transaction, or in another."""
    status, stop = a_status("wamid.0", callback=world.callback(0)), a_text("STOP", context={"id": "wamid.0"})
    del stop["from"]
    if order == "the status first":
        await world.statuses(status)
    await world.hear(a_body(world.number, statuses=[status] if order == "together" else [], messages=[stop]))
    assert await world.ask("SELECT phone FROM suppressions") == "+972500000001"
    assert await world.ask("SELECT recipient_id FROM inbound_messages") == world.ids[0]


# --- templates, numbers, accounts


async def a_template_broadcast(world: World) -> None:
    async with world.engine.begin() as connection:
        message = '{"template": {"name": "spring_sale", "language": "en_US"}}'
        await connection.execute(
            text("UPDATE whatsapp_broadcasts SET message = CAST(:message AS jsonb)"), {"message": message}
        )


def template_event(event: str, **more: Any) -> dict[str, Any]:
    value = {"event": event, "message_template_name": "spring_sale", "message_template_language": "en-US", **more}
    return an_envelope("message_template_status_update", value, WABA_ID)


async def test_a_paused_template_pauses_its_broadcasts_and_an_approved_one_lets_them_go_on(world: World) -> None:
    await a_template_broadcast(world)
    await world.hear(template_event("PAUSED", other_info={"title": "FIRST_PAUSE"}, reason=None))
    row = assert_counters_equal_rows(world.database_url, world.broadcast.id).row
    assert (row["status"], row["pause_reason"]) == ("paused", "template")
    assert "three hours" in str(row["status_detail"])
    await world.hear(template_event("approved"))
    assert await world.ask("SELECT status FROM whatsapp_broadcasts") == "queued"


async def test_a_restricted_account_pauses_and_a_reinstated_one_goes_on(world: World) -> None:
    restriction = {"restriction_type": "RESTRICTED_BIZ_INITIATED_MESSAGING", "expiration": NOON + 10**7}
    news = {"event": "ACCOUNT_RESTRICTION", "restriction_info": [restriction]}
    await world.hear(an_envelope("account_update", news, WABA_ID))
    row = assert_counters_equal_rows(world.database_url, world.broadcast.id).row
    assert (row["status"], row["pause_reason"]) == ("paused", "quality")
    assert row["resume_at"] is not None
    await world.hear(an_envelope("account_update", {"event": "ACCOUNT_RECONNECTED"}, WABA_ID))
    assert await world.ask("SELECT status FROM whatsapp_broadcasts") == "queued"


async def test_a_throughput_upgrade_is_followed(world: World) -> None:
    async with world.engine.begin() as connection:
        await connection.execute(text("UPDATE channels SET rate_per_second = 80, rate_is_chosen = false"))
    news = {"display_phone_number": "15550783881", "event": "THROUGHPUT_UPGRADE"}
    await world.hear(an_envelope("phone_number_quality_update", news, WABA_ID))
    assert await world.ask("SELECT rate_per_second FROM channels") == 1_000


@pytest.mark.parametrize("rate", [40, 80])
async def test_a_throughput_upgrade_leaves_a_rate_that_somebody_chose(world: World, rate: int) -> None:
    async with world.engine.begin() as connection:
        await connection.execute(
            text("UPDATE channels SET rate_per_second = :rate, rate_is_chosen = true"), {"rate": rate}
        )
    news = {"display_phone_number": "15550783881", "event": "THROUGHPUT_UPGRADE"}
    await world.hear(an_envelope("phone_number_quality_update", news, WABA_ID))
    assert await world.ask("SELECT rate_per_second FROM channels") == rate


@pytest.mark.parametrize(("said", "limit"), [(2_000, 2_000), ("TIER_10K", 10_000), (-1, 0)])
async def test_the_messaging_limit_is_what_meta_says(world: World, said: object, limit: int) -> None:
    news = {"max_daily_conversations_per_business": said, "max_phone_numbers_per_waba": 25}
    await world.hear(an_envelope("business_capability_update", news, WABA_ID))
    assert await world.ask("SELECT messaging_limit FROM businesses") == limit


async def test_a_body_that_cannot_be_applied_is_put_aside_and_stands_in_nobodys_way(world: World) -> None:
    """A number that PostgreSQL has no room for, which no check of ours foresaw."""
    async with world.engine.begin() as connection:
        await connection.execute(
            text("ALTER TABLE message_statuses ADD CONSTRAINT odd CHECK (message_id <> 'wamid.odd')")
        )
    await world.hear(a_body(world.number, statuses=[a_status("wamid.odd")]))
    await world.statuses(a_status("wamid.0", "read", callback=world.callback(0)))
    assert world.books() == {"read": 1, "sent": 2}
    assert "could not be applied" in await world.ask("SELECT reason FROM webhook_oddities")


async def test_who_opted_out_is_not_put_off_until_tomorrow(world: World) -> None:
    await world.wrote(a_text("STOP", context={"id": "wamid.0"}))
    await world.statuses(a_failure("wamid.0", 131049, callback=world.callback(0)))
    assert world.books() == {"failed": 1, "sent": 2}


async def test_an_unpause_after_a_second_pause_is_no_repeat(world: World) -> None:
    await a_template_broadcast(world)
    for at, event, status in (
        (1, "PAUSED", "paused"),
        (2, "APPROVED", "queued"),
        (3, "PAUSED", "paused"),
        (4, "APPROVED", "queued"),
    ):
        body = template_event(event)
        body["entry"][0]["time"] = at
        await world.hear(body)
        assert await world.ask("SELECT status FROM whatsapp_broadcasts") == status


async def test_half_of_a_character_costs_no_other_update(world: World) -> None:
    body = a_body(
        world.number,
        statuses=[a_status("wamid.0", "read", callback=world.callback(0))],
        messages=[a_text("half: HALF")],
    )
    await world.hear(json.dumps(body).encode().replace(b"HALF", b"\\ud83d"))
    assert world.books() == {"read": 1, "sent": 2}
    assert await world.ask("SELECT count(*) FROM inbound_messages") == 1


async def test_a_preference_of_nobody_we_know_is_kept(world: World) -> None:
    said = {"user_id": "US.1", "category": "marketing_messages", "value": "stop", "timestamp": NOON}
    await world.hear(a_body(world.number, field="user_preferences", user_preferences=[said]))
    assert await world.ask("SELECT count(*) FROM webhook_oddities") == 1


async def test_a_repeat_of_an_earlier_attempts_sent_does_not_call_a_failure_back(world: World) -> None:
    first = a_status("wamid.0", "sent", callback=world.callback(0))
    await world.statuses(first)
    await world.statuses(a_failure("wamid.0", 131049, callback=world.callback(0)))
    async with world.engine.begin() as connection:
        await connection.execute(
            text("UPDATE whatsapp_broadcast_recipients SET claim_number = 2, message_id = 'wamid.second'"
                 " WHERE status = 'queued'")
        )  # fmt: skip
    await world.statuses(first)
    assert world.books() == {"queued": 1, "sent": 2}


async def test_an_end_leaves_nobody_behind_who_was_put_back_a_moment_ago(world: World) -> None:
    await world.statuses(a_failure("wamid.0", 131049, callback=world.callback(0)))
    for move in (Move.COMPLETE, Move.FINISH_PARTIAL, Move.SETTLE):
        async with world.engine.begin() as connection:
            assert not await broadcasts.make(connection, world.broadcast.id, move, by=Actor.ENGINE), move


async def told(world: World, *, failed: int, of: int, code: int) -> tuple[str, str, str]:
    """So many fail one after the other, the rest are delivered first. How the broadcast stands then."""
    delivered = [a_status(f"wamid.{n}", "delivered", callback=world.callback(n)) for n in range(failed, of)]
    if delivered:
        await world.statuses(*delivered)
    for n in range(failed):
        assert await world.ask("SELECT status FROM whatsapp_broadcasts") == "running"
        await world.statuses(a_failure(f"wamid.{n}", code, callback=world.callback(n)))
    async with world.engine.connect() as connection:
        row = (
            await connection.execute(text("SELECT status, pause_reason, status_detail FROM whatsapp_broadcasts"))
        ).one()
    return row.status, row.pause_reason, row.status_detail


async def test_a_message_that_does_not_fit_stops_the_sending_at_twenty_reports(
    engine: AsyncEngine, database_url: str
) -> None:
    world = await a_world(engine, database_url, people=40)
    status, reason, detail = await told(world, failed=20, of=40, code=132000)
    assert (status, reason) == ("paused", "failures")
    assert detail.startswith("WhatsApp took the messages, and then reported 20 of the last 40 as failed. The latest: ")


async def test_people_who_are_not_there_stop_the_sending_only_where_they_are_most(
    engine: AsyncEngine, database_url: str
) -> None:
    world = await a_world(engine, database_url, people=101)
    status, _, _ = await told(world, failed=50, of=100, code=131026)
    assert status == "running"
    await world.statuses(a_failure("wamid.100", 131026, callback=world.callback(100)))
    assert await world.ask("SELECT pause_reason FROM whatsapp_broadcasts") == "failures"

    async with engine.begin() as connection:
        assert await broadcasts.make(connection, world.broadcast.id, Move.RESUME, by=Actor.USER)
    assert await world.ask("SELECT reported_count + reported_failed_count FROM whatsapp_broadcasts") == 0


async def test_the_memory_of_what_was_reported_is_bounded(world: World) -> None:
    await world.ask_to("UPDATE whatsapp_broadcasts SET reported_count = 1999, reported_failed_count = 900")
    await world.statuses(a_status("wamid.0", "delivered", callback=world.callback(0)))
    assert await world.ask("SELECT reported_count FROM whatsapp_broadcasts") == 1_000
    assert await world.ask("SELECT reported_failed_count FROM whatsapp_broadcasts") == 450
