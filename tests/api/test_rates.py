"""The rate card over HTTP, and the cost in the pre-flight."""

from tests.api.conftest import Api, an_order, people

CARD = b"country,category,price,currency,valid_from\nIL,utility,0.0353,EUR,2026-10-01\n"


def put(api: Api, body: bytes, content_type: str = "text/csv") -> int:
    answer = api.call("PUT", "/api/whatsapp/rates", body, content_type=content_type)
    return answer.status


def test_a_card_is_taken_in_shown_used_and_taken_away(api: Api, other: Api) -> None:
    assert api.get("/rates").json == {"currency": None, "imported_at": None, "items": []}
    taken = api.call("PUT", "/api/whatsapp/rates", CARD, content_type="text/csv; charset=utf-8")
    assert (taken.status, taken.json) == (200, {"currency": "EUR", "prices_count": 1, "countries_count": 1})
    shown = api.get("/rates").json
    assert shown["items"] == [{"country": "IL", "category": "utility", "price": "0.0353", "valid_from": "2026-10-01"}]
    assert other.get("/rates").json["items"] == []
    path = f"/broadcasts/{api.post('/broadcasts', an_order(start=False, recipients=people(8))).json['id']}/preflight"
    assert api.get(path).json["cost"] == {
        "currency": "EUR",
        "total": "0.2824",
        "by_country": [
            {"country": "IL", "category": "utility", "recipients": 8, "free": 0, "price": "0.0353", "cost": "0.2824"}
        ],
        "missing": [],
        "prices_date": "2026-10-01",
    }
    assert api.call("DELETE", "/api/whatsapp/rates").status == 204
    assert api.get(path).json["cost"] is None
    assert "no_rate_card" in {finding["code"] for finding in api.get(path).json["findings"]}


def test_what_is_no_card_is_refused_and_says_why(api: Api) -> None:
    assert put(api, CARD, "application/json") == 422
    refused = api.call("PUT", "/api/whatsapp/rates", CARD + b"XX,utility,1,EUR,2026-10-01\n", content_type="text/csv")
    assert (refused.status, refused.json["errors"][0]["pointer"]) == (422, "line 3")
    assert put(api, b"x" * 3_000_000) == 413
    assert api.get("/rates").json["items"] == []
