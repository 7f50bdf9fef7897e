"""What is found before a start: in a real database, and of a number at the simulator."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import insert, text, update
from sqlalchemy.ext.asyncio import AsyncEngine

from server.config import Settings
from server.domain.errors import BadInput, NotFound, NotNow, StateDoesNotAllow
from server.domain.preflight import Code, Level, Report
from server.domain.states import Actor
from server.models import Channel, Template, WhatsAppBroadcast
from server.secrets import Vault
from server.services import drafts, preflight, suppressions
from server.services.preflight import Lookout, Outside
from tests.providers.servers import always, answer, serving
from tests.support.builders import VAULT, WABA_ID, Tenant, a_broadcast, a_business
from tests.support.simulator import Simulator

ORDER = {"name": "order_update", "language": "en_US", "variables": {"1": "{{first_name}}", "2": "{{order_id}}"}}
BODY = {"type": "BODY", "text": "Hi {{1}}, your order {{2}} is on its way."}
IMAGE = {"type": "HEADER", "format": "IMAGE"}


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    with Simulator.start(rate=0) as started:
        yield started


async def a_draft(engine: AsyncEngine, recipients: int = 10, *, tenant: Tenant, **template: Any) -> int:
    """A draft with the order template, as the row keeps it."""
    made = await a_broadcast(engine, recipients, status="draft", tenant=tenant)
    async with engine.begin() as connection:
        message = {"template": {**ORDER, **template}}
        await connection.execute(
            update(WhatsAppBroadcast).where(WhatsAppBroadcast.id == made.id).values(message=message)
        )
    return made.id


async def a_template(
    engine: AsyncEngine, tenant: Tenant, *components: dict[str, Any], status: str = "APPROVED"
) -> None:
    """The order template, as a sync would have left it."""
    values = {
        "business_id": tenant.business_id,
        "waba_id": WABA_ID,
        "provider_id": "1",
        "name": "order_update",
        "language": "en_US",
        "status": status,
        "category": "UTILITY",
        "components": list(components) or [BODY],
    }
    async with engine.begin() as connection:
        await connection.execute(insert(Template).values(values))


async def found_in(engine: AsyncEngine, broadcast_id: int, outside: Outside = Outside()) -> Report:  # noqa: B008 - frozen
    async with engine.connect() as connection:
        return await preflight.inspect(connection, broadcast_id, outside)


def codes(report: Report, *levels: Level) -> set[Code]:
    return {finding.code for finding in report.findings if not levels or finding.level in levels}


def detail(report: Report, code: Code) -> str:
    (found,) = (finding for finding in report.findings if finding.code is code)
    return found.detail


def lookout(engine: AsyncEngine, url: str, vault: Vault = VAULT) -> Lookout:
    return Lookout(engine, Settings(graph_api_url=url), vault)


async def test_a_broadcast_in_order_has_nothing_but_infos(engine: AsyncEngine, simulator: Simulator) -> None:
    tenant = await a_business(engine, rate=80)
    await a_template(engine, tenant)
    broadcast_id = await a_draft(engine, 100, tenant=tenant)
    outside = await lookout(engine, simulator.url).of_broadcast(broadcast_id)
    report = await found_in(engine, broadcast_id, outside)
    assert codes(report) == {Code.TEMPLATE_CATEGORY, Code.NO_WEBHOOK, Code.DURATION, Code.NO_RATE_CARD}
    assert (report.recipients, report.seconds, report.errors) == (100, 1.2, [])


@pytest.mark.parametrize(
    ("status", "code"),
    [
        ("PAUSED", Code.TEMPLATE_PAUSED),
        ("DISABLED", Code.TEMPLATE_DISABLED),
        ("REJECTED", Code.TEMPLATE_NOT_APPROVED),
    ],
)
async def test_a_template_that_changed_since_stops_the_start(engine: AsyncEngine, status: str, code: Code) -> None:
    tenant = await a_business(engine)
    await a_template(engine, tenant, status=status)
    broadcast_id = await a_draft(engine, tenant=tenant)
    assert codes(await found_in(engine, broadcast_id), Level.ERROR) == {code}
    async with engine.begin() as connection:
        with pytest.raises(BadInput) as refused:
            await drafts.start(connection, broadcast_id, by=Actor.USER, starts_per_minute=10, outside=Outside())
    assert refused.value.problems[0].pointer == "/template/name"
    async with engine.connect() as connection:
        assert await connection.scalar(text("SELECT status FROM whatsapp_broadcasts")) == "draft"


async def test_a_template_that_is_gone_or_has_another_shape_is_an_error(engine: AsyncEngine) -> None:
    tenant = await a_business(engine)
    broadcast_id = await a_draft(engine, tenant=tenant)
    assert codes(await found_in(engine, broadcast_id), Level.ERROR) == {Code.TEMPLATE_UNKNOWN}
    await a_template(engine, tenant, IMAGE, {"type": "BODY", "text": "{{1}} {{2}} {{3}}"})
    report = await found_in(engine, broadcast_id)
    assert [error.code for error in report.errors] == [Code.TEMPLATE_MISMATCH] * 2
    assert {error.pointer for error in report.errors} == {"/template/variables/3", "/template/header"}


async def test_rows_without_a_value_are_counted_and_the_first_are_named(engine: AsyncEngine) -> None:
    tenant = await a_business(engine)
    await a_template(engine, tenant)
    broadcast_id = await a_draft(engine, 20, tenant=tenant)
    async with engine.begin() as connection:
        await connection.execute(
            text("UPDATE whatsapp_broadcast_recipients SET variables = variables - 'order_id' WHERE row_number > 12")
        )
        await connection.execute(
            text(
                "UPDATE whatsapp_broadcast_recipients SET variables = variables || CAST(:v AS jsonb)"
                " WHERE row_number = 3"
            ),
            {"v": '{"first_name": " \\t "}'},
        )
    report = await found_in(engine, broadcast_id)
    assert not report.errors
    first_name, order_id = (finding.detail for finding in report.findings if finding.code is Code.VALUE_MISSING)
    assert first_name.startswith('1 person has no value for "first_name" (rows 3).')
    assert order_id.startswith('8 people have no value for "order_id" (rows 13, 14, 15, 16, 17 and more).')
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE whatsapp_broadcast_recipients SET variables = '{}'"))
    assert codes(await found_in(engine, broadcast_id), Level.ERROR) == {Code.VALUE_MISSING}


async def test_people_who_opted_out_are_not_counted_as_recipients(engine: AsyncEngine) -> None:
    tenant = await a_business(engine, rate=1)
    await a_template(engine, tenant)
    broadcast_id = await a_draft(engine, 3, tenant=tenant)
    async with engine.begin() as connection:
        for number in (1, 2, 999):  # an opt-out does not reach into a draft, and the last is not on its list
            await suppressions.suppress(connection, tenant.business_id, f"+97250{number:07d}", "said STOP")
    report = await found_in(engine, broadcast_id)
    assert (report.recipients, report.seconds) == (1, 1.0)
    assert detail(report, Code.OPTED_OUT).startswith("2 people")
    async with engine.begin() as connection:
        await suppressions.suppress(connection, tenant.business_id, "+972500000003", "said STOP")
    assert codes(await found_in(engine, broadcast_id), Level.ERROR) == {Code.NOBODY}


async def test_rejected_rows_and_duplicates_are_counted(engine: AsyncEngine) -> None:
    tenant = await a_business(engine)
    await a_template(engine, tenant)
    broadcast_id = await a_draft(engine, tenant=tenant)
    rejected = [{"row": 1, "phone": "1", "reason": reason} for reason in ("duplicate", "duplicate", "too short")]
    async with engine.begin() as connection:
        await connection.execute(update(WhatsAppBroadcast).values(rejected=rejected, rejected_count=3))
    report = await found_in(engine, broadcast_id)
    assert detail(report, Code.DUPLICATES).startswith("2 rows of the list have a phone")
    assert detail(report, Code.REJECTED_ROWS) == "1 row of the list cannot be used and was left out."


async def test_a_number_that_has_reported_is_not_told_to_set_up_its_webhook(engine: AsyncEngine) -> None:
    tenant = await a_business(engine)
    await a_template(engine, tenant)
    broadcast_id = await a_draft(engine, tenant=tenant)
    assert Code.NO_WEBHOOK in codes(await found_in(engine, broadcast_id))
    async with engine.begin() as connection:
        await connection.execute(update(Channel).values(last_status_at=datetime.now(UTC)))
    assert Code.NO_WEBHOOK not in codes(await found_in(engine, broadcast_id))


async def test_the_number_and_its_account_are_asked_at_whatsapp(engine: AsyncEngine, simulator: Simulator) -> None:
    tenant = await a_business(engine)
    await a_template(engine, tenant)
    broadcast_id = await a_draft(engine, tenant=tenant)
    simulator.world(status="FLAGGED", quality_rating="RED")
    outside = await lookout(engine, simulator.url).of_broadcast(broadcast_id)
    assert codes(await found_in(engine, broadcast_id, outside), Level.WARNING) == {
        Code.NUMBER_STATUS,
        Code.NUMBER_QUALITY,
    }
    simulator.world(status="BANNED")
    outside = await lookout(engine, simulator.url).of_broadcast(broadcast_id)
    report = await found_in(engine, broadcast_id, outside)
    assert codes(report, Level.ERROR) == {Code.ACCOUNT_HEALTH, Code.NUMBER_STATUS}
    assert "The phone number is BANNED." in detail(report, Code.ACCOUNT_HEALTH)
    async with engine.begin() as connection:
        with pytest.raises(NotNow, match="The phone number is BANNED"):
            await drafts.start(connection, broadcast_id, by=Actor.USER, starts_per_minute=10, outside=outside)


async def test_a_provider_that_is_away_is_a_warning_and_stops_nothing(
    engine: AsyncEngine, simulator: Simulator
) -> None:
    tenant = await a_business(engine)
    await a_template(engine, tenant)
    broadcast_id = await a_draft(engine, tenant=tenant)
    simulator.stop()
    outside = await lookout(engine, simulator.url).of_broadcast(broadcast_id)
    assert [(found.level, found.code) for found in outside.findings] == [(Level.WARNING, Code.PROVIDER_AWAY)]
    async with engine.begin() as connection:
        await drafts.start(connection, broadcast_id, by=Actor.USER, starts_per_minute=10, outside=outside)
        assert await connection.scalar(text("SELECT status FROM whatsapp_broadcasts")) == "queued"


async def test_a_token_that_is_wrong_or_cannot_be_read_is_an_error(engine: AsyncEngine) -> None:
    tenant = await a_business(engine)
    await a_template(engine, tenant)
    broadcast_id = await a_draft(engine, tenant=tenant)
    with Simulator.start(token="another") as simulator:
        wrong = await lookout(engine, simulator.url).of_broadcast(broadcast_id)
        unread = await lookout(engine, simulator.url, Vault(["another key"])).of_broadcast(broadcast_id)
    for outside in (wrong, unread):
        assert codes(await found_in(engine, broadcast_id, outside), Level.ERROR) == {Code.CREDENTIALS}


async def test_the_link_of_a_header_is_asked(engine: AsyncEngine, simulator: Simulator) -> None:
    tenant = await a_business(engine)
    await a_template(engine, tenant, IMAGE, BODY)
    asks = lookout(engine, simulator.url)
    async with serving(always(answer(404, b""))) as server:
        gone = await a_draft(engine, tenant=tenant, header={"image": {"link": f"{server.url}/spring 2027.png"}})
        report = await found_in(engine, gone, await asks.of_broadcast(gone))
        assert codes(report, Level.ERROR) == {Code.MEDIA_LINK}
        assert server.heads[0].startswith(b"HEAD /spring%202027.png ")
        personal = await a_draft(engine, tenant=tenant, header={"image": {"link": f"{server.url}/{{{{order_id}}}}"}})
        report = await found_in(engine, personal, await asks.of_broadcast(personal))
        assert (codes(report, Level.ERROR), server.requests_read) == (set(), 1)
        assert "differs from person to person" in detail(report, Code.MEDIA_LINK)


async def test_where_the_cloud_api_is_not_on_this_machine_a_private_link_is_refused(engine: AsyncEngine) -> None:
    tenant = await a_business(engine)
    await a_template(engine, tenant, IMAGE, BODY)
    async with serving(always(answer(200, b""))) as server:
        broadcast_id = await a_draft(engine, tenant=tenant, header={"image": {"link": server.url}})
        outside = await lookout(engine, "http://graph.invalid").of_broadcast(broadcast_id)
        assert server.requests_read == 0
    assert codes(await found_in(engine, broadcast_id, outside), Level.ERROR) == {Code.MEDIA_LINK}


async def test_a_broadcast_without_a_number_has_none_to_send_from(engine: AsyncEngine, simulator: Simulator) -> None:
    tenant = await a_business(engine)
    broadcast_id = await a_draft(engine, tenant=tenant)
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE whatsapp_broadcasts SET channel_id = NULL"))
        await connection.execute(text("DELETE FROM channels"))
    outside = await lookout(engine, simulator.url).of_broadcast(broadcast_id)
    assert codes(await found_in(engine, broadcast_id, outside), Level.ERROR) == {Code.CHANNEL}


async def test_a_broadcast_that_has_started_is_refused_for_its_state_alone(engine: AsyncEngine) -> None:
    tenant = await a_business(engine)
    running = await a_broadcast(engine, 0, status="running", tenant=tenant)
    async with engine.begin() as connection:
        with pytest.raises(StateDoesNotAllow):
            await drafts.start(connection, running.id, by=Actor.USER, starts_per_minute=10, outside=Outside())


async def test_what_is_not_there_is_not_found(engine: AsyncEngine, simulator: Simulator) -> None:
    with pytest.raises(NotFound):
        await lookout(engine, simulator.url).of_broadcast(7)
    with pytest.raises(NotFound):
        await found_in(engine, 7)
