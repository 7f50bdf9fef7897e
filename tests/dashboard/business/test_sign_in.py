"""Signing in: what is told to whom, how often it may be tried, the second step, and that a session is always new."""

import pyotp
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from server.domain.roles import Role
from server.services import accounts
from tests.dashboard.business.conftest import Acme
from tests.support.browser import OWNER, PASSWORD, Browser

_AUDIT = text("SELECT who, act, address FROM audit_entries ORDER BY id")


async def test_a_session_is_new_with_every_sign_in(acme: Acme, stranger: Browser) -> None:
    stranger.cookies["clarion_session"] = "chosen-by-somebody-else"
    assert stranger.sign_in().status == 303
    first = stranger.cookies["clarion_session"]
    assert first != "chosen-by-somebody-else"
    again = stranger.another()
    again.cookies["clarion_session"] = first
    assert again.get("/settings/account").status == 200
    stranger.post("/sign-out")
    assert "clarion_session" not in stranger.cookies
    assert again.get("/settings/account").location.startswith("/sign-in")


async def test_an_unknown_address_is_told_the_same_as_a_wrong_password(acme: Acme, stranger: Browser) -> None:
    stranger.get("/sign-in")
    known = stranger.post("/sign-in", {"email": OWNER, "password": "not the password"})
    unknown = stranger.post("/sign-in", {"email": "nobody@acme.example", "password": "not the password"})
    assert (known.status, unknown.status) == (422, 422)
    assert known.text.replace(OWNER, "") == unknown.text.replace("nobody@acme.example", "")
    assert set(known.headers) == set(unknown.headers)
    assert stranger.cookies.keys() == {"clarion_form"}


async def test_a_failed_sign_in_is_written_down_where_the_address_is_somebodys(
    acme: Acme, stranger: Browser, engine: AsyncEngine
) -> None:
    stranger.sign_in("nobody@acme.example")
    stranger.sign_in(OWNER, "not the password")
    stranger.sign_in()
    found: list[tuple[str, str, str]] = []
    for _ in range(200):
        found = [tuple(row) for row in await acme.rows(_AUDIT)]
        if len(found) == 2:
            break
    assert sorted(found) == [(OWNER, "sign_in", "127.0.0.1"), (OWNER, "sign_in_failed", "127.0.0.1")]


def test_a_password_is_tried_a_few_times_a_minute(acme: Acme, stranger: Browser) -> None:
    answers = [stranger.sign_in(OWNER, f"guess {n}").status for n in range(6)]
    assert answers == [422] * 5 + [429]
    # Also the right one, and whatever the case of the address.
    assert stranger.sign_in(OWNER.upper()).status == 429
    assert stranger.sign_in("nobody@acme.example").status == 422


async def test_an_owner_of_another_business_has_no_say_here(acme: Acme, engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        await accounts.create_business(connection, "Other", "owner@other.example", PASSWORD)
    other = Browser(acme.address, follows=False)
    assert other.sign_in("owner@other.example").status == 303
    assert "owner@acme.example" not in other.get("/settings/team").text


class Phone:
    """An authenticator app."""

    def __init__(self, browser: Browser) -> None:
        page = browser.post("/settings/account/second-step/begin")
        found = page.text.split('<code dir="ltr">')[1].split("</code>")[0]
        self.totp = pyotp.TOTP(found.replace(" ", ""))

    @property
    def code(self) -> str:
        return self.totp.now()


async def test_the_second_step_opens_once_by_a_code_and_once_by_each_recovery_code(
    acme: Acme, visitor: Browser
) -> None:
    phone = Phone(visitor)
    page = visitor.post("/settings/account/second-step/confirm", {"code": phone.code})
    codes = [part.split("</code>")[0] for part in page.text.split("<li><code>")[1:]]
    assert len(set(codes)) == 10

    browser = visitor.another()
    answer = browser.sign_in()
    assert (answer.status, answer.location) == (303, "/sign-in/code")
    # Half-way through nobody is signed in.
    assert browser.cookies.keys() == {"clarion_form", "clarion_step"}
    assert browser.get("/settings/account").location.startswith("/sign-in")
    browser.cookies["clarion_session"] = browser.cookies["clarion_step"]
    assert browser.get("/settings/account").location.startswith("/sign-in")
    del browser.cookies["clarion_session"]

    browser.get("/sign-in/code")
    # The code that switched it on was used by that.
    assert browser.post("/sign-in/code", {"code": phone.code}).status == 422
    await acme.rows(text("UPDATE users SET totp_last_step = NULL RETURNING id"))
    assert browser.post("/sign-in/code", {"code": phone.code}).status == 303
    assert browser.get("/settings/account").status == 200

    paper = visitor.another()
    paper.sign_in()
    paper.get("/sign-in/code")
    assert paper.post("/sign-in/code", {"code": codes[0].upper()}).status == 303
    assert "9 recovery codes are left" in paper.get("/settings/account").text
    thief = visitor.another()
    thief.sign_in()
    thief.get("/sign-in/code")
    assert thief.post("/sign-in/code", {"code": codes[0]}).status == 422


async def test_neither_secret_nor_recovery_codes_can_be_read_in_the_database(acme: Acme, visitor: Browser) -> None:
    phone = Phone(visitor)
    page = visitor.post("/settings/account/second-step/confirm", {"code": phone.code})
    code = page.text.split("<li><code>")[1].split("</code>")[0]
    codes = "(SELECT string_agg(r::text, '') FROM recovery_codes r)"
    kept = await acme.rows(text(f"SELECT users::text || {codes} FROM users"))  # noqa: S608 - our own
    assert phone.totp.secret not in kept[0][0]
    assert code.replace("-", "") not in kept[0][0].replace("-", "")


async def test_a_code_is_tried_a_few_times_a_minute(acme: Acme) -> None:
    editor = await acme.a_person(Role.EDITOR)
    phone = Phone(editor)
    editor.post("/settings/account/second-step/confirm", {"code": phone.code})
    browser = editor.another()
    browser.sign_in("editor@acme.example")
    browser.get("/sign-in/code")
    answers = [browser.post("/sign-in/code", {"code": f"{n:06d}"}).status for n in range(5)]
    assert answers == [422] * 4 + [429]
    await acme.rows(text("UPDATE users SET totp_last_step = NULL RETURNING id"))
    assert browser.post("/sign-in/code", {"code": phone.code}).status == 429


def test_a_form_without_the_token_of_its_page_changes_nothing(acme: Acme, visitor: Browser) -> None:
    assert visitor.post("/settings/keys", {"name": "till", "scope": "read"}, csrf="").status == 403
    assert visitor.post("/settings/keys", {"name": "till", "scope": "read"}, csrf="0" * 64).status == 403
    other = visitor.another()
    other.get("/sign-in")
    assert visitor.post("/settings/keys", {"name": "till", "scope": "read"}, csrf=other.csrf).status == 403
    assert "till" not in visitor.get("/settings/keys").text
