"""The web process, put together: resources for its lifetime, routes, errors, limits and headers."""

import asyncio
import gc
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from http import HTTPStatus
from importlib.metadata import version
from typing import Final

import redis
from fastapi import APIRouter, Depends, FastAPI
from fastapi.routing import APIRoute
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server import (
    problems,
    routes_business,
    routes_changes,
    routes_channels,
    routes_contacts,
    routes_events,
    routes_health,
    routes_keys,
    routes_plans,
    routes_rates,
    routes_recipients,
    routes_segments,
    routes_templates,
    routes_tests,
    routes_truth,
    routes_webhooks,
    routes_webhooks_out,
    routes_whatsapp,
)
from server.addresses import addresses, vault
from server.config import Settings, settings
from server.dashboard import Pages, create_dashboard
from server.database import async_engine
from server.domain.scopes import KeyScope
from server.jobs.queues import broadcasts_queue
from server.metrics import REQUEST_SECONDS, REQUESTS
from server.parameters import refuse_unknown_parameters
from server.rate_limits import Standing, call_limit
from server.routes_webhooks import open_door
from server.services.channel_directory import ChannelDirectory
from server.services.progress import ProgressHub
from server.services.webhooks import WebhookDesk
from server.uploads import is_streamed
from server.web_resources import COUNTED, WebResources, needs

API: Final = "/api/whatsapp"
LARGEST_BODY_BYTES: Final = 32 * 1024 * 1024
BODY_PATIENCE_SECONDS: Final = 30.0
_POOL_SIZE: Final = 10
# How long a request may wait for the queue. The row is what counts: the steward finds it without a hint.
_QUEUE_TIMEOUT_SECONDS: Final = 2
_NO_PATH: Final = f"{API}/no such path"
_METHODS: Final = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))
_SAFE: Final = frozenset(("GET", "HEAD"))
# Every subject of the API: its routes, the scope that a key needs to look, and the one it needs to change something.
_ROUTERS: Final = (
    (routes_whatsapp.router, KeyScope.READ, KeyScope.SEND),
    (routes_changes.router, KeyScope.READ, KeyScope.SEND),
    (routes_recipients.router, KeyScope.READ, KeyScope.SEND),
    (routes_events.router, KeyScope.READ, KeyScope.SEND),
    (routes_plans.router, KeyScope.READ, KeyScope.SEND),
    (routes_tests.router, KeyScope.READ, KeyScope.SEND),
    (routes_truth.router, KeyScope.READ, KeyScope.SEND),
    (routes_contacts.router, KeyScope.READ, KeyScope.SEND),
    (routes_contacts.people, KeyScope.READ, KeyScope.SEND),
    (routes_segments.router, KeyScope.READ, KeyScope.SEND),
    (routes_segments.audiences, KeyScope.READ, KeyScope.SEND),
    (routes_channels.router, KeyScope.READ, KeyScope.ADMIN),
    (routes_templates.router, KeyScope.READ, KeyScope.SEND),
    (routes_rates.router, KeyScope.READ, KeyScope.ADMIN),
    (routes_webhooks_out.router, KeyScope.READ, KeyScope.ADMIN),
    (routes_keys.router, KeyScope.ADMIN, KeyScope.ADMIN),
    (routes_business.router, KeyScope.READ, KeyScope.ADMIN),
)
_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
}


def create_app(configuration: Settings | None = None) -> FastAPI:
    """The application; its settings are read and its connections made when it starts, and closed when it ends."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        chosen = configuration or settings()
        build_routes(app)
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
            limit = await stack.enter_async_context(call_limit(found.redis_url, chosen.calls_per_minute))
            app.state.resources = WebResources(chosen, engine, queue, connection, keys, progress, limit)
            # What was made until here stays for good. Looking through it for garbage again and again held every answer
            # up for a tenth of a second, several times a minute under load.
            gc.collect()
            gc.freeze()
            stack.callback(gc.unfreeze)
            yield

    app = FastAPI(
        title="Clarion",
        version=version("clarion"),
        summary="One WhatsApp message to many people, safely.",
        lifespan=lifespan,
        docs_url=None,  # a page of the dashboard: the framework's own comes from another host
        redoc_url=None,
        separate_input_output_schemas=False,
        generate_unique_id_function=lambda route: route.name,  # what a generated client calls its functions
    )
    problems.install(app)
    api = APIRouter(prefix=API, dependencies=[Depends(refuse_unknown_parameters)])
    for router, to_read, to_change in _ROUTERS:
        _include(api, router, to_read, to_change)
    api.include_router(routes_truth.key_router)  # a public key, for whoever checks a receipt
    app.include_router(api)
    app.include_router(routes_health.router)
    # Before all others: routes are tried one after the other, and the busiest door paid a third of its time for that.
    app.router.routes[:0] = routes_webhooks.routes
    app.router.routes.append(Pages("/", create_dashboard(app.state)))
    app.add_middleware(_Door)
    plain_openapi = app.openapi
    app.openapi = lambda: problems.describe(plain_openapi())  # type: ignore[method-assign]
    return app


def build_routes(app: FastAPI) -> None:
    """Let every route be looked at once: that is when it is built, and the first visitor would wait for all of them."""
    scope = {"type": "http", "method": "GET", "path": _NO_PATH, "root_path": "", "headers": []}
    for route in app.router.routes:
        route.matches(scope)
        for page in route.routes if isinstance(route, Pages) else ():
            page.matches(scope)


def _include(api: APIRouter, router: APIRouter, to_read: KeyScope, to_change: KeyScope) -> None:
    """Take in the routes of a subject: each asks for a key with a scope, and what changes something is counted."""
    reads, changes = APIRouter(), APIRouter()
    for route in router.routes:
        is_read = isinstance(route, APIRoute) and route.methods is not None and route.methods <= _SAFE
        (reads if is_read else changes).routes.append(route)
    refused = problems.responses(HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
    limited = problems.responses(HTTPStatus.TOO_MANY_REQUESTS)
    api.include_router(reads, dependencies=[needs(to_read)], responses=refused)
    api.include_router(changes, dependencies=[needs(to_change), COUNTED], responses={**refused, **limited})


class _Door:
    """What holds for every request: a largest body that does not stop coming, headers that browsers obey, and a count.

    patience_seconds: how long the next piece of a body may take.
    """

    def __init__(self, app: ASGIApp, patience_seconds: float = BODY_PATIENCE_SECONDS) -> None:
        self._app = app
        self._patience_seconds = patience_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status, read, is_whole = time.monotonic(), 500, 0, False
        limit = _limit_of(scope)
        state = scope.setdefault("state", {})  # what a route keeps in `request.state` is found here

        async def receive_bounded() -> Message:
            nonlocal read, is_whole
            try:
                # Once it has come in whole, the next message is that the client has gone, whenever that will be.
                async with asyncio.timeout(None if is_whole else self._patience_seconds):
                    message = await receive()
            except TimeoutError as error:
                raise HTTPException(408, "The body stopped coming.", {"Connection": "close"}) from error
            is_whole = not message.get("more_body", False)
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
                standing = state.get("rate_limit")
                if isinstance(standing, Standing):
                    headers.update(standing.headers())
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
