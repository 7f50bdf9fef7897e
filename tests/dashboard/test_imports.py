"""A file becomes contacts on the pages: looked into, taken in while one may leave, stopped, and what was left out."""

import re

from tests.api.conftest import Api
from tests.support.browser import Browser, Page
from tests.support.engine import until

LIST = (
    "Mobile,Name,City,unsubscribed,opt_in_at\n"
    "050-123-4567,Dana,Haifa,no,2026-01-01\n"
    "050-123-4568,Omar,Acre,yes,\n"
    "nonsense,<b>Nobody</b>,Acre,no,\n"
)


def the_end(visitor: Browser, name: str = "") -> Page:
    """The page of an import that is over. name: of its file, where there was another one before."""

    def look() -> Page | None:
        page = visitor.get("/contacts/import/run")
        return None if "Importing" in page.text or name not in page.text else page

    page = until(look, what="the end of the import")
    assert page is not None
    return page


def figures(page: Page) -> list[str]:
    """New, added to, opted out, still opted out."""
    return re.findall(r'<dd class="figure">([\d,]+)</dd>', page.text)


def test_a_file_is_looked_into_before_it_is_taken_in(visitor: Browser, api: Api) -> None:
    visitor.get("/contacts/import")
    page = visitor.upload("/contacts/import/look?default_country=IL", LIST.encode())
    words = re.sub(r"<[^>]+>", "|", page.text)
    assert re.search(r"Mobile\|+the phone", words)
    assert re.search(r"City\|+an attribute", words)
    assert re.search(r"unsubscribed\|+opted out, yes or no", words)
    assert "no phone column" in visitor.upload("/contacts/import/look", b"a,b\n1,2\n").text
    assert api.get("/contacts").json["items"] == []


def test_a_file_is_taken_in_and_every_row_is_accounted_for(visitor: Browser, api: Api) -> None:
    visitor.get("/contacts/import")
    begun = visitor.upload("/contacts/import?name=people.csv&default_country=IL&tags=New;north", LIST.encode())
    assert begun.path == "/contacts/import/run"
    page = the_end(visitor)
    assert figures(page) == ["2", "0", "1", "0"]
    assert "people.csv" in page.text
    assert '4</td><td><bdi>nonsense</bdi></td><td dir="auto">not a phone number' in page.text
    assert "<b>Nobody</b>" not in page.text
    assert re.search(r"Mobile</bdi></dt><dd>the phone", page.text)
    people = api.get("/contacts").json["items"]
    assert [(one["name"], one["tags"], one["opted_out"]) for one in people] == [
        ("Dana", ["new", "north"], False),
        ("Omar", ["new", "north"], True),
    ]
    # The same once more changes nothing.
    visitor.upload("/contacts/import?name=again.csv&default_country=IL&tags=New;north", LIST.encode())
    assert figures(the_end(visitor, "again.csv")) == ["0", "0", "0", "0"]


def test_rows_about_the_same_person_are_one_and_those_left_out_can_be_downloaded(visitor: Browser) -> None:
    visitor.get("/contacts/import")
    assert visitor.get("/contacts/import/rejected.csv").status == 404
    twice = "+972501234567,Dana\n+972501234567,Dana L\n=1+1,Nobody\n"
    visitor.upload("/contacts/import?name=twice.csv", f"phone,name\n{twice}".encode())
    page = the_end(visitor)
    assert "2 rows taken in" in page.text
    assert "1 row was merged with another about the same person" in page.text
    assert figures(page)[0] == "1"
    assert '<a class="button small" href="/contacts/import/rejected.csv" download>' in page.text
    file = visitor.get("/contacts/import/rejected.csv")
    assert file.text == "\N{BYTE ORDER MARK}Line,Phone,Why\r\n4,'=1+1,not a phone number\r\n"
    assert file.headers["content-disposition"] == 'attachment; filename="not-imported.csv"'
    hebrew = visitor.get("/contacts/import/rejected.csv", **{"Accept-Language": "he"}).text
    assert "שורה,טלפון,סיבה" in hebrew


def test_json_lines_are_taken_in_by_the_name_of_the_file(visitor: Browser, api: Api) -> None:
    visitor.get("/contacts/import")
    visitor.upload("/contacts/import?name=people.jsonl", b'{"phone": "+972501234567", "city": "Haifa"}\n{"phone": 1\n')
    assert figures(the_end(visitor)) == ["1", "0", "0", "0"]
    assert api.get("/contacts").json["items"][0]["attributes"] == {"city": "Haifa"}


def test_a_file_that_is_none_is_refused_before_anything_begins(visitor: Browser) -> None:
    visitor.get("/contacts/import")
    for body, words in ((b"", "is empty"), (b"PK\x03\x04", "Excel"), (b"a,b\n1,2\n", "has no phone column")):
        refused = visitor.upload("/contacts/import?name=x.csv", body)
        assert refused.status == 422
        assert words in refused.text
    refused = visitor.upload("/contacts/import?name=x.csv&default_country=XX", LIST.encode())
    assert refused.status == 422
    assert visitor.get("/contacts/import/run").path == "/contacts/import"


def test_an_import_is_alone_and_can_be_stopped(visitor: Browser, api: Api) -> None:
    rows = "".join(f"+97250{n:07d}\n" for n in range(200_000))
    visitor.get("/contacts/import")
    begun = visitor.upload("/contacts/import?name=many.csv", f"phone\n{rows}".encode())
    assert "Importing" in begun.text
    second = visitor.upload("/contacts/import?name=second.csv&default_country=IL", LIST.encode())
    assert second.status == 409
    visitor.post("/contacts/import/stop")
    page = the_end(visitor)
    assert "Stopped" in page.text
    created = int(figures(page)[0].replace(",", ""))
    assert created < 200_000
    # Whoever came in stays, and the way is free for another one.
    assert visitor.upload("/contacts/import?name=third.csv&default_country=IL", LIST.encode()).status == 200
    assert "third.csv" in the_end(visitor, "third.csv").text


def test_an_import_is_for_those_who_may_and_for_pages_of_ours(visitor: Browser, viewer: Browser) -> None:
    viewer.get("/contacts")
    assert viewer.get("/contacts/import").status == 403
    assert viewer.upload("/contacts/import?name=x.csv", LIST.encode()).status == 403
    assert viewer.upload("/contacts/import/look", LIST.encode()).status == 403
    visitor.csrf = "other"
    assert visitor.upload("/contacts/import?name=x.csv", LIST.encode()).status == 403
