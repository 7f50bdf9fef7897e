"""WhatsApp's webhooks: verification, and bodies that are proven, made durable, and only then answered.

Plain Starlette routes: this is the busiest door of all, and nothing of its input is ours to describe. What a body says
is read afterwards (`services/webhooks.py`); a 200 promises that it will be.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from server.logs import Event, get_logger
from server.problems import problem
from server.providers.webhooks import LARGEST_BODY_BYTES, SIGNATURE_HEADER, ids_in, is_signed
from server.services.channel_directory import ChannelDirectory
from server.services.inbox import Inbox
from server.services.webhooks import WebhookDesk

PATH: Final = "/webhooks/whatsapp"
# What another process left in the inbox, or could not apply, is looked for so often.
LOOK_EVERY_SECONDS: Final = 2.0
TRY_AGAIN_SECONDS: Final = 0.2

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class WebhookDoor:
    """What the routes work with: who may sign, and where bodies go."""

    directory: ChannelDirectory
    inbox: Inbox


@contextlib.asynccontextmanager
async def open_door(database_url: str, directory: ChannelDirectory, desk: WebhookDesk) -> AsyncIterator[WebhookDoor]:
    """Take bodies in, and apply them as they come, for as long as the block lasts."""
    came = asyncio.Event()
    applier = asyncio.create_task(_apply_all(desk, came))
    try:
        async with Inbox(database_url, came.set) as inbox:
            yield WebhookDoor(directory, inbox)
    finally:
        applier.cancel()
        await asyncio.gather(applier, return_exceptions=True)


async def _apply_all(desk: WebhookDesk, came: asyncio.Event) -> None:
    while True:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LOOK_EVERY_SECONDS):
                await came.wait()
        came.clear()
        try:
            await desk.apply_all()
        except Exception as error:  # noqa: BLE001 - what is committed waits; whoever applies it must not be gone
            # Two that waited for each other, or a database that is away.
            _log.warning(Event.WEBHOOKS_WAIT, error=str(error).partition("\n")[0])
            await asyncio.sleep(TRY_AGAIN_SECONDS)
            came.set()


async def verify(request: Request) -> Response:
    """Meta asks whether this address is ours: the challenge comes back where the verify token is a channel's."""
    asked = request.query_params
    token = asked.get("hub.verify_token", "")
    if asked.get("hub.mode") == "subscribe" and token:
        directory = _door(request).directory
        if verified := await directory.of_verify_token(token):
            await directory.note_verified(verified)
            return PlainTextResponse(asked.get("hub.challenge", ""))
    return problem(HTTPStatus.FORBIDDEN, "No channel has this verify token.")


async def receive(request: Request) -> Response:
    """Keep what WhatsApp tells. 200: committed. 401: nobody's signature, nothing is kept. 413: over 3 MB.

    503: the database is away or hangs, or too much waits for it; WhatsApp brings it again.
    """
    body = await _body_of(request)
    if body is None:
        return problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "A webhook has at most 3 MB.")
    door = _door(request)
    signature = request.headers.get(SIGNATURE_HEADER)
    signer = None
    with door.inbox.room(body):
        if signature:
            signer = await door.directory.signer(ids_in(body), lambda secret: is_signed(body, signature, secret))
        if signer is None:
            return problem(HTTPStatus.UNAUTHORIZED, "The signature is not that of a channel which the body names.")
        await door.inbox.put(signer.channel_id, body)
    return Response(status_code=HTTPStatus.OK)


async def _body_of(request: Request) -> bytes | None:
    """The raw bytes; None where they are more than Meta ever sends."""
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length) > LARGEST_BODY_BYTES:
        return None
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > LARGEST_BODY_BYTES:
            return None
        parts.append(part)
    return b"".join(parts)


def _door(request: Request) -> WebhookDoor:
    door = request.app.state.webhooks
    assert isinstance(door, WebhookDoor)
    return door


routes: Final = [Route(PATH, verify, methods=["GET"]), Route(PATH, receive, methods=["POST"])]
