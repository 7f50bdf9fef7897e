"""Webhooks of a business over HTTP: made, shown once, changed, tried, removed; and the log."""

from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from server.domain.webhook_events import EventKind
from server.services import outbox
from server.services.webhook_endpoints import BY_A_PERSON, MOST_ENDPOINTS
from tests.api.conftest import Api, a_tenant
from tests.support.engine import Engine, until
from tests.support.hooks import receiving
from tests.support.web import serve

URL = "https://hooks.example.com/clarion"


def made(api: Api, url: str = URL, **more: Any) -> dict[str, Any]:
    """A webhook, with its secret."""
    answer = api.post("/webhooks", {"url": url, **more})
    assert answer.status == 201, answer.body
    shown: dict[str, Any] = answer.json
    return shown


async def happen(engine: AsyncEngine, business_id: int, count: int = 1) -> None:
    """So many events."""
    async with engine.begin() as connection:
        for n in range(count):
            await outbox.tell(connection, business_id, EventKind.MESSAGE_REPLIED, {"n": n})


def test_a_secret_is_shown_once_and_kept_encrypted(api: Api, database_url: str) -> None:
    webhook = made(api, events=["recipient.failed"], description="the shop")
    assert webhook["secret"].startswith("whsec_")
    assert len(webhook["secret"]) == len("whsec_") + 44  # 256 bits
    shown = api.get(f"/webhooks/{webhook['id']}").json
    assert shown == {name: value for name, value in webhook.items() if name != "secret"}
    assert (shown["events"], shown["description"], shown["enabled"]) == (["recipient.failed"], "the shop", True)
    assert api.get("/webhooks").json == {"items": [shown], "next_cursor": None}
    again = api.post(f"/webhooks/{webhook['id']}/rotate-secret").json
    assert again["secret"] != webhook["secret"]
    assert again["old_secret_until"] is not None
    with psycopg.connect(database_url) as connection:
        (kept,) = connection.execute("SELECT e::text FROM webhook_endpoints e").fetchall()[0]
    assert webhook["secret"].removeprefix("whsec_") not in kept
    assert again["secret"].removeprefix("whsec_") not in kept


def test_without_a_choice_it_is_told_of_everything(api: Api) -> None:
    assert made(api)["events"] == list(EventKind)
    assert made(api, events=["contact.opted_in", "contact.opted_in"])["events"] == ["contact.opted_in"]


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/url"),
        ({"url": "http://hooks.example.com/"}, "/url"),
        ({"url": "https://127.0.0.1/"}, "/url"),
        ({"url": "https://10.0.0.1:8080/"}, "/url"),
        ({"url": "https://localhost/"}, "/url"),
        ({"url": "https://u:p@hooks.example.com/"}, "/url"),
        ({"url": "hooks"}, "/url"),
        ({"url": "https://x.example/\x00"}, "/url"),
        ({"url": URL, "events": []}, "/events"),
        ({"url": URL, "events": ["broadcast.exploded"]}, "/events/0"),
        ({"url": URL, "secret": "mine"}, "/secret"),
        ({"url": URL, "description": "x" * 201}, "/description"),
    ],
)
def test_a_webhook_that_cannot_be_is_refused(api: Api, body: dict[str, Any], pointer: str) -> None:
    answer = api.post("/webhooks", body)
    assert (answer.status, answer.json["errors"][0]["pointer"]) == (422, pointer)
    assert api.get("/webhooks").json["items"] == []


def test_a_change_changes_what_it_names(api: Api) -> None:
    path = f"/api/whatsapp/webhooks/{made(api)['id']}"
    changed = api.call("PATCH", path, {"url": f"{URL}/2", "events": ["contact.opted_out"]})
    assert (changed.status, changed.json["url"], changed.json["events"]) == (200, f"{URL}/2", ["contact.opted_out"])
    disabled = api.call("PATCH", path, {"enabled": False}).json
    assert (disabled["enabled"], disabled["disabled_reason"]) == (False, BY_A_PERSON)
    assert api.call("PATCH", path, {"enabled": False}).json == disabled
    enabled = api.call("PATCH", path, {"enabled": True}).json
    assert (enabled["enabled"], enabled["disabled_at"], enabled["disabled_reason"]) == (True, None, None)
    for body, pointer in (({}, ""), ({"url": "http://x.example/"}, "/url"), ({"enabled": None}, "/enabled")):
        refused = api.call("PATCH", path, body)
        assert (refused.status, refused.json["errors"][0]["pointer"]) == (422, pointer)


def test_a_business_has_so_many_and_no_more(api: Api, other: Api) -> None:
    webhooks = [made(api) for _ in range(MOST_ENDPOINTS)]
    assert api.post("/webhooks", {"url": URL}).status == 409
    assert other.post("/webhooks", {"url": URL}).status == 201
    assert api.call("DELETE", f"/api/whatsapp/webhooks/{webhooks[0]['id']}").status == 204
    assert api.get(f"/webhooks/{webhooks[0]['id']}").status == 404
    assert api.post("/webhooks", {"url": URL}).status == 201


async def test_the_log_is_paged_the_newest_first_and_by_status(api: Api, engine: AsyncEngine) -> None:
    webhook = made(api)
    await happen(engine, api.business_id, 5)
    path = f"/webhooks/{webhook['id']}/deliveries"
    first = api.get(f"{path}?limit=3").json
    second = api.get(f"{path}?limit=3&cursor={first['next_cursor']}").json
    ids = [item["id"] for item in first["items"] + second["items"]]
    assert ids == sorted(ids, reverse=True)
    assert (len(ids), second["next_cursor"]) == (5, None)
    assert len(api.get(f"{path}?status=pending").json["items"]) == 5
    assert api.get(f"{path}?status=failed").json["items"] == []
    detail = api.get(f"{path}/{ids[-1]}").json
    assert (detail["body"]["type"], detail["body"]["data"], detail["attempts"]) == ("message.replied", {"n": 0}, [])
    assert detail["message_id"].startswith("msg_")
    another = made(api)
    assert api.get(f"/webhooks/{another['id']}/deliveries/{ids[0]}").status == 404
    assert api.post(f"/webhooks/{another['id']}/deliveries/{ids[0]}/redeliver").status == 404


async def test_what_a_person_does_over_the_api_is_told(api: Api) -> None:
    webhook = made(api, events=["broadcast.cancelled", "contact.opted_out"])
    contact = api.post("/contacts", {"phone": "+972501234567"}).json
    assert api.post(f"/contacts/{contact['id']}/opt-out", {"source": "by phone"}).status in {200, 202}
    items = api.get(f"/webhooks/{webhook['id']}/deliveries").json["items"]
    assert [item["event"] for item in items] == ["contact.opted_out"]
    detail = api.get(f"/webhooks/{webhook['id']}/deliveries/{items[0]['id']}").json
    assert detail["body"]["data"]["contact_id"] == contact["id"]


async def test_a_disabled_webhook_is_not_tried(api: Api, engine: AsyncEngine) -> None:
    webhook = made(api)
    await happen(engine, api.business_id)
    path = f"/webhooks/{webhook['id']}"
    (delivery,) = api.get(f"{path}/deliveries").json["items"]
    api.call("PATCH", f"/api/whatsapp{path}", {"enabled": False})
    for what in (f"{path}/test", f"{path}/deliveries/{delivery['id']}/redeliver"):
        refused = api.post(what)
        assert (refused.status, "disabled" in refused.json["detail"]) == (409, True)


async def test_a_ping_and_a_redelivery_arrive(engine: AsyncEngine, clarion: Engine, tmp_path: Path) -> None:
    clarion.environment["CLARION_WEBHOOKS_ALLOW_PRIVATE"] = "true"
    tenant, key = await a_tenant(engine, "Acme")
    clarion.start("steward")
    with receiving() as hooks, serve(clarion, tmp_path) as address:
        api = Api(address, key, tenant.business_id)
        webhook = made(api, hooks.url("/acme"), events=["contact.opted_in"])
        hooks.answers["/acme"] = [500]
        ping = api.post(f"/webhooks/{webhook['id']}/test")
        assert (ping.status, ping.json["status"], ping.json["body"]["type"]) == (202, "pending", "ping")
        path = f"/webhooks/{webhook['id']}/deliveries/{ping.json['id']}"
        until(lambda: api.get(path).json["status"] == "failed")
        (attempt,) = api.get(path).json["attempts"]
        assert (attempt["status_code"], attempt["answer"], attempt["error"]) == (500, "answered 500", None)
        again = api.post(f"{path}/redeliver")
        assert (again.status, again.json["status"]) == (202, "pending")
        until(lambda: api.get(path).json["status"] == "delivered")
        first, second = hooks.told
        assert (first.id, first.raw) == (second.id, second.raw)
        assert second.is_signed_with(webhook["secret"])
