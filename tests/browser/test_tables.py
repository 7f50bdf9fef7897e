"""A table is read by its columns: a header stands where the values below it stand."""

import pytest
from playwright.async_api import Browser
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.api.conftest import an_order, people
from tests.browser.chromium import Look
from tests.browser.conftest import Site

LOOKS = [Look(1280, "light", "en"), Look(1280, "light", "he")]
# Where the text of each header of numbers ends at the right, and where that of its column's cells does.
EDGES = """table => {
    const right = cell => {
        const range = document.createRange();
        range.selectNodeContents(cell);
        return Math.round(range.getBoundingClientRect().right);
    };
    return [...table.querySelectorAll("th.num")].map(header => [
        header.innerText,
        right(header),
        [...table.querySelectorAll("tbody tr")].map(row => right(row.cells[header.cellIndex])),
    ]);
}"""
_END = text("UPDATE whatsapp_broadcasts SET status = 'completed', completed_at = now(), sent_count = total_recipients")


@pytest.mark.parametrize("look", LOOKS, ids=str)
async def test_the_header_of_a_column_of_numbers_stands_over_their_last_digits(
    look: Look, browser: Browser, site: Site, engine: AsyncEngine
) -> None:
    for count in (1, 1_200):
        site.api.post("/broadcasts", an_order(recipients=people(count)))
    async with engine.begin() as connection:
        await connection.execute(_END)
    async with look.open(browser) as visit:
        await visit.sign_in(site.address, site.email, site.password)
        for path in ("/", "/broadcasts"):
            await visit.page.goto(f"{site.address}{path}")
            columns = await visit.page.locator("table.named").evaluate(EDGES)
            assert len(columns) == 5
            for name, edge, of_cells in columns:
                assert of_cells == [edge] * 2, f"{path} {name}"
