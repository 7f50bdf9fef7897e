"""Segments on the pages: made, counted, changed and deleted."""

import re
from typing import Any

from tests.api.conftest import Api
from tests.support.browser import Browser

PEOPLE = [
    {"phone": "+972500000001", "tags": ["vip", "north"], "city": "Haifa"},
    {"phone": "+972500000002", "tags": ["vip"], "city": "Acre"},
    {"phone": "+972500000003", "tags": ["north", "staff"]},
]
HAIFA: dict[str, Any] = {"attribute": ["city", ""], "operator": ["is", "is"], "value": ["Haifa", ""]}


def words(text: str) -> str:
    """Without its elements."""
    return " ".join(re.sub(r"<[^>]+>", " ", text).split())


def test_a_segment_is_made_counted_changed_and_deleted(visitor: Browser, api: Api) -> None:
    api.post("/contacts/import", {"contacts": PEOPLE})
    visitor.get("/contacts/segments/new")
    assert words(visitor.post("/contacts/segments/count", tags="vip, north", match="all").text) == "1 person"
    assert words(visitor.post("/contacts/segments/count", tags="vip, north", match="any").text) == "3 people"
    assert words(visitor.post("/contacts/segments/count", not_tags="staff", **HAIFA).text) == "1 person"

    fields: dict[str, Any] = {"name": "VIPs", "tags": "vip, north", "match": "any", "not_tags": "staff", **HAIFA}
    assert visitor.post("/contacts/segments", **fields).path == "/contacts/segments"
    made = api.get("/segments").json["items"][0]
    assert made["audience"] == {
        "tags": [],
        "any_tags": ["vip", "north"],
        "not_tags": ["staff"],
        "where": [{"attribute": "city", "is": "Haifa"}],
    }
    path = f"/contacts/segments/{made['id']}"
    assert words(visitor.get(f"{path}/size").text) == "1 person"
    assert "everybody tagged vip or north, not tagged staff" in visitor.get("/contacts/segments").text
    assert 'value="vip, north"' in visitor.get(path).text

    changed: dict[str, Any] = {"name": "VIPs", "attribute": ["city"], "operator": ["exists_not"], "value": [""]}
    visitor.post(path, **changed)
    assert words(visitor.get(f"{path}/size").text) == "1 person"
    assert "its people stay" in visitor.get(f"{path}/ask/delete").text
    visitor.post(f"{path}/delete")
    assert api.get("/segments").json["items"] == []


def test_what_is_wrong_with_a_segment_is_said_at_its_field(visitor: Browser) -> None:
    visitor.get("/contacts/segments/new")
    page = visitor.post("/contacts/segments", name="", tags="vip")
    assert page.status == 422
    assert "needs a name" in page.text
    page = visitor.post("/contacts/segments", name="Kept", tags="vip", not_tags="vip")
    assert page.status == 422
    assert "asked for and ruled out" in page.text
    assert 'value="Kept"' in page.text
    page = visitor.post("/contacts/segments", name="A", attribute=["city"], operator=["is"], value=[""])
    assert page.status == 422
    page = visitor.post("/contacts/segments", name="A", attribute=["city"], operator=["nonsense"], value=["x"])
    assert page.status == 422
    visitor.post("/contacts/segments", name="Twice")
    page = visitor.post("/contacts/segments", name="twice")
    assert page.status == 422
    assert "already" in page.text


def test_segments_are_behind_the_walls(visitor: Browser, stranger: Browser, viewer: Browser, api: Api) -> None:
    made = api.post("/segments", {"name": "Secret", "audience": {}}).json
    path = f"/contacts/segments/{made['id']}"
    assert {stranger.get(f"{path}{look}").status for look in ("", "/size", "/ask/delete")} == {404}
    assert {stranger.post(f"{path}{act}", name="x").status for act in ("", "/delete")} == {404}
    assert viewer.get(path).status == 200
    assert {viewer.post(f"{path}{act}", name="x").status for act in ("", "/delete")} == {403}
    assert visitor.post(path, csrf="other", name="x").status == 403
