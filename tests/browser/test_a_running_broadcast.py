"""A broadcast as it goes, watched by somebody who can stop it."""

import re

from playwright.async_api import Browser, expect

from tests.api.conftest import an_order, people
from tests.browser.chromium import Look
from tests.browser.conftest import Site
from tests.support.engine import Engine

DESK = Look(1440, "light", "en")


async def test_a_page_moves_by_itself_and_its_buttons_pause_resume_and_cancel(
    browser: Browser, site: Site, clarion: Engine
) -> None:
    broadcast = site.api.post("/broadcasts", an_order(recipients=people(3_000), rate_limit=100)).json
    clarion.start("worker")
    async with DESK.open(browser) as visit:
        page = visit.page
        await visit.sign_in(site.address, site.email, site.password)
        await page.goto(f"{site.address}/broadcasts/{broadcast['id']}")
        headline = page.locator(".headline b")
        await expect(headline).not_to_have_text("0", timeout=20_000)  # nobody loaded the page again
        before = await headline.inner_text()
        await expect(headline).not_to_have_text(before, timeout=20_000)

        await page.get_by_role("button", name="Pause").click()
        await expect(page.locator(".chip").first).to_have_text("Paused")
        await expect(page.get_by_text("Paused by Dana.")).to_be_visible()
        stopped_at = clarion.until_row(broadcast["id"], lambda row: row["lease_holder"] is None)["sent_count"]
        assert clarion.simulator.summary()["accepted"] == stopped_at

        await page.get_by_role("button", name="Resume").click()
        await expect(page.locator(".chip").first).to_have_text("Sending", timeout=20_000)

        await page.get_by_role("link", name="Cancel").click()
        asked = page.get_by_role("dialog")
        await expect(asked).to_contain_text(re.compile(r"people will not get it"))
        await asked.get_by_role("button", name="Cancel it for good").click()
        await expect(page.locator(".chip").first).to_have_text("Cancelled", timeout=20_000)
    clarion.assert_books_balance(broadcast["id"])


async def test_the_curve_ends_with_what_the_headline_says_and_draws_no_failures_while_there_are_none(
    browser: Browser, site: Site, clarion: Engine
) -> None:
    broadcast = site.api.post("/broadcasts", an_order(recipients=people(300), rate_limit=50)).json
    clarion.start("worker")
    async with DESK.open(browser) as visit:
        page = visit.page
        await visit.sign_in(site.address, site.email, site.password)
        await page.goto(f"{site.address}/broadcasts/{broadcast['id']}")
        legend = page.locator(".plot .legend")
        await expect(legend).to_contain_text(re.compile(r"Sent \d+"), timeout=20_000)
        await expect(legend).not_to_contain_text("Failed")
        await page.get_by_role("button", name="Pause").click()
        stopped_at = clarion.until_row(broadcast["id"], lambda row: row["lease_holder"] is None)["sent_count"]
        # No steward runs here, so that nothing was sampled: it is what the page has heard.
        await expect(page.locator(".headline b")).to_have_text(str(stopped_at))
        await expect(legend.locator("b").first).to_have_text(str(stopped_at))
        clarion.simulator.order("code", code=131026, times=1)
        await page.get_by_role("button", name="Resume").click()
        await expect(legend).to_contain_text("Failed 1", timeout=20_000)
