"""A broadcast as it goes, watched by somebody who can stop it."""

import re

import pytest
from playwright.async_api import Browser, expect

from tests.api.conftest import an_order, people
from tests.browser.chromium import Look, Visit
from tests.browser.conftest import Site
from tests.support.engine import Engine

DESK = Look(1440, "light", "en")


async def watch_a_broadcast(visit: Visit, site: Site, clarion: Engine, *, rate: int) -> int:
    """The page of one that goes on for longer than anybody looks. rate: messages a second."""
    broadcast_id = site.api.post("/broadcasts", an_order(recipients=people(3_000), rate_limit=rate)).json["id"]
    clarion.start("worker")
    await visit.sign_in(site.address, site.email, site.password)
    await visit.page.goto(f"{site.address}/broadcasts/{broadcast_id}")
    return int(broadcast_id)


async def test_a_page_moves_by_itself_and_its_buttons_pause_resume_and_cancel(
    browser: Browser, site: Site, clarion: Engine
) -> None:
    async with DESK.open(browser) as visit:
        page = visit.page
        broadcast_id = await watch_a_broadcast(visit, site, clarion, rate=100)
        headline = page.locator(".headline b")
        await expect(headline).not_to_have_text("0", timeout=20_000)  # nobody loaded the page again
        before = await headline.inner_text()
        await expect(headline).not_to_have_text(before, timeout=20_000)

        await page.get_by_role("button", name="Pause").click()
        await expect(page.locator(".chip").first).to_have_text("Paused")
        await expect(page.get_by_text("Paused by Dana.")).to_be_visible()
        stopped_at = clarion.until_row(broadcast_id, lambda row: row["lease_holder"] is None)["sent_count"]
        assert clarion.simulator.summary()["accepted"] == stopped_at

        await page.get_by_role("button", name="Resume").click()
        await expect(page.locator(".chip").first).to_have_text("Sending", timeout=20_000)

        await page.get_by_role("link", name="Cancel").click()
        asked = page.get_by_role("dialog")
        await expect(asked).to_contain_text(re.compile(r"people will not get it"))
        await asked.get_by_role("button", name="Cancel it for good").click()
        await expect(page.locator(".chip").first).to_have_text("Cancelled", timeout=20_000)
    clarion.assert_books_balance(broadcast_id)


async def test_the_curve_ends_with_what_the_headline_says_and_draws_no_failures_while_there_are_none(
    browser: Browser, site: Site, clarion: Engine
) -> None:
    async with DESK.open(browser) as visit:
        page = visit.page
        broadcast_id = await watch_a_broadcast(visit, site, clarion, rate=50)
        legend = page.locator(".plot .legend")
        await expect(legend).to_contain_text(re.compile(r"Sent \d+"), timeout=20_000)
        await expect(legend).not_to_contain_text("Failed")
        await page.get_by_role("button", name="Pause").click()
        stopped_at = clarion.until_row(broadcast_id, lambda row: row["lease_holder"] is None)["sent_count"]
        # No steward runs here, so that nothing was sampled: it is what the page has heard.
        await expect(page.locator(".headline b")).to_have_text(str(stopped_at))
        await expect(legend.locator("b").first).to_have_text(str(stopped_at))
        clarion.simulator.order("code", code=131026, times=1)
        await page.get_by_role("button", name="Resume").click()
        await expect(legend).to_contain_text("Failed 1", timeout=20_000)


_REPORTED = """
    UPDATE whatsapp_broadcasts
       SET sent_count = 2, delivered_count = 2, failed_count = 1, status = 'partial' WHERE id = %(id)s
"""
_REOPENED = "UPDATE whatsapp_broadcasts SET status = 'queued', completed_at = NULL WHERE id = %(id)s"


@pytest.mark.parametrize("is_opened_after_the_end", [False, True])
async def test_what_is_reported_after_the_end_is_told_by_every_part_of_the_page(
    browser: Browser, site: Site, clarion: Engine, is_opened_after_the_end: bool
) -> None:
    """The stream ends with the broadcast, and WhatsApp reports for days after it."""
    broadcast_id = site.api.post("/broadcasts", an_order(recipients=people(3))).json["id"]
    async with DESK.open(browser) as visit:
        page = visit.page
        await visit.sign_in(site.address, site.email, site.password)
        if not is_opened_after_the_end:
            await page.goto(f"{site.address}/broadcasts/{broadcast_id}")
        clarion.start("worker")
        clarion.until_ended(broadcast_id)
        if is_opened_after_the_end:
            await page.goto(f"{site.address}/broadcasts/{broadcast_id}")
        await expect(page.locator(".chip").first).to_have_text("Completed", timeout=20_000)
        # What tells of the end is there with it, and not at the next look.
        await expect(page.locator("ol.history")).to_contain_text("Completed", timeout=5_000)
        clarion.execute(_REPORTED, id=broadcast_id)
        await expect(page.locator(".chip").first).to_have_text("Finished, some failed", timeout=15_000)
        await expect(page.locator(".headline")).to_have_text("2 of 3 sent")
        await expect(page.locator(".hero .legend")).to_contain_text("Delivered 2")
        await expect(page.locator(".funnel")).to_contain_text("Delivered 2")
        legend = page.locator(".plot .legend")
        for told in ("Sent 2", "Delivered 2", "Failed 1"):
            await expect(legend).to_contain_text(told)
        assert await visit.trouble() == []
        clarion.execute(_REOPENED, id=broadcast_id)  # somebody of it may be sent to again
        await expect(page.locator("[hx-sse\\:connect]")).to_have_count(1, timeout=15_000)


async def test_the_overview_moves_a_broadcast_to_where_it_belongs_by_itself(
    browser: Browser, site: Site, clarion: Engine
) -> None:
    broadcast_id = site.api.post("/broadcasts", an_order(recipients=people(3))).json["id"]
    async with DESK.open(browser) as visit:
        page = visit.page
        await visit.sign_in(site.address, site.email, site.password)
        await expect(page.locator(f"#card-{broadcast_id}")).to_contain_text("0 of 3 sent")
        clarion.start("worker")
        latest = page.get_by_role("region", name="Latest")
        await expect(latest).to_contain_text("Completed", timeout=25_000)
        await expect(page.locator(f"#card-{broadcast_id}")).to_have_count(0)
        clarion.execute(_REPORTED, id=broadcast_id)
        await expect(latest).to_contain_text("Finished, some failed", timeout=15_000)
