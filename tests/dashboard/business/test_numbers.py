"""Numbers: set up by five checks that turn green, changed without being read back, removed."""

import re

from sqlalchemy import text

from server.domain.roles import Role
from tests.dashboard.business.conftest import Acme
from tests.support.browser import Browser
from tests.support.builders import PHONE_NUMBER_ID, VAULT, WABA_ID
from tests.support.engine import until
from tests.support.simulator import Simulator
from tests.support.webhooks import a_body, a_text, signed

FORM = {"phone_number_id": PHONE_NUMBER_ID, "waba_id": WABA_ID, "token": "a token", "app_secret": "a secret of Meta"}


def states(page: str) -> dict[str, str]:
    """Each check with the word for its state."""
    return dict(re.findall(r'id="check-(\w+)".*?<h3>[^<]* <span class="quiet">([^<]*)</span>', page, re.DOTALL))


def test_the_checks_turn_green_as_the_set_up_goes_on(acme: Acme, visitor: Browser) -> None:
    added = visitor.post("/numbers/new", FORM)
    assert (added.status, added.location) == (303, "/numbers/2")
    assert set(states(visitor.get("/numbers/2").text).values()) == {""}  # the page does not wait for WhatsApp
    page = visitor.get("/numbers/2/checks").text
    assert states(page) == {
        "token": "Passed",
        "number": "Passed",
        "account": "Passed",
        "webhook": "Wrong",  # nobody has subscribed
        "app_secret": "Waiting",
    }
    verify_token = page.split('id="verify"')[1].split('value="')[1].split('"')[0]
    asked = visitor.get(f"/webhooks/whatsapp?hub.mode=subscribe&hub.challenge=7&hub.verify_token={verify_token}")
    assert (asked.status, asked.text) == (200, "7")
    assert "no signed event has come yet" in visitor.get("/numbers/2/checks").text
    raw, proof = signed(a_body(PHONE_NUMBER_ID, messages=[a_text("Hello")]), FORM["app_secret"])
    visitor.send("POST", "/webhooks/whatsapp", raw, proof)
    until(lambda: set(states(visitor.get("/numbers/2/checks").text).values()) == {"Passed"}, what="five that pass")
    assert "last event" in visitor.get("/numbers/2/checks").text  # the page's head is told as well
    assert "+1 555-078-3881" in visitor.get("/numbers").text


def test_what_is_wrong_stands_at_its_field_and_what_was_typed_is_kept_but_secrets(acme: Acme, visitor: Browser) -> None:
    page = visitor.post("/numbers/new", {**FORM, "phone_number_id": "+972 50", "token": ""})
    assert page.status == 422
    assert 'id="phone_number_id-wrong"' in page.text
    assert 'id="token-wrong"' in page.text
    assert page.field("phone_number_id") == "+972 50"
    assert FORM["app_secret"] not in page.text


async def test_a_whatsapp_that_is_away_holds_no_page(acme: Acme, visitor: Browser, simulator: Simulator) -> None:
    simulator.kill()
    assert visitor.get("/numbers").status == 200
    page = visitor.get("/numbers/1/checks").text
    assert states(page)["token"] == "Not known"
    assert "WhatsApp does not answer now." in visitor.get("/numbers/1/live").text


async def test_tokens_are_renewed_and_never_shown(acme: Acme, visitor: Browser) -> None:
    same = {"phone_number_id": f"{PHONE_NUMBER_ID}1", "waba_id": WABA_ID}
    assert visitor.post("/numbers/1", {**same, "token": "another token", "rate": "40"}).status == 303
    (row,) = await acme.rows(text("SELECT token_encrypted, app_secret_encrypted, rate_per_second FROM channels"))
    assert (VAULT.decrypt(row.token_encrypted), row.rate_per_second) == ("another token", 40)
    assert VAULT.decrypt(row.app_secret_encrypted) == "secret"  # what is left empty stays
    for path in ("/numbers", "/numbers/1", "/numbers/1/checks", "/numbers/1/live"):
        assert "another token" not in visitor.get(path).text
    viewer = await acme.a_person(Role.VIEWER)
    assert 'id="verify"' not in viewer.get("/numbers/1/checks").text


async def test_what_whatsapp_said_of_another_number_goes_with_its_id(acme: Acme, visitor: Browser) -> None:
    visitor.post("/numbers/new", FORM)
    visitor.get("/numbers/2/checks")
    assert "+1 555-078-3881" in visitor.get("/numbers/2").text
    same = {**FORM, "token": "", "app_secret": ""}
    visitor.post("/numbers/2", {**same, "waba_id": "88"})
    assert "+1 555-078-3881" in visitor.get("/numbers/2").text
    visitor.post("/numbers/2", {**same, "phone_number_id": "77"})
    assert "+1 555-078-3881" not in visitor.get("/numbers/2").text


async def test_ids_are_mended_until_something_was_sent(acme: Acme, visitor: Browser) -> None:
    visitor.post("/numbers/new", FORM)
    taken = visitor.post("/numbers/2", {"phone_number_id": f"{PHONE_NUMBER_ID}1", "waba_id": WABA_ID})
    assert (taken.status, 'id="phone_number_id-wrong"' in taken.text) == (422, True)
    assert visitor.post("/numbers/2", {"phone_number_id": "77", "waba_id": "88"}).status == 303
    (row,) = await acme.rows(text("SELECT phone_number_id, waba_id FROM channels WHERE id = 2"))
    assert tuple(row) == ("77", "88")
    assert "Saved. The checks look again." in visitor.get("/numbers/2?saved=true").text
    values = "VALUES (1, 2, 'x', '{}')"
    await acme.rows(
        text(f"INSERT INTO whatsapp_broadcasts (business_id, channel_id, name, message) {values} RETURNING id")
    )
    assert visitor.post("/numbers/2", {"phone_number_id": "78", "waba_id": "88"}).status == 422


async def test_a_number_is_removed_unless_a_broadcast_sends_from_it(acme: Acme, visitor: Browser) -> None:
    insert = (
        "INSERT INTO whatsapp_broadcasts (business_id, channel_id, name, message, status) VALUES (1, 1, 'x', '{}', "
    )
    await acme.rows(text(f"{insert} 'paused') RETURNING id"))
    assert visitor.post("/numbers/1/remove").status == 409
    await acme.rows(text("UPDATE whatsapp_broadcasts SET status = 'completed' RETURNING id"))
    assert visitor.post("/numbers/1/remove").status == 303
    assert "No number yet" in visitor.get("/numbers").text
