"""A click while Clarion is away: the page says so and stays as it is."""

from playwright.async_api import Browser, FilePayload, Locator, Route, expect

from tests.api.conftest import an_order
from tests.browser.chromium import Look
from tests.browser.conftest import Site

PHONE = Look(390, "light", "en")
AWAY = "Clarion does not answer just now."


async def no_connection(route: Route) -> None:
    """As where the process is gone."""
    await route.abort("connectionrefused")


async def bad_gateway(route: Route) -> None:
    """As a proxy answers for a process that is gone."""
    await route.fulfill(status=502, content_type="text/html", body="<h1>Bad Gateway</h1>")


async def click_in_vain(button: Locator, asked: str) -> None:
    """Whichever way nobody answers what it asks for, the page says so once and shows nothing of a stranger's."""
    page = button.page
    for outage in (no_connection, bad_gateway):
        await page.route(asked, outage)
        await button.click()
        await expect(page.get_by_text(AWAY)).to_have_count(1)
        assert "Bad Gateway" not in await page.content()
        await page.unroute(asked)


async def test_a_click_while_nobody_answers_leaves_the_page_as_it_is_and_can_be_repeated(
    browser: Browser, site: Site
) -> None:
    broadcast = site.api.post("/broadcasts", an_order()).json
    async with PHONE.open(browser) as visit:
        page = visit.page
        await visit.sign_in(site.address, site.email, site.password)
        await page.goto(f"{site.address}/broadcasts/{broadcast['id']}")
        pause = page.get_by_role("button", name="Pause")
        await click_in_vain(pause, "**/pause")
        await pause.click()
        await expect(page.locator(".chip").first).to_have_text("Paused")
        await expect(page.get_by_text(AWAY)).to_have_count(0)
        await page.get_by_role("link", name="Cancel").click()
        question = page.get_by_role("dialog")
        await page.route("**/cancel", no_connection)
        await question.get_by_role("button", name="Cancel it for good").click()
        await expect(question.get_by_text(AWAY)).to_be_visible()
        assert not await visit.trouble()
        visit.errors.clear()


async def test_a_file_that_nobody_takes_in_is_said_and_can_be_sent_again(browser: Browser, site: Site) -> None:
    people = FilePayload(name="people.csv", mimeType="text/csv", buffer=b"phone\n+972501234567\n")
    async with PHONE.open(browser) as visit:
        page = visit.page
        await visit.sign_in(site.address, site.email, site.password)
        await page.goto(f"{site.address}/contacts/import")
        await page.set_input_files("[data-import] input[type=file]", files=people)
        take_in = page.locator("[data-import] button.primary")
        await click_in_vain(take_in, "**/contacts/import?*")
        await take_in.click()
        await expect(page.get_by_text("1 row taken in")).to_be_visible(timeout=20_000)
        visit.errors.clear()
