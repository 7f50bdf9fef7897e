"""The pages in a hand: what is needed most is in reach of a thumb, has its word, and lies under nothing."""

import pytest
from playwright.async_api import Browser, Locator, expect

from tests.api.conftest import an_order, people
from tests.browser.chromium import Look
from tests.browser.conftest import Site

LOOKS = [Look(390, "light", "en"), Look(360, "dark", "he")]
SMALL = Look(360, "light", "en")


async def top_and_bottom(element: Locator) -> tuple[float, float]:
    box = await element.bounding_box()
    assert box is not None
    return box["y"], box["y"] + box["height"]


@pytest.mark.parametrize("look", LOOKS, ids=str)
async def test_every_place_of_the_bottom_bar_has_its_word_in_full(look: Look, browser: Browser, site: Site) -> None:
    async with look.open(browser) as visit:
        await visit.sign_in(site.address, site.email, site.password)
        words = visit.page.locator(".rail > ul > li:visible a > span, .rail .more-word > span")
        assert await words.count() == 5
        for word in await words.all():
            assert await word.inner_text()
            assert await word.evaluate("word => word.scrollWidth <= word.clientWidth"), await word.inner_text()


async def test_what_the_bottom_bar_has_no_room_for_is_in_its_menu_by_thumb_and_by_keys(
    browser: Browser, site: Site
) -> None:
    async with SMALL.open(browser) as visit:
        page = visit.page
        await visit.sign_in(site.address, site.email, site.password)
        more = page.locator(".account summary")
        numbers = page.get_by_role("link", name="Numbers", exact=True)
        await expect(numbers).to_be_hidden()
        await more.click()
        await expect(numbers).to_be_visible()
        await expect(page.get_by_role("button", name="Sign out")).to_be_visible()
        assert await visit.trouble() == []
        await page.keyboard.press("Escape")
        await expect(numbers).to_be_hidden()
        await expect(more).to_be_focused()
        await page.keyboard.press("Enter")
        await page.keyboard.press("Tab")
        await page.keyboard.press("Enter")
        await page.wait_for_url(f"{site.address}/numbers")


async def test_the_acts_on_a_broadcast_are_one_line_for_the_main_one_and_one_for_the_others(
    browser: Browser, site: Site
) -> None:
    broadcast = site.api.post("/broadcasts", an_order(recipients=people(3))).json
    async with SMALL.open(browser) as visit:
        await visit.sign_in(site.address, site.email, site.password)
        await visit.page.goto(f"{site.address}/broadcasts/{broadcast['id']}")
        acts = await visit.page.locator(".acts .button").all()
        tops = [(await top_and_bottom(act))[0] for act in acts]
        assert len(tops) == 4  # pause, cancel, duplicate, export
        assert tops[0] < tops[1]
        assert len(set(tops[1:])) == 1


async def test_the_way_on_is_in_sight_from_the_start_and_the_message_is_offered_once_there_is_one(
    browser: Browser, site: Site
) -> None:
    async with SMALL.open(browser) as visit:
        page = visit.page
        await visit.sign_in(site.address, site.email, site.password)
        await page.goto(f"{site.address}/compose")
        onward = page.locator(".step-end").get_by_role("button", name="Continue")
        see = page.get_by_role("link", name="See the message")
        bar_top, _ = await top_and_bottom(page.locator(".rail"))
        top, bottom = await top_and_bottom(onward)
        assert 0 < top < bottom <= bar_top
        await expect(see).to_be_hidden()
        await expect(page.locator("#beside")).to_be_hidden()  # an empty phone
        await page.locator(".option", has_text="order_update").click()
        await see.click()
        await expect(page.locator("#beside")).to_contain_text("your order")
        await expect(page.locator("#beside")).to_be_in_viewport()


async def test_no_template_of_a_list_is_cut_by_a_box_of_its_own(browser: Browser, site: Site) -> None:
    async with SMALL.open(browser) as visit:
        await visit.sign_in(site.address, site.email, site.password)
        await visit.page.goto(f"{site.address}/compose")
        options = visit.page.locator(".options")
        assert await options.evaluate("list => list.scrollHeight <= list.clientHeight + 1")
