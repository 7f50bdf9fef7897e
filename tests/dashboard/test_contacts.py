"""Contacts on the pages: found, kept, changed, opted out and in, forgotten."""

import re
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.api.conftest import Api
from tests.support.browser import Browser, Page

DANA = "+972501234567"


def make(visitor: Browser, phone: str = DANA, **fields: Any) -> str:
    """A contact; the path of its page."""
    visitor.get("/contacts/new")
    page = visitor.post("/contacts", phone=phone, **fields)
    assert page.status == 200, page.text
    assert re.fullmatch(r"/contacts/\d+", page.path), page.text
    return page.path


def shown(page: Page) -> str:
    """The words of a page."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page.text))


def test_a_contact_is_kept_changed_and_forgotten(visitor: Browser, api: Api) -> None:
    path = make(visitor, name="Dana", tags="VIP, north", attribute=["city", "age"], value=["Haifa", "31"])
    assert all(word in shown(visitor.get(path)) for word in ("Dana", "vip", "north", "Haifa"))

    visitor.get(f"{path}/edit")
    visitor.post(path, phone=DANA, name="Dana L", tags="vip", attribute=["city", "age"], value=["Acre", ""])
    kept = api.get(path).json
    assert (kept["name"], kept["tags"], kept["attributes"]) == ("Dana L", ["vip"], {"city": "Acre"})

    visitor.post(f"{path}/tags", add="new; old")
    visitor.post(f"{path}/tags", drop="vip")
    assert api.get(path).json["tags"] == ["new", "old"]

    assert "Delete for good" in visitor.get(f"{path}/ask/delete").text
    assert visitor.post(f"{path}/delete").path == "/contacts"
    assert visitor.get(path).status == 404


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"phone": "12"}, "Not a phone number."),
        ({"tags": "x" * 101}, "longer than 100 characters"),
        ({"attribute": ["phone"], "value": ["1"]}, "is a field of its own"),
        ({"attribute": [""], "value": ["1"]}, "has no name"),
    ],
)
def test_what_cannot_be_kept_is_said_at_its_field_and_what_was_typed_stays(
    visitor: Browser, wrong: dict[str, Any], words: str
) -> None:
    visitor.get("/contacts/new")
    page = visitor.post("/contacts", **{"phone": DANA, "name": "Kept <b>", **wrong})
    assert page.status == 422
    assert words in page.text
    assert 'value="Kept &lt;b&gt;"' in page.text
    assert "<b>" not in page.text.replace("Kept <b>", "")


def test_a_phone_that_is_taken_is_said_at_the_phone(visitor: Browser) -> None:
    make(visitor)
    visitor.get("/contacts/new")
    page = visitor.post("/contacts", phone="+972 50 123 4567")
    assert page.status == 422
    assert "has the phone +972501234567 already" in page.text


def test_contacts_are_found_by_name_digits_tag_and_wish(visitor: Browser) -> None:
    first = make(visitor, "+972501234567", name="Dana", tags="vip")
    second = make(visitor, "+972501234568", name="Omar", tags="staff")
    visitor.post(f"{second}/opt-out", note="")

    def found(query: str) -> list[str]:
        return re.findall(r'class="whole" href="(/contacts/\d+)"', visitor.get(f"/contacts?{query}").text)

    assert found("") == [second, first]
    assert found("q=dan") == [first]
    assert found("q=050-123-4568") == [second]
    assert found("tag=VIP") == [first]
    assert found("state=out") == [second]
    assert found("state=in&tag=staff") == []
    assert "2 contacts" in visitor.get("/contacts/count").text
    assert "1 contact" in visitor.get("/contacts/count?q=dan").text
    # What can be no tag finds nobody, and says why.
    assert "stand between tags" in visitor.get("/contacts?tag=a;b").text
    assert visitor.get("/contacts/contacts.csv?tag=a;b").status == 422
    assert found("q=%00dan") == [first]


def test_a_list_goes_on_behind_its_last_contact(visitor: Browser, api: Api) -> None:
    people = [{"phone": f"+9725000{n:05d}", "name": f"Person {n}"} for n in range(60)]
    assert api.post("/contacts/import", {"contacts": people}).status == 200
    page = visitor.get("/contacts")
    cursor = re.search(r"cursor=([\w-]+)", page.text)
    assert cursor is not None
    rest = visitor.get(f"/contacts?cursor={cursor[1]}")
    assert [text.count('class="whole"') for text in (page.text, rest.text)] == [50, 10]
    assert visitor.get("/contacts?cursor=nonsense").status == 422
    assert visitor.get("/broadcasts/new").status == 404


async def test_an_opt_out_and_an_opt_in_are_kept_with_who_when_and_what_proves_them(
    visitor: Browser, engine: AsyncEngine
) -> None:
    path = make(visitor)
    visitor.post(f"{path}/opt-out", note="called us")
    page = shown(visitor.get(path))
    assert "Nothing is sent to this person" in page
    assert "called us" in page
    assert "called us" in shown(visitor.get("/contacts/opt-outs"))

    assert "max=" in visitor.get(f"{path}/ask/opt-in").text
    refused = visitor.post(f"{path}/opt-in", source=" ", at="tomorrow", note="kept")
    assert refused.status == 422
    assert "kept" in refused.text
    # Older than the opt-out: the latest wish holds.
    visitor.post(f"{path}/opt-in", source="form", at="2026-01-01", note="")
    assert "Nothing is sent to this person" in visitor.get(path).text
    visitor.post(f"{path}/opt-in", source="form", at="", note="box ticked")
    page = shown(visitor.get(path))
    assert "Nothing is sent" not in page
    assert "box ticked" in page
    async with engine.connect() as connection:
        wishes = await connection.scalars(text("SELECT wish FROM consent_changes ORDER BY id"))
        assert list(wishes) == ["stop", "start", "start"]


def test_somebody_is_opted_out_by_phone_alone(visitor: Browser) -> None:
    visitor.get("/contacts/opt-outs")
    refused = visitor.post("/contacts/opt-outs", phone="12", note="kept")
    assert refused.status == 422
    assert 'value="kept"' in refused.text
    page = visitor.post("/contacts/opt-outs", phone=DANA, note="<i>")
    assert page.path == "/contacts/opt-outs"
    assert "+972 50-123-4567" in page.text
    assert "&lt;i&gt;" in page.text
    assert "+972 50-123-4567" in visitor.get("/contacts/opt-outs?q=050123").text
    assert "Nobody fits" in visitor.get("/contacts/opt-outs?q=99999").text


def test_an_export_can_be_imported_and_runs_nothing_in_a_spreadsheet(visitor: Browser, api: Api) -> None:
    make(visitor, name="=1+1", tags="b, a", attribute=["city"], value=["Haifa"])
    make(visitor, "+972501234568", name="Omar")
    page = visitor.get("/contacts/contacts.csv")
    assert page.text.splitlines() == [
        "phone,name,tags,opted_out,city",
        "+972501234567,'=1+1,a; b,no,Haifa",
        "+972501234568,Omar,,no,",
    ]
    again = api.call("POST", "/api/whatsapp/contacts/import", page.text.encode(), content_type="text/csv").json
    assert (again["accepted_count"], again["created_count"]) == (2, 0)
    assert visitor.get("/contacts/contacts.csv?q=omar").text.count("\n") == 2


def test_others_see_nothing_and_viewers_change_nothing(visitor: Browser, stranger: Browser, viewer: Browser) -> None:
    path = make(visitor, name="Secret")
    acts = ["", "/tags", "/opt-out", "/opt-in", "/delete"]
    assert {stranger.get(f"{path}{look}").status for look in ("", "/edit", "/ask/delete", "/ask/opt-in")} == {404}
    assert {stranger.post(f"{path}{act}", phone=DANA, source="x").status for act in acts} == {404}
    assert "Secret" not in stranger.get("/contacts").text + stranger.get("/contacts/contacts.csv").text
    assert viewer.get(path).status == 200
    assert {viewer.post(f"{path}{act}", phone=DANA, source="x").status for act in acts} == {403}
    assert viewer.post("/contacts", phone="+972501234569").status == 403
    assert viewer.post("/contacts/opt-outs", phone=DANA).status == 403
    assert {visitor.post(f"{path}{act}", csrf="other", phone=DANA).status for act in acts} == {403}
    assert "Secret" in visitor.get(path).text
