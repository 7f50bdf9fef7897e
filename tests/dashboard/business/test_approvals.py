"""A second person for a large broadcast: who may let it go, for what exactly, and what is told of it."""

from typing import Any

import pytest
from sqlalchemy import text

from server.domain.roles import Role
from server.domain.scopes import KeyScope
from server.services import accounts
from tests.api.conftest import Api, an_order, people
from tests.dashboard.business.conftest import Acme
from tests.support.browser import OWNER, Browser


@pytest.fixture
async def api(acme: Acme) -> Api:
    """A program that may send, in a business that wants a second person for more than two people."""
    await acme.rows(text("UPDATE businesses SET approval_over = 2 RETURNING id"))
    async with acme.engine.begin() as connection:
        key = await accounts.create_api_key(connection, acme.tenant.business_id, "shop", KeyScope.SEND)
    return Api(acme.address, key, acme.tenant.business_id)


def a_draft(api: Api, count: int = 3) -> int:
    """A draft to so many people."""
    made = api.post("/broadcasts", an_order(recipients=people(count), start=False))
    assert made.status == 202, made.body
    return int(made.json["id"])


def approve(browser: Browser, broadcast_id: int) -> int:
    """Look at it, and let it go."""
    seen = browser.get(f"/broadcasts/{broadcast_id}").field("seen")
    return browser.post(f"/broadcasts/{broadcast_id}/approve", {"seen": seen}).status


async def test_a_large_broadcast_starts_when_another_person_approves_it(acme: Acme, api: Api, visitor: Browser) -> None:
    broadcast_id = a_draft(api)
    editor = await acme.a_person(Role.EDITOR)
    assert editor.post(f"/broadcasts/{broadcast_id}/start").status == 303
    assert api.get(f"/broadcasts/{broadcast_id}").json["status"] == "draft"
    assert "waits for your approval" in visitor.get("/").text
    assert "waits for your approval" not in editor.get("/").text
    assert approve(visitor, broadcast_id) == 303
    shown = api.get(f"/broadcasts/{broadcast_id}").json
    assert (shown["status"], shown["status_detail"]) == ("queued", None)
    told = [(event["move"], event["detail"]) for event in api.get(f"/broadcasts/{broadcast_id}/history").json["items"]]
    assert told == [
        ("ask_approval", "Editor has asked for a second person to let it go to 3 people."),
        ("approve", f"{OWNER} lets it go to 3 people."),
        ("queue", f"Started by {OWNER}."),
    ]
    acts = [tuple(row) for row in await acme.rows(text("SELECT who, act FROM audit_entries WHERE subject LIKE '1 %'"))]
    assert acts == [("Editor", "approval_asked"), (OWNER, "broadcast_started")]


async def test_nobody_approves_what_they_asked_for_or_without_the_role(acme: Acme, api: Api, visitor: Browser) -> None:
    broadcast_id = a_draft(api)
    approver = await acme.a_person(Role.APPROVER)
    editor = await acme.a_person(Role.EDITOR)
    approver.post(f"/broadcasts/{broadcast_id}/start")
    (row,) = await acme.rows(text("SELECT approval_fingerprint FROM whatsapp_broadcasts"))
    path, fields = f"/broadcasts/{broadcast_id}/approve", {"seen": row.approval_fingerprint}
    assert 'name="seen"' not in approver.get(f"/broadcasts/{broadcast_id}").text
    assert approver.post(path, fields).status == 409
    assert editor.post(path, fields).status == 403
    assert editor.post(f"/broadcasts/{broadcast_id}/start").status == 409
    assert visitor.post(f"/broadcasts/{broadcast_id}/start").status == 409  # a start is no approval
    assert api.get(f"/broadcasts/{broadcast_id}").json["status"] == "draft"
    assert visitor.post(path, fields).status == 303


async def test_what_was_changed_is_asked_for_anew(acme: Acme, api: Api, visitor: Browser) -> None:
    broadcast_id = a_draft(api)
    editor = await acme.a_person(Role.EDITOR)
    editor.post(f"/broadcasts/{broadcast_id}/start")
    seen = visitor.get(f"/broadcasts/{broadcast_id}").field("seen")
    assert api.post(f"/broadcasts/{broadcast_id}/recipients", {"recipients": people(4)}).status == 202
    assert visitor.post(f"/broadcasts/{broadcast_id}/approve", {"seen": seen}).status == 409
    editor.post(f"/broadcasts/{broadcast_id}/start")
    # Asked for again, and still not what was looked at.
    assert visitor.post(f"/broadcasts/{broadcast_id}/approve", {"seen": seen}).status == 409
    assert approve(visitor, broadcast_id) == 303


async def test_a_refusal_puts_it_back_with_its_reason(acme: Acme, api: Api, visitor: Browser) -> None:
    broadcast_id = a_draft(api)
    editor = await acme.a_person(Role.EDITOR)
    editor.post(f"/broadcasts/{broadcast_id}/start")
    assert visitor.post(f"/broadcasts/{broadcast_id}/decline", {"note": "Not on a holiday."}).status == 303
    page = editor.get(f"/broadcasts/{broadcast_id}").text
    assert f"{OWNER} has declined it: Not on a holiday." in page
    assert "Waits for a second person" not in page
    assert f"{OWNER} has declined it: Not on a holiday." in editor.get(f"/compose/{broadcast_id}").text
    assert visitor.post(f"/broadcasts/{broadcast_id}/decline").status == 409


async def test_whoever_approves_reads_the_message_and_to_whom_it_goes(acme: Acme, api: Api, visitor: Browser) -> None:
    broadcast_id = a_draft(api)
    editor = await acme.a_person(Role.EDITOR)
    review = editor.get(f"/compose/{broadcast_id}/review").text
    assert "Ask for approval to send to 3 people" in review
    assert "a broadcast to more than 2 people needs a second person" in review
    assert "Waits for approval" not in editor.get("/broadcasts").text
    editor.post(f"/broadcasts/{broadcast_id}/start")
    page = visitor.get(f"/broadcasts/{broadcast_id}").text
    assert "Hi Name 0, your order 0 is on its way." in page
    assert f'<a href="/broadcasts/{broadcast_id}/recipients">See every person</a>' in page
    assert "Waits for approval" in editor.get("/broadcasts").text


async def test_a_small_broadcast_is_sent_by_one_person(acme: Acme, api: Api) -> None:
    editor = await acme.a_person(Role.EDITOR)
    assert "Send to 2 people" in editor.get(f"/compose/{a_draft(api, 2)}/review").text


def test_a_program_is_held_to_it_unless_it_is_an_admin(acme: Acme, api: Api) -> None:
    small = api.post("/broadcasts", an_order(recipients=people(2)))
    assert small.status == 202
    refused = api.post("/broadcasts", an_order(recipients=people(3)))
    assert (refused.status, "needs a second person" in refused.json["detail"]) == (409, True)
    assert len(api.get("/broadcasts").json["items"]) == 1
    broadcast_id = a_draft(api)
    assert api.post(f"/broadcasts/{broadcast_id}/start").status == 409
    admin = Api(acme.address, acme.key, acme.tenant.business_id)
    assert admin.post(f"/broadcasts/{broadcast_id}/start").status == 202


async def test_an_audience_that_is_taken_later_needs_a_second_person_whatever_its_size(acme: Acme, api: Api) -> None:
    api.post("/contacts", {"phone": "+972501234567", "name": "Dana", "tags": ["vip"]})
    order = {
        "name": "Later",
        "template": {"name": "order_update", "language": "en_US", "variables": {"1": "Dana", "2": "A-1"}},
        "audience": {"tags": ["vip"]},
    }
    assert api.post("/broadcasts", {**order, "scheduled_at": "2090-01-01T00:00:00Z"}).status == 409
    assert api.post("/broadcasts", order).status == 202


async def test_what_was_approved_for_later_goes_to_nobody_else(acme: Acme, api: Api, visitor: Browser) -> None:
    await acme.rows(
        text("INSERT INTO contacts (business_id, phone, tags) VALUES (1, '+972500000001', '{vip}') RETURNING id")
    )
    order = an_order(audience={"tags": ["vip"]}, start=False, text={"body": "Hi"}, scheduled_at="2100-01-01T00:00:00Z")
    del order["recipients"], order["template"]
    made = api.post("/broadcasts", order)
    assert made.status == 202, made.body
    path = f"/broadcasts/{made.json['id']}"
    editor = await acme.a_person(Role.EDITOR)
    editor.post(f"{path}/start")
    assert approve(visitor, made.json["id"]) == 303
    assert api.get(path).json["status"] == "scheduled"
    everybody: dict[str, Any] = {"audience": {"tags": [], "not_tags": [], "where": []}}
    assert api.call("PATCH", f"/api/whatsapp{path}", everybody).status == 409
    assert api.call("PATCH", f"/api/whatsapp{path}", {"scheduled_at": None}).status == 200
    assert api.call("PATCH", f"/api/whatsapp{path}", everybody).status == 200
    assert api.get(path).json["status"] == "draft"
