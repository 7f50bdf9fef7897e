"""The web process, put together: resources for its lifetime, routes, errors, limits and headers."""

import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from importlib.metadata import version
from typing import Final

import redis
from fastapi import APIRouter, Depends, FastAPI
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server import (
    problems,
    routes_channels,
    routes_contacts,
    routes_events,
    routes_health,
    routes_plans,
    routes_rates,
    routes_recipients,
    routes_segments,
    routes_templates,
    routes_tests,
    routes_truth,
    routes_webhooks,
    routes_whatsapp,
)
from server.addresses import addresses, vault
from server.config import Settings, settings
from server.database import async_engine
from server.jobs.queues import broadcasts_queue
from server.metrics import REQUEST_SECONDS, REQUESTS
from server.parameters import refuse_unknown_parameters
from server.routes_webhooks import open_door
from server.services.channel_directory import ChannelDirectory
from server.services.progress import ProgressHub
from server.services.webhooks import WebhookDesk
from server.uploads import is_streamed
from server.web_resources import WebResources

API: Final = "/api/whatsapp"
LARGEST_BODY_BYTES: Final = 32 * 1024 * 1024
_POOL_SIZE: Final = 10
# How long a request may wait for the queue. The row is what counts: the steward finds it without a hint.
_QUEUE_TIMEOUT_SECONDS: Final = 2
_METHODS: Final = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))
_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
}


def create_app(configuration: Settings | None = None) -> FastAPI:
    """The application; its connections are made when it starts and closed when it ends."""
    chosen = configuration or settings()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            found = addresses(chosen)
            engine = await stack.enter_async_context(async_engine(found.database_url, pool_size=_POOL_SIZE))
            connection: redis.Redis = redis.Redis.from_url(
                found.redis_url,
                socket_connect_timeout=_QUEUE_TIMEOUT_SECONDS,
                socket_timeout=_QUEUE_TIMEOUT_SECONDS,
                retry=None,
            )
            stack.callback(connection.close)
            keys = vault(chosen)
            directory = ChannelDirectory(engine, keys)
            desk = WebhookDesk(engine, directory, max_attempts=chosen.max_attempts)
            app.state.webhooks = await stack.enter_async_context(open_door(found.database_url, directory, desk))
            progress = ProgressHub(engine)
            stack.push_async_callback(progress.close)
            queue = broadcasts_queue(connection)
            app.state.resources = WebResources(chosen, engine, queue, connection, keys, progress)
            yield

    app = FastAPI(
        title="Clarion",
        version=version("clarion"),
        summary="One WhatsApp message to many people, safely.",
        lifespan=lifespan,
        separate_input_output_schemas=False,
        generate_unique_id_function=lambda route: route.name,  # what a generated client calls its functions
    )
    problems.install(app)
    api = APIRouter(prefix=API, dependencies=[Depends(refuse_unknown_parameters)])
    api.include_router(routes_whatsapp.router)
    api.include_router(routes_rates.router)
    api.include_router(routes_recipients.router)
    api.include_router(routes_events.router)
    api.include_router(routes_plans.router)
    api.include_router(routes_tests.router)
    api.include_router(routes_truth.router)
    api.include_router(routes_truth.key_router)
    api.include_router(routes_channels.router)
    api.include_router(routes_templates.router)
    api.include_router(routes_contacts.router)
    api.include_router(routes_contacts.people)
    api.include_router(routes_segments.router)
    api.include_router(routes_segments.audiences)
    app.include_router(api)
    app.include_router(routes_health.router)
    app.router.routes.extend(routes_webhooks.routes)
    app.add_middleware(_Door)
    plain_openapi = app.openapi
    app.openapi = lambda: problems.describe(plain_openapi())  # type: ignore[method-assign]
    return app


class _Door:
    """What holds for every request: a largest body, headers that browsers obey, and a count."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status, read = time.monotonic(), 500, 0
        limit = _limit_of(scope)

        async def receive_bounded() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > limit:
                raise HTTPException(413, f"The body is larger than {limit // 1024 // 1024} MB.")
            return message

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                if scope["path"].startswith(API):
                    headers.setdefault("Cache-Control", "no-store")
            await send(message)

        try:
            await self._app(scope, receive_bounded, send_with_headers)
        finally:
            route = _route_of(scope)
            # Whoever makes up methods and paths must not make up labels.
            REQUESTS.labels(route, scope["method"] if scope["method"] in _METHODS else "other", status).inc()
            REQUEST_SECONDS.labels(route).observe(time.monotonic() - began)


def _route_of(scope: Scope) -> str:
    """The route that answered, as its path with the names of its parameters."""
    path = getattr(scope.get("route"), "path", None)
    if path is None:
        return "unknown"
    return f"{API}{path}" if scope["path"].startswith(API) and not path.startswith(API) else str(path)


def _limit_of(scope: Scope) -> float:
    """Bytes of a body. A list of people as a file is streamed to disk and may be of any size."""
    is_list = scope["method"] == "POST" and scope["path"].endswith(("/recipients", "/contacts/import"))
    content_type = dict(scope["headers"]).get(b"content-type", b"").decode("latin-1")
    return float("inf") if is_list and is_streamed(content_type) else LARGEST_BODY_BYTES
