"""The pages of the webhooks: the secret shown once, what is wrong at its field, a test watched to its end."""

import re
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from server.services.webhook_endpoints import MOST_ENDPOINTS
from tests.api.conftest import a_tenant
from tests.dashboard.business.conftest import Acme
from tests.support.browser import OWNER, Browser
from tests.support.engine import Engine, until
from tests.support.hooks import receiving
from tests.support.web import serve

URL = "https://hooks.example.com/clarion"
PAGES = "/settings/webhooks"
_AUDIT = text("SELECT act, subject, detail FROM audit_entries WHERE act LIKE 'webhook%' ORDER BY id")
NEW = {"url": URL, "description": "the shop", "events": "recipient.failed"}


def secret_on(page: str) -> str:
    """The secret that a page shows."""
    return page.split('id="made"')[1].split('value="')[1].split('"', maxsplit=1)[0]


async def test_a_webhook_is_made_changed_switched_and_removed(acme: Acme, visitor: Browser) -> None:
    made = visitor.post(PAGES, NEW)
    secret = secret_on(made.text)
    assert (made.status, secret.startswith("whsec_"), made.headers["cache-control"]) == (200, True, "no-store")
    assert URL in visitor.get(PAGES).text
    ((webhook_id,),) = await acme.rows(text("SELECT id FROM webhook_endpoints"))
    one = f"{PAGES}/{webhook_id}"
    assert secret not in visitor.get(one).text
    assert secret_on(visitor.post(f"{one}/rotate-secret").text) not in {secret, ""}
    assert visitor.post(f"{one}/change", {**NEW, "events": "contact.opted_out"}).status == 303
    assert visitor.post(f"{one}/disable").status == 303
    page = visitor.get(one).text
    assert ("A person disabled it." in page, f"{one}/enable" in page, f"{one}/test" in page) == (True, True, False)
    assert visitor.post(f"{one}/test").status == 409
    assert visitor.post(f"{one}/enable").status == 303
    ((events, disabled_at),) = await acme.rows(text("SELECT events, disabled_at FROM webhook_endpoints"))
    assert (events, disabled_at) == (["contact.opted_out"], None)
    assert visitor.post(f"{one}/remove").location == f"{PAGES}?removed=true"
    assert visitor.get(one).status == 404
    written = [(act, subject, detail) for act, subject, detail in await acme.rows(_AUDIT)]
    assert written == [
        ("webhook_added", URL, ""),
        ("webhook_secret_changed", URL, ""),
        ("webhook_changed", URL, "description, events, url"),
        ("webhook_changed", URL, "enabled"),
        ("webhook_changed", URL, "enabled"),
        ("webhook_removed", URL, ""),
    ]


@pytest.mark.parametrize(
    ("typed", "fields"),
    [
        ({"url": "http://hooks.example.com/"}, ["url"]),
        ({"url": "https://127.0.0.1/"}, ["url"]),
        ({"url": "x" * 2_001, "description": "x" * 201}, ["url", "description"]),
        ({"description": "\x00", "events": None}, ["description", "events"]),
    ],
)
async def test_what_cannot_be_stands_at_its_field(
    acme: Acme, visitor: Browser, typed: dict[str, str | None], fields: list[str]
) -> None:
    form = {name: value for name, value in {**NEW, **typed}.items() if value is not None}
    assert visitor.post(PAGES, NEW).status == 200
    ((webhook_id,),) = await acme.rows(text("SELECT id FROM webhook_endpoints"))
    for path in (PAGES, f"{PAGES}/{webhook_id}/change"):
        page = visitor.post(path, form)
        assert (page.status, re.findall(r'id="(\w+)-wrong"', page.text)) == (422, fields)
        assert page.field("url") == form["url"]
    assert await acme.rows(text("SELECT url, description FROM webhook_endpoints")) == [(URL, "the shop")]


async def test_there_are_so_many_and_no_more(acme: Acme, visitor: Browser) -> None:
    for _ in range(MOST_ENDPOINTS):
        assert visitor.post(PAGES, NEW).status == 200
    refused = visitor.post(PAGES, NEW)
    assert (refused.status, 'role="alert"' in refused.text) == (422, True)


async def test_the_log_is_filtered_and_paged(acme: Acme, visitor: Browser) -> None:
    visitor.post(PAGES, NEW)
    ((webhook_id,),) = await acme.rows(text("SELECT id FROM webhook_endpoints"))
    fill = text(
        "INSERT INTO webhook_deliveries (business_id, endpoint_id, event, data, status, next_attempt_at)"
        " SELECT 1, :id, 'recipient.failed', '{}', CASE n WHEN 1 THEN 'failed' ELSE 'delivered' END, NULL"
        " FROM generate_series(1, 60) n RETURNING id"
    )
    ids = [row[0] for row in await acme.rows(fill, id=webhook_id)]
    one = f"{PAGES}/{webhook_id}"
    first = visitor.get(one).text
    assert (f'/deliveries/{ids[-1]}"' in first, f'/deliveries/{ids[0]}"' in first) == (True, False)
    more = first.split('class="more"')[1].split('href="')[1].split('"')[0].replace("&amp;", "&")
    assert f'/deliveries/{ids[0]}"' in visitor.get(more).text
    failed = visitor.get(f"{one}?status=failed").text
    assert re.findall(r"/deliveries/(\d+)", failed) == [str(ids[0])]


async def test_a_test_is_watched_and_delivered_once_more(clarion: Engine, engine: AsyncEngine, tmp_path: Path) -> None:
    clarion.environment["CLARION_WEBHOOKS_ALLOW_PRIVATE"] = "true"
    await a_tenant(engine, "Acme")
    clarion.start("steward")
    with receiving() as hooks, serve(clarion, tmp_path) as address:
        browser = Browser(address, follows=False)
        browser.sign_in(OWNER)
        hooks.answers["/acme"] = [500]
        secret = secret_on(browser.post(PAGES, {**NEW, "url": hooks.url("/acme")}).text)
        delivery = browser.post(f"{PAGES}/1/test").location
        assert delivery.startswith(f"{PAGES}/1/deliveries/")
        until(lambda: "Given up" in browser.get(delivery).text)
        page = browser.get(delivery).text
        assert ("answered 500" in page, "every 2s" in page, "&#34;ping&#34;" in page or '"ping"' in page) == (
            True,
            False,
            True,
        )
        assert browser.post(f"{delivery}/redeliver").location == delivery
        until(lambda: "answered 204" in browser.get(delivery).text)
        first, second = hooks.told
        assert first.id == second.id
        assert second.is_signed_with(secret)
