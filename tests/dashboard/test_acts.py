"""A stop is one thing that somebody did, with what came of it below, although the history keeps each step of it."""

import html
import re

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from server.domain.states import Actor, Move, PauseReason
from server.services import broadcasts, stops
from server.services.broadcasts import Why
from server.services.ledger import RunKey
from server.services.runs import InFlight
from tests.api.conftest import Api, an_order
from tests.support.browser import OWNER, Browser
from tests.support.builders import Made, a_run

IN_FLIGHT = "Of 38 requests in flight 17 were accepted, 1 failed, 0 are unknown, 20 had not left and were taken back."


async def a_running_broadcast(api: Api, engine: AsyncEngine) -> RunKey:
    made = api.post("/broadcasts", an_order()).json["id"]
    return await a_run(engine, Made(made, api.business_id))


async def account(engine: AsyncEngine, run: RunKey) -> None:
    """The run tells how what was in flight ended."""
    async with engine.begin() as connection:
        await stops.account(connection, run, str(InFlight(accepted=17, failed=1, unsent=20)))


def told(browser: Browser, path: str) -> list[str]:
    """The lines of a history as they are read, without their times."""
    lines = re.findall(r"(?s)<li\b[^>]*>(.*?)</li>", browser.get(path, **{"HX-Request": "true"}).text)
    words = [html.unescape(re.sub(r"<time.*?</time>|<[^>]*>", " ", line)) for line in lines]
    return [" ".join(line.split()) for line in words]


async def test_a_pause_is_told_once_with_who_asked_and_what_was_in_flight(
    api: Api, visitor: Browser, engine: AsyncEngine
) -> None:
    run = await a_running_broadcast(api, engine)
    visitor.post(f"/broadcasts/{run.broadcast_id}/pause")
    await account(engine, run)
    newest, *_ = told(visitor, f"/broadcasts/{run.broadcast_id}/history")
    assert newest == f"Paused by {OWNER} {IN_FLIGHT}"
    moves = [event["move"] for event in api.get(f"/broadcasts/{run.broadcast_id}/history").json["items"]]
    assert moves == ["queue", "run", "pause", "pause"]  # the chain keeps both


@pytest.mark.parametrize(
    ("is_by_page", "asked", "done"),
    [
        (True, f"Cancelled by {OWNER}", f"Cancelled by {OWNER}"),
        (False, "Cancel asked for by a person", "Cancelled by a person"),  # a key is no person: a wish until it is done
    ],
)
async def test_a_cancel_is_told_once_with_who_asked_and_what_was_in_flight(
    api: Api, visitor: Browser, engine: AsyncEngine, is_by_page: bool, asked: str, done: str
) -> None:
    run = await a_running_broadcast(api, engine)
    path = f"/broadcasts/{run.broadcast_id}/history"
    (visitor if is_by_page else api).post(f"/broadcasts/{run.broadcast_id}/cancel")
    assert told(visitor, path)[0] == asked
    await account(engine, run)
    async with engine.begin() as connection:
        assert await broadcasts.finish_cancel(connection, run.broadcast_id, epoch=run.epoch)
    assert told(visitor, path)[0] == f"{done} {IN_FLIGHT}"
    assert sum("ancel" in line for line in told(visitor, path)) == 1


async def test_a_pause_after_a_pause_is_another_one(api: Api, visitor: Browser, engine: AsyncEngine) -> None:
    run = await a_running_broadcast(api, engine)
    for _ in range(2):
        visitor.post(f"/broadcasts/{run.broadcast_id}/pause")
        await account(engine, run)
        visitor.post(f"/broadcasts/{run.broadcast_id}/resume")
    lines = told(visitor, f"/broadcasts/{run.broadcast_id}/history")
    assert lines[0] == f"Resumed by {OWNER}"
    assert [line.split()[0] for line in lines] == ["Resumed", "Paused", "Resumed", "Paused", "A", "Started"]


async def test_the_story_of_a_person_tells_a_stop_once_too(api: Api, visitor: Browser, engine: AsyncEngine) -> None:
    run = await a_running_broadcast(api, engine)
    visitor.post(f"/broadcasts/{run.broadcast_id}/pause")
    await account(engine, run)
    person = api.get(f"/broadcasts/{run.broadcast_id}/recipients").json["items"][0]["id"]
    lines = told(visitor, f"/broadcasts/{run.broadcast_id}/recipients/{person}")
    assert len([line for line in lines if "Paused" in line]) == 1


async def test_an_act_of_the_engine_alone_stands_by_itself(api: Api, visitor: Browser, engine: AsyncEngine) -> None:
    run = await a_running_broadcast(api, engine)
    async with engine.begin() as connection:
        await broadcasts.request_cancel(connection, run.broadcast_id, by=Actor.STEWARD)
    assert told(visitor, f"/broadcasts/{run.broadcast_id}/history")[0] == "Cancel asked for by the steward"


async def test_a_long_history_begins_with_its_latest_and_goes_back(
    api: Api, visitor: Browser, engine: AsyncEngine
) -> None:
    run = await a_running_broadcast(api, engine)
    async with engine.begin() as connection:
        for _ in range(100):
            for move, why in ((Move.PAUSE, Why(PauseReason.USER)), (Move.RESUME, broadcasts.NO_REASON)):
                await broadcasts.make_or_refuse(connection, run.broadcast_id, move, by=Actor.USER, why=why)
    path = f"/broadcasts/{run.broadcast_id}/history"
    assert [line.split()[0] for line in told(visitor, path)] == ["Resumed", "Paused"] * 100
    (older,) = re.findall(rf'href="({path}\?cursor=[^"]+)"', visitor.get(path).text)
    assert [line.split()[0] for line in told(visitor, older)] == ["A", "Started"]
    assert "?cursor=" not in visitor.get(older).text


async def test_whoever_starts_a_draft_on_a_page_is_named(api: Api, visitor: Browser) -> None:
    draft = api.post("/broadcasts", {**an_order(), "start": False}).json["id"]
    visitor.post(f"/broadcasts/{draft}/start")
    assert f"Started by {OWNER}" in told(visitor, f"/broadcasts/{draft}/history")
