"""Every page, as people look at it: on a desk and on a phone, by day and by night, from left to right and back."""

import pytest
from playwright.async_api import Browser

from tests.api.conftest import an_order, people
from tests.browser.chromium import Look, Visit
from tests.browser.conftest import Site
from tests.support.engine import Engine

LOOKS = [Look(1440, "light", "en"), Look(390, "dark", "en"), Look(1440, "dark", "he"), Look(390, "light", "he")]
PAGES = (
    "/", "/broadcasts", "/broadcasts?status=failed", "/compose", "/contacts", "/contacts/new", "/contacts/import",
    "/contacts/segments", "/contacts/opt-outs", "/templates", "/templates/1", "/numbers", "/numbers/1", "/numbers/new",
    "/settings", "/settings/team", "/settings/keys", "/settings/account", "/settings/audit",
)  # fmt: skip
OF_A_BROADCAST = ("", "/recipients", "/recipients?status=failed", "/history", "/unknowns", "/ask/retry")


def a_finished_broadcast(site: Site, clarion: Engine) -> int:
    """Some got it, some did not."""
    clarion.simulator.order("code", code=131026, times=3)
    broadcast = site.api.post("/broadcasts", an_order(recipients=people(20))).json
    clarion.start("worker")
    clarion.until_ended(broadcast["id"])
    return int(broadcast["id"])


async def look_at(visit: Visit, address: str, path: str) -> list[str]:
    await visit.page.goto(f"{address}{path}")
    await visit.page.wait_for_load_state("load")
    await visit.page.locator(".loading").first.wait_for(state="detached")
    return [f"{path}: {trouble}" for trouble in await visit.trouble()]


@pytest.mark.parametrize("look", LOOKS, ids=str)
async def test_axe_finds_nothing_and_nothing_sticks_out(
    look: Look, browser: Browser, site: Site, clarion: Engine
) -> None:
    broadcast_id = a_finished_broadcast(site, clarion)
    wrong: list[str] = []
    async with look.open(browser) as visit:
        wrong += await look_at(visit, site.address, "/sign-in")
        await visit.sign_in(site.address, site.email, site.password)
        first = site.api.get(f"/broadcasts/{broadcast_id}/recipients?limit=1").json["items"][0]["id"]
        paths = [*PAGES, *(f"/broadcasts/{broadcast_id}{rest}" for rest in OF_A_BROADCAST)]
        for path in [*paths, f"/broadcasts/{broadcast_id}/recipients/{first}", "/nowhere"]:
            wrong += await look_at(visit, site.address, path)
        visit.errors[:] = [error for error in visit.errors if "404" not in error]  # of /nowhere
    assert not wrong, "\n".join(wrong)
