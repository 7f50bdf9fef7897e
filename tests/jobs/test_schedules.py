"""A schedule whose time comes while nobody looks, with the steward and a worker as they run."""

from sqlalchemy import func, insert, update
from sqlalchemy.ext.asyncio import AsyncEngine

from server.models import Template, WhatsAppBroadcast
from tests.support.builders import WABA_ID, a_broadcast, a_business
from tests.support.engine import Engine


async def test_a_template_paused_before_its_time_holds_it_and_once_mended_everybody_gets_it(
    engine: AsyncEngine, clarion: Engine
) -> None:
    tenant = await a_business(engine)
    made = await a_broadcast(engine, 5, status="scheduled", tenant=tenant)
    template = {
        "business_id": tenant.business_id,
        "waba_id": WABA_ID,
        "provider_id": "1",
        "name": "order_update",
        "language": "en_US",
        "status": "PAUSED",
        "category": "UTILITY",
        "components": [{"type": "BODY", "text": "Hi {{1}}, your order {{2}} is on its way."}],
    }
    wanted = {"name": "order_update", "language": "en_US", "variables": {"1": "{{first_name}}", "2": "{{order_id}}"}}
    async with engine.begin() as connection:
        await connection.execute(insert(Template).values(template))
        await connection.execute(
            update(WhatsAppBroadcast).values(message={"template": wanted}, scheduled_at=func.now())
        )
    clarion.start("worker")
    clarion.start("steward")
    row = clarion.until_row(made.id, lambda row: row["status"] == "paused")
    assert (row["pause_reason"], row["sent_count"]) == ("template", 0)
    clarion.execute("UPDATE templates SET status = 'APPROVED'")
    clarion.execute("UPDATE whatsapp_broadcasts SET resume_at = clock_timestamp()")
    assert clarion.until_ended(made.id)["sent_count"] == 5
    clarion.assert_books_balance(made.id)
