"""Templates on the pages: found, synced, and one as it is read, with what WhatsApp told of it."""

import json
import re
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import insert, text
from sqlalchemy.ext.asyncio import AsyncEngine

from server.models import Template
from tests.api.conftest import Api, an_order
from tests.support.browser import Browser
from tests.support.builders import WABA_ID

SALE = [
    {"type": "HEADER", "format": "IMAGE", "example": {"header_handle": ["https://example.com/spring.jpg"]}},
    {"type": "BODY", "text": "Hi *{{1}}*, <script>{{2}}</script>", "example": {"body_text": [["Dana", "_now_"]]}},
    {"type": "FOOTER", "text": "Bye & thanks"},
    {"type": "BUTTONS", "buttons": [{"type": "URL", "text": "Shop", "url": "https://x.example/{{1}}"}]},
]


async def a_template(engine: AsyncEngine, api: Api, name: str, **columns: Any) -> int:
    """A template of Acme; its id."""
    values = {
        "business_id": api.business_id,
        "waba_id": WABA_ID,
        "provider_id": name,
        "name": name,
        "language": "he",
        "status": "APPROVED",
        "category": "MARKETING",
        "components": SALE,
        **columns,
    }
    async with engine.begin() as connection:
        return int(await connection.scalar(insert(Template).values(values).returning(Template.id)) or 0)


async def tell(engine: AsyncEngine, field: str, value: dict[str, Any], name: str) -> None:
    """What a webhook brought, as it is kept."""
    of = {"message_template_name": name, "message_template_language": "he"}
    async with engine.begin() as connection:
        channel_id = await connection.scalar(text("SELECT min(id) FROM channels"))
        raw = json.dumps({"field": field, "value": {**of, **value}})
        await connection.execute(
            text(
                "INSERT INTO account_updates (channel_id, field, hash, received_at, raw)"
                " VALUES (:channel_id, :field, decode(md5(:raw), 'hex'), :at, :raw)"
            ),
            {"channel_id": channel_id, "field": field, "raw": raw, "at": datetime(2026, 11, 28, 9, tzinfo=UTC)},
        )


async def test_a_template_is_shown_as_it_is_read_and_nothing_of_it_is_markup(
    visitor: Browser, api: Api, engine: AsyncEngine
) -> None:
    template_id = await a_template(engine, api, "spring_sale")
    page = visitor.get(f"/templates/{template_id}").text
    assert "Hi <strong>Dana</strong>, &lt;script&gt;<em>now</em>&lt;/script&gt;" in page
    assert "Bye &amp; thanks" in page
    assert "https://example.com/spring.jpg" in page
    assert f"/compose?template={template_id}" in page
    assert "https://x.example/<mark>{{1}}</mark>" in page  # the button has no example, so its place is left
    assert re.search(r'<p class="wa-body" dir="auto">', page)


async def test_a_template_names_the_broadcasts_that_used_it(visitor: Browser, api: Api, engine: AsyncEngine) -> None:
    assert api.post("/broadcasts", an_order(name="With it")).status == 202
    async with engine.connect() as connection:
        template_id = await connection.scalar(
            text("SELECT id FROM templates WHERE business_id = :id"), {"id": api.business_id}
        )
    assert "With it" in visitor.get(f"/templates/{template_id}").text


async def test_what_whatsapp_told_is_said_in_plain_words(visitor: Browser, api: Api, engine: AsyncEngine) -> None:
    paused = await a_template(engine, api, "winter", status="PAUSED")
    told = {"event": "paused", "reason": None, "other_info": {"title": "FIRST_PAUSE"}}
    await tell(engine, "message_template_status_update", told, "winter")
    quality = {"previous_quality_score": "GREEN", "new_quality_score": "RED"}
    await tell(engine, "message_template_quality_update", quality, "winter")
    page = visitor.get(f"/templates/{paused}").text
    assert "paused it for three hours" in page
    assert '<time datetime="2026-11-28T12:00:00+00:00"' in page
    assert "Poor quality" in page
    assert "Poor quality" in visitor.get("/templates").text
    assert "/compose?template" not in page

    rejected = await a_template(engine, api, "money", status="REJECTED")
    await tell(engine, "message_template_status_update", {"event": "REJECTED", "reason": "SCAM"}, "money")
    assert "takes it for a fraud" in visitor.get(f"/templates/{rejected}").text


async def test_templates_are_found_by_words_status_category_and_language(
    visitor: Browser, api: Api, engine: AsyncEngine
) -> None:
    await a_template(engine, api, "spring_sale")
    await a_template(engine, api, "winter_sale", status="PAUSED", language="es")

    def found(query: str) -> list[str]:
        return re.findall(r'class="whole" [^>]*><bdi dir="ltr">(\w+)', visitor.get(f"/templates?{query}").text)

    assert found("") == ["order_update", "spring_sale", "winter_sale"]
    assert found("q=spring+sale") == ["spring_sale"]
    assert found("q=thanks") == ["spring_sale", "winter_sale"]
    assert found("q=%25") == []
    assert found("status=PAUSED") == ["winter_sale"]
    assert found("category=UTILITY") == ["order_update"]
    assert found("language=es") == ["winter_sale"]


async def test_a_sync_says_what_came_and_what_went(visitor: Browser, api: Api, engine: AsyncEngine) -> None:
    await a_template(engine, api, "long_gone")
    visitor.get("/templates")
    page = re.sub(r"<[^>]+>", "", visitor.post("/templates/sync").text)
    assert re.search(r"Came: .*spring_sale \(he\)", page)
    assert re.search(r"Went: long_gone \(he\)", page)
    again = visitor.post("/templates/sync").text
    assert "Nothing has changed." in again


async def test_templates_are_behind_the_walls(
    visitor: Browser, stranger: Browser, viewer: Browser, api: Api, engine: AsyncEngine
) -> None:
    template_id = await a_template(engine, api, "secret")
    assert stranger.get(f"/templates/{template_id}").status == 404
    assert "secret" not in stranger.get("/templates").text
    assert viewer.get(f"/templates/{template_id}").status == 200
    assert viewer.post("/templates/sync").status == 403
    assert visitor.post("/templates/sync", csrf="other").status == 403
