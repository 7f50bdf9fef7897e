"""API keys over HTTP: made, shown once, used, counted, revoked."""

from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.api.conftest import Api, a_tenant, an_order
from tests.support.engine import Engine
from tests.support.web import serve


async def test_a_key_is_shown_once_and_kept_as_a_hash(api: Api, engine: AsyncEngine) -> None:
    made = api.post("/api-keys", {"name": "shop", "scope": "send"})
    assert (made.status, made.json["name"], made.json["scope"]) == (201, "shop", "send")
    key = made.json["key"]
    assert key.startswith("clr_")
    assert len(key) == len("clr_") + 43  # 256 bits
    async with engine.connect() as connection:
        kept = (await connection.execute(text("SELECT api_keys::text AS kept FROM api_keys"))).scalars().all()
    assert len(kept) == 2
    assert not [row for row in kept if key.removeprefix("clr_") in row]
    listed = api.get("/api-keys").json["items"]
    assert [(item["name"], item["scope"]) for item in listed] == [("test", "admin"), ("shop", "send")]
    assert set(listed[1]) == {"id", "name", "scope", "created_at", "last_used_at"}


def test_a_key_remembers_its_last_use(api: Api) -> None:
    made = api.post("/api-keys", {"name": "shop", "scope": "read"}).json
    assert api.get("/api-keys").json["items"][1]["last_used_at"] is None
    assert Api(api.address, made["key"], api.business_id).get("/broadcasts").status == 200
    assert api.get("/api-keys").json["items"][1]["last_used_at"] is not None


def test_a_revoked_key_opens_nothing(api: Api) -> None:
    made = api.post("/api-keys", {"name": "shop", "scope": "send"}).json
    shop = Api(api.address, made["key"], api.business_id)
    assert shop.post("/broadcasts", an_order(start=False)).status == 202
    assert api.call("DELETE", f"/api/whatsapp/api-keys/{made['id']}").status == 204
    refused = shop.get("/broadcasts")
    assert (refused.status, refused.headers["www-authenticate"]) == (401, "Bearer")
    assert api.call("DELETE", f"/api/whatsapp/api-keys/{made['id']}").status == 404
    assert [item["name"] for item in api.get("/api-keys").json["items"]] == ["test"]


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"name": "", "scope": "read"}, "/name"),
        ({"name": " ", "scope": "read"}, "/name"),
        ({"name": "x\x00", "scope": "read"}, "/name"),
        ({"name": "x", "scope": "owner"}, "/scope"),
        ({"name": "x"}, "/scope"),
        ({"name": "x", "scope": "read", "business_id": 2}, "/business_id"),
    ],
)
def test_a_key_that_cannot_be_is_refused(api: Api, body: dict[str, object], pointer: str) -> None:
    answer = api.post("/api-keys", body)
    assert (answer.status, answer.json["errors"][0]["pointer"]) == (422, pointer)


async def test_calls_that_change_something_are_counted_for_each_key(
    engine: AsyncEngine, clarion: Engine, tmp_path: Path
) -> None:
    tenant, key = await a_tenant(engine, "Acme")
    _, other_key = await a_tenant(engine, "Other")
    with serve(clarion, tmp_path, CLARION_CALLS_PER_MINUTE="3") as address:
        api, other = Api(address, key, tenant.business_id), Api(address, other_key, 0)
        for left in (2, 1, 0):
            answer = api.post("/broadcasts", an_order(start=False))
            assert answer.status == 202
            assert answer.headers["ratelimit-policy"] == '"calls";q=3;w=60'
            assert answer.headers["ratelimit"].startswith(f'"calls";r={left};t=')
        refused = api.post("/broadcasts", an_order(start=False))
        assert (refused.status, refused.headers["content-type"]) == (429, "application/problem+json")
        assert refused.headers["ratelimit"].startswith('"calls";r=0;t=')
        assert 1 <= int(refused.headers["retry-after"]) <= 60
        assert refused.json["detail"].startswith("This key may make 3 changing calls in 60 seconds.")
        # Looking is free, errors count too, and nobody else is held back.
        assert len(api.get("/broadcasts").json["items"]) == 3
        assert other.post("/broadcasts/1/pause").status == 404
        assert other.post("/nothing").headers.get("ratelimit") is None


async def test_without_the_server_that_counts_nobody_is_refused(
    engine: AsyncEngine, clarion: Engine, tmp_path: Path
) -> None:
    tenant, key = await a_tenant(engine, "Acme")
    with serve(clarion, tmp_path, CLARION_CALLS_PER_MINUTE="1", REDIS_URL="redis://127.0.0.1:1/0") as address:
        api = Api(address, key, tenant.business_id)
        answers = [api.post("/broadcasts", an_order(start=False)) for _ in range(3)]
    assert [answer.status for answer in answers] == [202, 202, 202]
    assert "ratelimit" not in {name.lower() for name in answers[0].headers}
    assert "LIMIT AWAY" in (tmp_path / "web.log").read_text()
