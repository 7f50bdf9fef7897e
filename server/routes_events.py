"""A broadcast as it goes, over HTTP: server-sent events."""

import asyncio
import time
from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Annotated, Final

from fastapi import APIRouter, Header
from fastapi.responses import Response, StreamingResponse

from server.api_models.broadcasts import Broadcast
from server.domain.states import FINAL
from server.parameters import Id
from server.problems import responses
from server.services import broadcast_json
from server.services.progress import LOOK_EVERY_SECONDS, ProgressHub, Snapshot, snapshot
from server.web_resources import BusinessId, Resources

# Names a proxy or a browser would give up on; a comment keeps the line alive.
KEEP_ALIVE_SECONDS: Final = 15.0

router = APIRouter(
    prefix="/broadcasts",
    tags=["Broadcasts"],
    responses=responses(HTTPStatus.UNAUTHORIZED, HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.SERVICE_UNAVAILABLE),
)


LastEventId = Annotated[str | None, Header(description="the `id` of the last event that came", max_length=200)]


class _EventResponse(StreamingResponse):
    media_type = "text/event-stream"


@router.get(
    "/{broadcast_id}/events",
    response_class=_EventResponse,
    response_model=None,
    responses={
        **responses(HTTPStatus.NOT_FOUND),
        HTTPStatus.NO_CONTENT.value: {"description": "It ended, and `Last-Event-ID` is its last: do not ask again"},
    },
)
async def follow_broadcast(
    broadcast_id: Id,
    resources: Resources,
    business_id: BusinessId,
    last_event_id: LastEventId = None,
) -> Response:
    """Server-sent events: `progress` with the broadcast while it changes, at most one a second, and a last one when it
    ends. Whoever comes back with `Last-Event-ID` is told nothing twice."""
    async with resources.engine.connect() as connection:
        first = snapshot(await broadcast_json.show(connection, business_id, broadcast_id))
    if _is_final(first) and first.version == last_event_id:
        return Response(status_code=HTTPStatus.NO_CONTENT)
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return _EventResponse(_events(resources.progress, broadcast_id, first, last_event_id or ""), headers=headers)


async def _events(hub: ProgressHub, broadcast_id: int, first: Snapshot, said: str) -> AsyncIterator[str]:
    latest, told_at = first, time.monotonic()
    async with hub.watch(broadcast_id) as watcher:
        while True:
            if latest.version != said:
                said, told_at = latest.version, time.monotonic()
                yield _event(latest)
                if _is_final(latest):
                    return
            try:
                async with asyncio.timeout(KEEP_ALIVE_SECONDS):
                    await watcher.changed.wait()
            except TimeoutError:
                yield ": still here\n\n"
                continue
            if watcher.is_over or watcher.latest is None:
                return  # the client asks again, as event streams do, and is told what is wrong
            await asyncio.sleep(told_at + LOOK_EVERY_SECONDS - time.monotonic())  # at most one a second
            watcher.changed.clear()
            latest = watcher.latest


def _event(state: Snapshot) -> str:
    return f"id: {state.version}\nevent: progress\ndata: {Broadcast.model_validate(state.shown).model_dump_json()}\n\n"


def _is_final(state: Snapshot) -> bool:
    return state.shown["status"] in FINAL
