"""Templates over HTTP."""

from typing import Any

from tests.api.conftest import Api


def test_templates_come_a_page_at_a_time(api: Api, other: Api) -> None:
    assert api.post("/templates/sync").status == 200
    whole = api.get("/templates").json
    assert whole["next_cursor"] is None
    assert len(whole["items"]) > 2

    seen: list[Any] = []
    cursor: str | None = ""
    while cursor is not None:
        page = api.get(f"/templates?limit=2{cursor and f'&cursor={cursor}'}").json
        assert 1 <= len(page["items"]) <= 2
        seen += page["items"]
        cursor = page["next_cursor"]

    assert seen == whole["items"]
    assert len(other.get("/templates").json["items"]) == 1


def test_a_cursor_or_a_limit_that_cannot_be_is_refused(api: Api) -> None:
    for query, pointer in (
        ("cursor=nonsense", "query: cursor"),
        ("limit=0", "query: limit"),
        ("limit=x", "query: limit"),
    ):
        refused = api.get(f"/templates?{query}")
        assert (refused.status, refused.json["errors"][0]["pointer"]) == (422, pointer)
