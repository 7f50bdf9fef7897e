"""Settings, keys and the audit: what is chosen, what is shown once, what is written down and stays."""

import re

import psycopg
import pytest
from sqlalchemy import text

from server.services import businesses
from server.tenancy import BusinessEngine
from tests.api.conftest import Api
from tests.dashboard.business.conftest import Acme
from tests.support.browser import OWNER, Browser
from tests.support.builders import PHONE_NUMBER_ID, WABA_ID

CHOSEN = {
    "name": "Acme Ltd",
    "unknown_policy": "assume_failed",
    "stop_words": " genug \n\nno  more\ngenug",
    "start_words": "again",
    "approval_over": "1,000",
    "quiet_from": "21:00",
    "quiet_to": "08:00",
    "days_off": "saturday",
    "time_zone": "Asia/Jerusalem",
    "cap_messages": "2",
    "cap_days": "7",
    "opt_out_reply": "Goodbye.\r\nWrite START.",
    "opt_in_reply": " ",
}


def listed(browser: Browser, path: str) -> str:
    """The entries alone, without the words that can be filtered by."""
    return browser.get(path).text.split('id="list"')[1]


async def test_what_is_chosen_is_kept_and_written_down(acme: Acme, visitor: Browser) -> None:
    assert visitor.post("/settings", CHOSEN).status == 303
    async with BusinessEngine(acme.engine, acme.tenant.business_id).begin() as connection:
        found = await businesses.show(connection, acme.tenant.business_id)
    assert found == {
        "id": acme.tenant.business_id,
        "name": "Acme Ltd",
        "unknown_policy": "assume_failed",
        "stop_words": ["genug", "no more"],
        "start_words": ["again"],
        "approval_over": 1000,
        "quiet_hours": {"from": "21:00", "to": "08:00", "days_off": ["saturday"]},
        "time_zone": "Asia/Jerusalem",
        "frequency_cap": {"messages": 2, "days": 7},
        "opt_out_reply": "Goodbye.\nWrite START.",
        "opt_in_reply": None,
    }
    assert visitor.post("/settings", CHOSEN).status == 303  # nothing is different: nothing is written down
    told = await acme.rows(text("SELECT who, detail FROM audit_entries WHERE act = 'settings_changed'"))
    changed = [name for name in businesses.SETTINGS if name != "opt_in_reply"]
    assert [tuple(row) for row in told] == [(OWNER, ", ".join(changed))]
    page = visitor.get("/settings")
    typed = {name: page.field(name) for name in ("name", "quiet_from", "quiet_to", "time_zone", "cap_messages")}
    assert typed == {name: CHOSEN[name] for name in typed}
    assert 'value="saturday" checked' in page.text


async def test_what_is_left_empty_is_switched_off(acme: Acme, visitor: Browser) -> None:
    assert visitor.post("/settings", CHOSEN).status == 303
    bare = {"name": "Acme", "time_zone": "UTC", "unknown_policy": "evidence"}
    assert visitor.post("/settings", bare).status == 303
    async with BusinessEngine(acme.engine, acme.tenant.business_id).begin() as connection:
        found = await businesses.show(connection, acme.tenant.business_id)
    assert {name for name in businesses.SETTINGS if found[name]} == set(bare)


@pytest.mark.parametrize(
    ("typed", "fields"),
    [
        ({"name": " "}, ["name"]),
        ({"name": "x" * 201}, ["name"]),
        ({"stop_words": "x" * 101}, ["stop_words"]),
        ({"approval_over": "-1"}, ["approval_over"]),
        ({"approval_over": "9" * 5_000}, ["approval_over"]),
        ({"quiet_from": "", "time_zone": "Mars"}, ["quiet_from", "time_zone"]),
        ({"quiet_to": "21:00"}, ["quiet_to"]),
        ({"cap_days": ""}, ["cap_days"]),
        ({"cap_messages": "two", "cap_days": "366"}, ["cap_messages", "cap_days"]),
        ({"opt_out_reply": "x" * 1_001, "opt_in_reply": "\x00"}, ["opt_out_reply", "opt_in_reply"]),
    ],
)
def test_what_cannot_be_stands_at_its_field(
    acme: Acme, visitor: Browser, typed: dict[str, str], fields: list[str]
) -> None:
    page = visitor.post("/settings", {**CHOSEN, **typed})
    assert page.status == 422
    assert re.findall(r'id="(\w+)-wrong"', page.text) == fields
    assert page.field("quiet_to") == {**CHOSEN, **typed}["quiet_to"]  # what was typed is kept
    assert visitor.get("/settings").field("name") == "Acme"


def test_a_key_is_shown_once_and_opens_until_it_is_revoked(acme: Acme, visitor: Browser) -> None:
    page = visitor.post("/settings/keys", {"name": "till", "scope": "read"})
    key = page.text.split('id="made"')[1].split('value="')[1].split('"')[0]
    assert key.startswith("clr_")
    assert page.headers["cache-control"] == "no-store"
    api = Api(acme.address, key, acme.tenant.business_id)
    assert api.get("/broadcasts").status == 200
    listed = visitor.get("/settings/keys").text
    assert "till" in listed
    assert key not in listed
    key_id = re.findall(r"/settings/keys/(\d+)/revoke", listed)[-1]
    assert visitor.post(f"/settings/keys/{key_id}/revoke").status == 303
    assert api.get("/broadcasts").status == 401
    assert visitor.post("/settings/keys", {"name": " ", "scope": "read"}).status == 422


async def test_the_audit_tells_who_did_what_by_person_and_by_key(acme: Acme, visitor: Browser) -> None:
    api = Api(acme.address, acme.key, acme.tenant.business_id)
    api.post("/api-keys", {"name": "till", "scope": "send"})
    contact = api.post("/contacts", {"phone": "+972501234567", "name": "Dana"}).json["id"]
    assert api.call("DELETE", f"/api/whatsapp/contacts/{contact}").status == 204
    page = listed(visitor, "/settings/audit")
    assert page.index("Contact deleted") < page.index("Key made") < page.index("Signed in")
    assert "+972501234567" not in page
    assert "Dana" not in page
    assert "Key made" not in listed(visitor, "/settings/audit?act=contact_deleted")
    assert "Signed in" not in listed(visitor, "/settings/audit?q=test")
    by_key = "SELECT who, act, key_id, address FROM audit_entries WHERE key_id IS NOT NULL ORDER BY id"
    rows = await acme.rows(text(by_key))
    assert [tuple(row) for row in rows] == [
        ("test", "key_made", 1, "127.0.0.1"),
        ("test", "contact_deleted", 1, "127.0.0.1"),
    ]


def test_the_audit_says_what_was_changed_in_the_readers_words(acme: Acme, visitor: Browser) -> None:
    same = {"phone_number_id": f"{PHONE_NUMBER_ID}1", "waba_id": WABA_ID}
    visitor.post("/numbers/1", {**same, "token": "another", "rate": "40"})
    visitor.post("/settings/team/invites", {"email": "new@acme.example", "role": "viewer"})
    visitor.post("/settings/keys", {"name": "shop", "scope": "send"})
    told = visitor.get("/settings/audit").text
    assert "Access token<bdi>, </bdi>Messages a second, at most" in told
    hebrew = visitor.get("/settings/audit", **{"Accept-Language": "he"}).text
    assert '<bdi>new@acme.example</bdi> <span class="quiet">צפייה</span>' in hebrew
    assert '<bdi>shop</bdi> <span class="quiet">שליחה</span>' in hebrew


async def test_the_audit_is_read_page_by_page(acme: Acme, visitor: Browser) -> None:
    await acme.rows(
        text(
            "INSERT INTO audit_entries (business_id, who, act, subject)"
            " SELECT 1, 'Dana', 'key_made', 'key ' || n FROM generate_series(1, 60) n RETURNING id"
        )
    )
    first = visitor.get("/settings/audit").text
    assert ("key 60<" in first, "key 11<" in first, "key 10<" in first) == (True, True, False)
    more = first.split('class="more"')[1].split('href="')[1].split('"')[0].replace("&amp;", "&")
    assert "key 10<" in visitor.get(more).text


async def test_the_audit_cannot_be_changed_by_a_request_nor_rewritten_by_anybody(acme: Acme, visitor: Browser) -> None:
    inside = BusinessEngine(acme.engine, acme.tenant.business_id)
    for statement in ("DELETE FROM audit_entries", "UPDATE audit_entries SET who = 'x'"):
        with pytest.raises(Exception, match="permission denied"):
            async with inside.begin() as connection:
                await connection.execute(text(statement))
    url = acme.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(url) as connection_of_owner, pytest.raises(psycopg.errors.RaiseException):
        connection_of_owner.execute("UPDATE audit_entries SET who = 'x'")
