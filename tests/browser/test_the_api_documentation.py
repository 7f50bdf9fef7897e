"""The description of the API, where there is no internet: it comes from Clarion alone, and it works."""

import re
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Browser, expect

from tests.api.conftest import Api
from tests.browser.chromium import Look

LOOKS = [Look(1280, "light", "en"), Look(390, "dark", "he")]


def test_the_api_documentation_asks_no_other_host(api: Api) -> None:
    page = api.call("GET", "/docs")
    named = re.findall(r'(?:src|href)="([^"]*)"', page.body.decode())
    assert named
    for address in named:
        assert not urlsplit(address).netloc, address
        assert api.call("GET", address).status == 200, address
    policy = page.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
    assert "unsafe" not in policy
    assert "http" not in policy


def test_no_other_path_shows_the_frameworks_own_documentation(api: Api) -> None:
    assert api.call("GET", "/redoc").status == 404
    assert api.call("GET", "/docs/oauth2-redirect").status == 404


@pytest.mark.parametrize("look", LOOKS, ids=str)
async def test_an_operation_is_shown_and_tried_without_another_host(look: Look, browser: Browser, api: Api) -> None:
    asked: set[str] = set()
    async with look.open(browser) as visit:
        page = visit.page
        page.on("request", lambda request: asked.add(urlsplit(request.url).netloc))
        await page.goto(f"{api.address}/docs")
        operation = page.locator(".opblock", has_text=re.compile(r"/api/whatsapp/broadcasts\b")).first
        await operation.click()
        await expect(operation.get_by_text("Responses", exact=True)).to_be_visible()

        await page.get_by_role("button", name="Authorize").first.click()
        form = page.locator(".auth-container").first
        await form.get_by_role("textbox").fill(api.key)
        await form.get_by_role("button", name="Apply").or_(form.get_by_role("button", name="Authorize")).click()
        await page.get_by_role("button", name="Close").click()
        tried = page.locator(".opblock-get", has_text="/api/whatsapp/channels").first
        await tried.click()
        await tried.get_by_role("button", name="Try it out").click()
        await tried.get_by_role("button", name="Execute").click()
        answer = tried.locator(".live-responses-table .response-col_status").last
        await expect(answer).to_contain_text("200", timeout=20_000)
    assert {host for host in asked if host} == {urlsplit(api.address).netloc}
