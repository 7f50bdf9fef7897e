"""Every page and every form there is, tried by whoever may not: other sites, other roles, other businesses.

New routes are walked by themselves. A path that names a kind of thing which `ids` does not know fails the walk.
"""

import re
from typing import Any, Final

import pytest
from fastapi.routing import APIRoute
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from server.app import create_app
from server.config import Settings
from server.dashboard.app import Pages
from server.domain.roles import Role
from server.services import accounts
from tests.dashboard.business.conftest import Acme
from tests.support.browser import PASSWORD, Browser
from tests.support.builders import a_broadcast

# Whoever is not signed in may use these; and everybody who is, those that are their own.
OPEN: Final = frozenset(("/sign-in", "/sign-in/code", "/language", "/join/{token}", "/docs"))
# A form that is looked at and changes nothing; and one that only leads to another page, which has its own walls.
LOOKS: Final = ("/contacts/segments/count", "/compose/{broadcast_id}/stay")
ONES_OWN: Final = ("/sign-out", "/settings/account")
# What a form needs to be looked at; what is in it matters to no wall.
FIELDS: Final = {"role": "viewer", "as": "sent", "code": "en", "include": "failed"}


def routes_of(method: str) -> list[str]:
    """The paths of the pages."""
    (pages,) = [route for route in create_app(Settings()).router.routes if isinstance(route, Pages)]
    found = [route for route in _flat(pages.routes) if isinstance(route, APIRoute)]
    return sorted({route.path for route in found if method in (route.methods or ())})


def _flat(routes: Any) -> list[Any]:
    """Routes, also those within others, as the installed FastAPI keeps routers that were included."""
    found = []
    for route in routes:
        inner = getattr(route, "effective_route_contexts", None)
        found += [context.original_route for context in inner()] if callable(inner) else [route]
    return found


POSTS: Final = [path for path in routes_of("POST") if path not in OPEN]
GETS: Final = [path for path in routes_of("GET") if path not in OPEN]


@pytest.fixture
async def ids(acme: Acme) -> dict[str, str]:
    """One of each kind of thing of Acme's, by the name that paths have for it."""
    made = await a_broadcast(acme.engine, recipients=1, status="settling", tenant=acme.tenant)
    statements = {
        "recipient_id": "SELECT max(id) FROM whatsapp_broadcast_recipients",
        "user_id": "SELECT max(id) FROM users",
        "key_id": "SELECT max(id) FROM api_keys",
        "channel_id": "SELECT max(id) FROM channels",
        "contact_id": "INSERT INTO contacts (business_id, phone) VALUES (1, '+972501234567') RETURNING id",
        "segment_id": "INSERT INTO segments (business_id, name, audience) VALUES (1, 'x', '{}') RETURNING id",
        "session_id": "INSERT INTO sessions (token_hash, user_id, business_id, address, browser)"
        " VALUES ('x', 1, 1, '', '') RETURNING id",
        "template_id": "SELECT max(id) FROM templates",
        "invite_id": "INSERT INTO invites (business_id, token_hash, email, role, invited_by, expires_at)"
        " VALUES (1, 'x', 'x@x.example', 'viewer', 'x', now() + interval '1 day') RETURNING id",
    }
    statements["webhook_id"] = (
        "INSERT INTO webhook_endpoints (business_id, url, events, secret_encrypted)"
        " VALUES (1, 'https://hooks.example.com', '{}', '') RETURNING id"
    )
    statements["delivery_id"] = (
        "INSERT INTO webhook_deliveries (business_id, endpoint_id, event, data)"
        " VALUES (1, 1, 'ping', '{}') RETURNING id"
    )
    found = {"broadcast_id": str(made.id), "question": "cancel"}
    for name, statement in statements.items():
        found[name] = str((await acme.rows(text(statement)))[0][0])
    return found


def filled(path: str, ids: dict[str, str]) -> str:
    """A path with ids in it."""
    return re.sub(r"{(\w+)(?::int)?}", lambda found: ids[found.group(1)], path)


def test_there_are_pages_to_walk() -> None:
    assert {"/settings/keys", "/settings/team/{user_id}/role", "/broadcasts/{broadcast_id}/approve"} <= set(POSTS)
    assert {"/", "/numbers/{channel_id}", "/settings/audit"} <= set(GETS)


def test_nobody_gets_anywhere_without_signing_in(acme: Acme, stranger: Browser, ids: dict[str, str]) -> None:
    stranger.get("/sign-in")
    for path in POSTS:
        assert stranger.post(filled(path, ids), FIELDS).location.startswith("/sign-in"), path
    for path in GETS:
        assert stranger.get(filled(path, ids)).location.startswith("/sign-in"), path


def test_no_form_is_taken_without_the_token_of_its_page(acme: Acme, visitor: Browser, ids: dict[str, str]) -> None:
    for path in [*POSTS, "/sign-in", "/sign-in/code", "/language", "/join/x"]:
        assert visitor.post(filled(path, ids), FIELDS, csrf="").status == 403, path


async def test_a_viewer_changes_nothing(acme: Acme, ids: dict[str, str]) -> None:
    viewer = await acme.a_person(Role.VIEWER)
    for path in POSTS:
        if not path.startswith(ONES_OWN) and path not in LOOKS:
            assert viewer.post(filled(path, ids), FIELDS).status == 403, path


async def test_an_editor_and_an_approver_manage_nothing(acme: Acme, ids: dict[str, str]) -> None:
    for role in (Role.EDITOR, Role.APPROVER):
        browser = await acme.a_person(role)
        for path in POSTS:
            if path.startswith(("/settings", "/numbers")) and not path.startswith(ONES_OWN):
                assert browser.post(filled(path, ids), FIELDS).status == 403, f"{role} {path}"
        for path in ("/settings/team", "/settings/keys", "/settings/webhooks", "/settings/audit", "/numbers/new"):
            assert browser.get(path).status == 403, f"{role} {path}"


async def test_the_ids_of_another_business_lead_nowhere(acme: Acme, engine: AsyncEngine, ids: dict[str, str]) -> None:
    async with engine.begin() as connection:
        await accounts.create_business(connection, "Other", "owner@other.example", PASSWORD)
    other = Browser(acme.address, follows=False)
    other.sign_in("owner@other.example")
    before = await acme.rows(text("SELECT users::text FROM users WHERE business_id = 1"))
    for path in (path for path in POSTS if "{" in path and path not in LOOKS):
        answer = other.post(
            filled(path, ids),
            {**FIELDS, "phone_number_id": "1", "waba_id": "1", "seen": "x", "phones": "+972501234567"},
        )
        assert answer.status == 404, f"{path}: {answer.status}"
    for path in (path for path in GETS if "{" in path):
        assert other.get(filled(path, ids)).status == 404, path
    assert await acme.rows(text("SELECT users::text FROM users WHERE business_id = 1")) == before
