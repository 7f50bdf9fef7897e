"""What holds for every request, whatever it asks for: errors are problems, bodies are bounded, clients may be slow."""

import asyncio
import gc
import json

import pytest
from fastapi import FastAPI, Request
from starlette.types import Message, Scope

from server import problems, routes_webhooks
from server.app import _Door, create_app
from server.config import Settings
from tests.api.conftest import Api

PROBLEM = "application/problem+json"


@pytest.mark.parametrize(
    ("method", "path", "body", "content_type", "status", "pointers"),
    [
        ("GET", "/api/whatsapp/nothing", None, "application/json", 404, None),
        ("GET", "/api/whatsapp/broadcasts/x", None, "application/json", 404, None),
        ("PUT", "/api/whatsapp/broadcasts", None, "application/json", 405, None),
        ("POST", "/api/whatsapp/broadcasts", b"{", "application/json", 422, [""]),
        ("POST", "/api/whatsapp/broadcasts", b"\xff", "application/json", 422, [""]),
        ("POST", "/api/whatsapp/broadcasts", b"", "application/json", 422, [""]),
        ("POST", "/api/whatsapp/broadcasts", b"name=x", "application/x-www-form-urlencoded", 422, [""]),
        ("POST", "/api/whatsapp/broadcasts", b"<a/>", "application/xml", 422, [""]),
        ("POST", "/api/whatsapp/broadcasts", b'{"name": 1, "text": {"body": "x"}}', "application/json", 422, ["/name"]),
        ("GET", "/api/whatsapp/broadcasts?limit=x", None, "application/json", 422, ["query: limit"]),
        ("GET", "/api/whatsapp/broadcasts?cursor=x", None, "application/json", 422, ["query: cursor"]),
    ],
)
def test_whatever_is_wrong_comes_out_as_problem_details(
    api: Api, method: str, path: str, body: bytes | None, content_type: str, status: int, pointers: list[str] | None
) -> None:
    answer = api.call(method, path, body, content_type=content_type)
    assert (answer.status, answer.headers["content-type"]) == (status, PROBLEM)
    assert {"type", "title", "status", "detail"} <= set(answer.json)
    assert answer.json["status"] == status
    assert ([item["pointer"] for item in answer.json["errors"]] if pointers else None) == pointers


async def test_a_body_that_stops_coming_is_given_up() -> None:
    app = FastAPI()
    problems.install(app)

    @app.post("/")
    async def take(request: Request) -> int:
        return len(await request.body())

    said: list[Message] = []
    pieces: list[Message] = [{"type": "http.request", "body": b"the first piece", "more_body": True}]

    async def receive() -> Message:
        if not pieces:
            await asyncio.Event().wait()
        return pieces.pop()

    async def send(message: Message) -> None:
        said.append(message)

    scope: Scope = {"type": "http", "method": "POST", "path": "/", "query_string": b"", "headers": [], "server": None}
    await _Door(app, patience_seconds=0.01)(scope, receive, send)
    assert said[0]["status"] == 408
    assert (b"connection", b"close") in said[0]["headers"]
    assert json.loads(said[1]["body"])["detail"] == "The body stopped coming."


async def test_the_busiest_door_is_tried_first_and_what_stays_is_no_garbage(database_url: str, redis_url: str) -> None:
    """Both cost every webhook: a look at each other route, and a look through everything that was ever imported."""
    there = {"DATABASE_URL": database_url, "REDIS_URL": redis_url, "secret_key": "a key of the tests"}
    app = create_app(Settings.model_validate(there))
    assert [getattr(route, "path", "") for route in app.router.routes[:2]] == [routes_webhooks.PATH] * 2
    frozen = gc.get_freeze_count()
    async with app.router.lifespan_context(app):
        assert gc.get_freeze_count() > frozen
    assert gc.get_freeze_count() == 0
