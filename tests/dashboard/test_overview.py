"""The first page: what to do first, what runs, what has ended, how the month and the numbers are."""

import html
import re

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.api.conftest import Api, an_order, people
from tests.support.browser import Browser
from tests.support.simulator import Simulator

_END = text("""
    UPDATE whatsapp_broadcasts
       SET status = 'completed', started_at = now() - make_interval(days => :days), completed_at = now(),
           processed_count = total_recipients, sent_count = total_recipients, delivered_count = total_recipients
     WHERE id = :id
""")

_STEP = r'<li class="(done|next|later)"'


def words_of(page: str) -> str:
    """A page as it is read."""
    return " ".join(html.unescape(re.sub(r"(?s)<head>.*?</head>|<[^>]*>", " ", page)).split())


async def a_finished_broadcast(api: Api, engine: AsyncEngine, name: str, *, days: int = 0, count: int = 3) -> int:
    """One to so many people, started so many days ago."""
    broadcast_id = int(api.post("/broadcasts", an_order(name=name, recipients=people(count))).json["id"])
    async with engine.begin() as connection:
        await connection.execute(_END, {"id": broadcast_id, "days": days})
    return broadcast_id


async def test_where_nothing_was_ever_sent_it_says_what_to_do_first_and_marks_what_is_done(
    api: Api, visitor: Browser, engine: AsyncEngine
) -> None:
    page = visitor.get("/").text
    assert re.findall(_STEP, page) == ["done", "next", "later"]  # it has a number, and nobody yet
    assert re.search(r'aria-current="step"><a href="/contacts"', page)
    assert "This month" not in page
    assert api.post("/contacts", {"phone": "+972501234567"}).status == 201
    page = visitor.get("/").text
    assert re.findall(_STEP, page) == ["done", "done", "next"]
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE channels SET removed_at = now()"))
    page = visitor.get("/").text
    assert re.search(r'aria-current="step"><a href="/numbers"', page)
    assert 'data-key="c"' not in page  # there is nothing to send from


async def test_what_has_ended_is_found_at_once_the_newest_first_and_five_of_them(
    api: Api, visitor: Browser, engine: AsyncEngine
) -> None:
    for place in range(6):
        await a_finished_broadcast(api, engine, f"Sale {place}")
    running = api.post("/broadcasts", an_order(name="Now")).json["id"]
    page = visitor.get("/").text
    latest = page[page.index('id="latest"') :]
    assert re.findall(r">(Sale \d)</a>", latest) == ["Sale 5", "Sale 4", "Sale 3", "Sale 2", "Sale 1"]
    assert "Completed" in latest
    assert f"/broadcasts/{running}" not in latest  # it stands above, among what is under way
    assert "Three steps" not in page


async def test_what_has_just_ended_stands_before_what_was_begun_after_it(
    api: Api, visitor: Browser, engine: AsyncEngine
) -> None:
    """A large one takes hours, in which drafts and small ones come and go."""
    large = int(api.post("/broadcasts", an_order(name="Sale 0")).json["id"])
    for place in range(1, 4):
        await a_finished_broadcast(api, engine, f"Sale {place}")
    for place in range(4, 7):
        api.post("/broadcasts", an_order(name=f"Sale {place}", start=False))
    async with engine.begin() as connection:
        await connection.execute(_END, {"id": large, "days": 0})
    page = visitor.get("/").text
    latest = page[page.index('id="latest"') :]
    assert re.findall(r">(Sale \d)</a>", latest) == ["Sale 0", "Sale 6", "Sale 5", "Sale 4", "Sale 3"]


async def test_a_month_after_none_is_told_without_a_comparison(api: Api, visitor: Browser, engine: AsyncEngine) -> None:
    await a_finished_broadcast(api, engine, "Sale", count=4)
    said = words_of(visitor.get("/").text)
    assert "Sent 4 in 1 broadcast Delivered 100% 4 people Read 0% 0 people Replied 0 0% of those sent to" in said
    assert "month before" not in said


async def test_a_number_is_called_by_what_whatsapp_says_and_by_its_id_only_until_then(
    api: Api, visitor: Browser, simulator: Simulator
) -> None:
    before = words_of(visitor.get("/").text)
    assert "Phone number ID 106540352242922" in before
    assert "Quality not rated" in before
    live = words_of(visitor.get("/numbers/1/live").text)
    assert "+1 555" in live
    assert "Clarion Simulator" in live
    assert "High quality" in live
    assert "WhatsApp accepts the token." in live
    assert "The account tells no app of its events." in live
    after = words_of(visitor.get("/").text)
    assert "Phone number ID" not in after
    assert "+1 555" in after
    assert "No daily limit" in after
    simulator.kill()
    assert "+1 555" in words_of(visitor.get("/").text)  # it waits for nobody, and remembers
