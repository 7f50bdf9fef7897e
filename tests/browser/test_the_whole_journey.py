"""What a marketing person does: write, choose people, look, send, watch, pause, go on, see who failed, try again.

At a desk and on a phone.
"""

import csv
import re
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, expect

from tests.browser.chromium import Look
from tests.browser.conftest import Site
from tests.support.engine import Engine

LOOKS = [Look(1440, "light", "en"), Look(390, "dark", "en")]
PEOPLE = 600
FAILING = 3
STATUS = ".chip"


def a_file(folder: Path) -> Path:
    """The list, with one row that is no phone and one that is there twice."""
    path = folder / "people.csv"
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["phone", "first_name", "order_id"])
        rows.writerows([f"+97250{number:07d}", f"Name {number}", f"A-{number}"] for number in range(PEOPLE))
        rows.writerows([["12", "Nobody", "A-0"], ["+972500000000", "Twice", "A-0"]])
    return path


async def write(page: Page, address: str, people: Path) -> None:
    """Five steps, to the review."""
    await page.goto(f"{address}/compose")
    await page.get_by_label("Name", exact=True).fill("Spring sale")
    await page.locator(".option", has_text="order_update").click()
    await expect(page.locator("#beside")).to_contain_text("your order")  # the phone shows it at once
    await page.get_by_role("button", name="Continue").last.click()

    await page.set_input_files("input[type=file]", people)
    await page.get_by_role("button", name="Take the file in").click()
    await expect(page.locator(".small-stats .figure").first).to_have_text(str(PEOPLE), timeout=30_000)
    await expect(page.get_by_text("2 rows were left out")).to_be_visible()
    await page.get_by_role("button", name="Continue").last.click()

    first_value = page.locator(".blank select").first
    await first_value.select_option("first_name")
    await page.locator(".blank select").nth(1).select_option("order_id")
    await expect(page.locator("#beside")).to_contain_text("Name 0", timeout=20_000)
    await page.get_by_role("button", name="Continue").last.click()

    await page.get_by_label(re.compile("Messages a second")).fill("60")
    await page.get_by_role("button", name="Continue").last.click()


@pytest.mark.parametrize("look", LOOKS, ids=str)
async def test_from_the_first_word_to_the_list_of_who_got_it(
    look: Look, browser: Browser, site: Site, clarion: Engine, tmp_path: Path
) -> None:
    clarion.start("worker")
    clarion.start("steward")
    clarion.simulator.order("code", code=131026, times=FAILING)
    async with look.open(browser) as visit:
        page = visit.page
        await visit.sign_in(site.address, site.email, site.password)
        await write(page, site.address, a_file(tmp_path))

        await page.get_by_role("button", name=f"Send to {PEOPLE} people").click()
        await expect(page.locator(STATUS).first).to_have_text("Sending", timeout=20_000)
        await page.get_by_role("button", name="Pause").click()
        await expect(page.locator(STATUS).first).to_have_text("Paused")
        await page.get_by_role("button", name="Resume").click()
        await expect(page.locator(STATUS).first).to_have_text("Finished, some failed", timeout=60_000)
        await expect(page.locator(".headline")).to_have_text(f"{PEOPLE - FAILING} of {PEOPLE} sent")

        await page.reload()
        await expect(page.locator(".reasons li")).to_have_count(1)
        await expect(page.locator(".reasons")).to_contain_text("131026")
        async with page.expect_download() as started:
            await page.get_by_role("link", name="Export").click()
        kept = (await (await started.value).path()).read_text().splitlines()
        assert len(kept) == PEOPLE + 1

        await page.get_by_role("link", name="Try again").click()
        await page.get_by_role("dialog").get_by_role("button", name=f"Send to up to {FAILING} people").click()
        await expect(page.locator(STATUS).first).to_have_text("Completed", timeout=60_000)
        await expect(page.locator(".headline")).to_have_text(f"{FAILING} of {FAILING} sent")
    assert clarion.simulator.summary()["accepted"] == PEOPLE
    assert clarion.simulator.most_messages_to_one_person() == 1
