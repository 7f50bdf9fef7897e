"""People: invited by a link that opens once, given roles, taken away; and what each has of their own."""

from urllib.parse import urlsplit

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from server.domain.roles import Role
from server.services import accounts
from tests.dashboard.business.conftest import Acme
from tests.support.browser import OWNER, PASSWORD, Browser

NEW = {"name": "Dana", "password": "a long password"}


def an_invite(browser: Browser, email: str = "dana@acme.example", role: str = "approver") -> str:
    """The path of a new invite's link."""
    page = browser.post("/settings/team/invites", {"email": email, "role": role})
    assert page.status == 200, page.text
    return urlsplit(page.text.split('id="link"')[1].split('value="')[1].split('"')[0]).path


async def user_id(acme: Acme, email: str) -> int:
    """A person's number."""
    (row,) = await acme.rows(text("SELECT id FROM users WHERE email = :email"), email=email)
    return int(row.id)


def test_an_invite_lets_one_person_in_once(acme: Acme, visitor: Browser, stranger: Browser) -> None:
    link = an_invite(visitor)
    assert "dana@acme.example" in visitor.get("/settings/team").text
    page = stranger.get(link)
    assert "Acme" in page.text
    short = stranger.post(link, {"name": "Dana", "password": "short"})
    assert (short.status, "at least 10" in short.text.lower()) == (422, True)
    assert short.field("name") == "Dana"
    assert stranger.post(link, NEW).status == 303
    stranger.get("/settings/account")
    assert "dana@acme.example" in stranger.get("/settings/account").text
    assert stranger.get("/settings/keys").status == 403  # an approver has no keys
    late = stranger.another()
    assert late.get(link).status == 404
    late.get("/sign-in")
    assert late.post(link, NEW).status == 404
    assert "Invited" not in visitor.get("/settings/team").text


async def test_an_invite_opens_nothing_after_a_week_or_once_it_was_withdrawn(acme: Acme, visitor: Browser) -> None:
    old, withdrawn = an_invite(visitor), an_invite(visitor, "noam@acme.example")
    replaced = an_invite(visitor, "maya@acme.example")
    an_invite(visitor, "maya@acme.example")
    await acme.rows(text("UPDATE invites SET expires_at = now() WHERE email = 'dana@acme.example' RETURNING id"))
    (row,) = await acme.rows(text("SELECT id FROM invites WHERE email = 'noam@acme.example'"))
    assert visitor.post(f"/settings/team/invites/{row.id}/withdraw").status == 303
    assert [visitor.another().get(link).status for link in (old, withdrawn, replaced)] == [404, 404, 404]


async def test_an_invite_to_an_address_of_another_business_tells_its_holder_alone(
    acme: Acme, visitor: Browser, engine: AsyncEngine
) -> None:
    async with engine.begin() as connection:
        await accounts.create_business(connection, "Other", "owner@other.example", PASSWORD)
    link = an_invite(visitor, "Owner@other.example")
    holder = visitor.another()
    holder.get(link)
    answer = holder.post(link, NEW)
    assert (answer.status, "signs in to another business" in answer.text) == (422, True)
    assert visitor.post("/settings/team/invites", {"email": OWNER, "role": "viewer"}).status == 422


async def test_a_role_holds_from_the_next_request_on(acme: Acme, visitor: Browser) -> None:
    editor = await acme.a_person(Role.EDITOR)
    number = await user_id(acme, "editor@acme.example")
    assert editor.get("/settings/keys").status == 403
    assert visitor.post(f"/settings/team/{number}/role", {"role": "owner"}).status == 303
    assert editor.get("/settings/keys").status == 200
    assert editor.post(f"/settings/team/{await user_id(acme, OWNER)}/role", {"role": "viewer"}).status == 303
    assert visitor.get("/settings/keys").status == 403


async def test_the_last_owner_stays(acme: Acme, visitor: Browser) -> None:
    number = await user_id(acme, OWNER)
    await acme.a_person(Role.APPROVER)
    assert visitor.post(f"/settings/team/{number}/role", {"role": "editor"}).status == 409
    assert visitor.post(f"/settings/team/{number}/remove").status == 409
    assert visitor.get("/settings/team").status == 200


async def test_whoever_is_removed_is_signed_out_at_once(acme: Acme, visitor: Browser) -> None:
    viewer = await acme.a_person(Role.VIEWER)
    assert viewer.get("/settings/account").status == 200
    assert visitor.post(f"/settings/team/{await user_id(acme, 'viewer@acme.example')}/remove").status == 303
    assert viewer.get("/settings/account").location.startswith("/sign-in")
    assert viewer.sign_in("viewer@acme.example").status == 422


def test_a_new_password_needs_the_old_one_and_ends_every_other_session(acme: Acme, visitor: Browser) -> None:
    elsewhere = visitor.another()
    elsewhere.sign_in()
    wrong = visitor.post("/settings/account/password", {"old": "not it", "new": "a longer password"})
    assert (wrong.status, "This is not your password." in wrong.text) == (422, True)
    assert elsewhere.get("/settings/account").status == 200
    assert visitor.post("/settings/account/password", {"old": PASSWORD, "new": "short"}).status == 422
    assert visitor.post("/settings/account/password", {"old": PASSWORD, "new": "a longer password"}).status == 303
    assert visitor.get("/settings/account").status == 200
    assert elsewhere.get("/settings/account").location.startswith("/sign-in")
    assert elsewhere.sign_in(password="a longer password").status == 303


async def test_a_session_can_be_ended_from_elsewhere_by_its_own_person(acme: Acme, visitor: Browser) -> None:
    elsewhere = visitor.another()
    elsewhere.sign_in()
    editor = await acme.a_person(Role.EDITOR)
    (row,) = await acme.rows(text("SELECT max(id) AS id FROM sessions WHERE user_id = (SELECT min(id) FROM users)"))
    assert editor.post(f"/settings/account/sessions/{row.id}/end").status == 404
    assert visitor.post(f"/settings/account/sessions/{row.id}/end").status == 303
    assert elsewhere.get("/settings/account").location.startswith("/sign-in")
    assert visitor.get("/settings/account").status == 200


def test_the_language_of_the_account_holds_in_every_browser(acme: Acme, visitor: Browser) -> None:
    visitor.post("/language", {"code": "es", "back": "/"})
    assert visitor.post("/settings/account/profile", {"name": "Noa", "language": "he"}).status == 303
    assert 'dir="rtl"' in visitor.get("/settings/account").text
    elsewhere = visitor.another()
    elsewhere.sign_in()
    assert 'dir="rtl"' in elsewhere.get("/settings/account").text
