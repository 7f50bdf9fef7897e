"""What a broadcast's page, its card and the overview say of a broadcast that waits."""

import re

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.api.conftest import Api, an_order
from tests.api.test_truth import an_unknown
from tests.dashboard.test_overview import words_of
from tests.support.browser import Browser

BY_ITSELF = "Clarion decides by itself, "


async def change(engine: AsyncEngine, statement: str) -> None:
    """Something that happened elsewhere."""
    async with engine.begin() as connection:
        await connection.execute(text(statement))


def section(page: str, name: str) -> str:
    """What is read below a heading."""
    found = re.search(rf'(?s)<section aria-labelledby="{name}".*?</section>', page)
    return words_of(found.group()) if found else ""


async def test_who_waits_after_a_pause_waits_for_their_turn_and_not_to_start(
    api: Api, visitor: Browser, engine: AsyncEngine
) -> None:
    broadcast_id = api.post("/broadcasts", an_order()).json["id"]
    await change(engine, "UPDATE whatsapp_broadcasts SET status = 'queued', started_at = now()")
    for path in ("/", f"/broadcasts/{broadcast_id}", "/broadcasts"):
        page = visitor.get(path).text
        assert "Waiting for its turn" in page, path
        assert "Waiting to start" not in page, path


async def test_where_nothing_but_time_is_needed_it_says_by_when_it_is_decided_and_asks_nobody(
    api: Api, visitor: Browser, engine: AsyncEngine
) -> None:
    path = await an_unknown(engine, api)
    await change(engine, "UPDATE channels SET last_status_at = now()")
    page = visitor.get("/").text
    assert section(page, "needs") == ""
    deciding = section(page, "deciding")
    assert "1 person is unknown Spring sale: Clarion decides by itself, " in deciding
    assert deciding.endswith("UTC at the latest; you may decide before. Look")
    assert BY_ITSELF in section(page, "now")  # its card
    for part in (path, f"{path}/live"):
        assert BY_ITSELF in visitor.get(part).text
    # Its time has come, and the engine has only to look.
    await change(engine, "UPDATE whatsapp_broadcast_recipients SET unknown_at = now() - interval '1 day'")
    page = visitor.get("/").text
    assert "Clarion decides by itself at any moment." in section(page, "deciding")
    assert BY_ITSELF not in section(page, "now")
    assert BY_ITSELF not in visitor.get(path).text


async def test_where_no_report_can_tell_somebody_is_asked(api: Api, visitor: Browser, engine: AsyncEngine) -> None:
    await an_unknown(engine, api)  # of a number that has never heard of any message
    page = visitor.get("/").text
    assert "WhatsApp reports nothing that could tell whether they got it." in section(page, "needs")
    assert section(page, "needs").endswith("unless you decide before. Decide")
    assert section(page, "deciding") == ""


@pytest.mark.parametrize("policy", ["assume_failed", "resend"])
async def test_what_a_business_has_decided_for_all_is_not_asked_of_anybody(
    api: Api, visitor: Browser, engine: AsyncEngine, policy: str
) -> None:
    await an_unknown(engine, api)
    await change(engine, f"UPDATE businesses SET unknown_policy = '{policy}'")  # noqa: S608 - a word of ours
    page = visitor.get("/").text
    assert section(page, "needs") == ""
    assert "Clarion decides by itself" in section(page, "deciding")
