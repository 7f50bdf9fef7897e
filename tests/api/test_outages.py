"""What the API says while something that Clarion leans on is away."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.api.conftest import Api, a_tenant, an_order
from tests.support.engine import Engine
from tests.support.web import serve


@pytest.fixture
def silence() -> Iterator[str]:
    """A server that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"127.0.0.1:{listening.getsockname()[1]}"


@pytest.fixture
def nobody() -> str:
    """An address at which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return f"127.0.0.1:{listening.getsockname()[1]}"


@pytest.mark.parametrize("kind", ["silence", "nobody"])
async def test_without_the_queue_a_broadcast_is_queued_all_the_same(
    kind: str, request: pytest.FixtureRequest, engine: AsyncEngine, clarion: Engine, tmp_path: Path
) -> None:
    tenant, key = await a_tenant(engine, "Acme")
    with serve(clarion, tmp_path, REDIS_URL=f"redis://{request.getfixturevalue(kind)}/0") as address:
        api = Api(address, key, tenant.business_id)
        made = api.post("/broadcasts", an_order())
        assert (made.status, made.json["status"]) == (202, "queued")
        ready = api.call("GET", "/readyz")
        assert (ready.status, ready.json["wrong"]) == (503, ["the queue does not answer"])
    assert "HINT LOST" in (tmp_path / "web.log").read_text()
    # The row is what counts: with the queue back, the steward finds it.
    clarion.start("steward")
    clarion.start("worker")
    clarion.until_ended(made.json["id"])


def test_without_the_database_every_answer_says_so(clarion: Engine, nobody: str, tmp_path: Path) -> None:
    with serve(clarion, tmp_path, DATABASE_URL=f"postgresql://clarion@{nobody}/clarion") as address:
        api = Api(address, "clr_some", 0)
        answer = api.get("/broadcasts")
        assert (answer.status, answer.headers["content-type"]) == (503, "application/problem+json")
        assert answer.json["detail"].startswith("The database does not answer")
        assert api.call("GET", "/readyz").json["wrong"] == ["the database does not answer"]
        assert api.call("GET", "/metrics").status == 503
        assert api.call("GET", "/healthz").status == 200
