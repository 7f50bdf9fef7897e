"""What a job works with. Made inside the job: RQ forks, and no loop, pool or client may live through a fork."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import uvloop
from sqlalchemy.ext.asyncio import AsyncEngine

from server.addresses import Addresses, addresses, vault
from server.config import Settings, settings
from server.database import async_engine
from server.providers.whatsapp import WhatsAppClient
from server.secrets import Vault

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Resources:
    """Settings, the database, the keys and the HTTP client of one job."""

    settings: Settings
    addresses: Addresses
    engine: AsyncEngine
    vault: Vault
    client: WhatsAppClient


@asynccontextmanager
async def open_resources() -> AsyncIterator[Resources]:
    """Everything a job needs, closed at its end. Raises what a wrong setting or an absent server raises."""
    configuration = settings()
    found = addresses(configuration)
    async with AsyncExitStack() as stack:
        engine = await stack.enter_async_context(async_engine(found.database_url, pool_size=2))
        client = await stack.enter_async_context(
            WhatsAppClient(
                configuration.graph_api_url,
                configuration.graph_api_version,
                request_timeout_seconds=configuration.request_timeout_seconds,
            )
        )
        yield Resources(configuration, found, engine, vault(configuration), client)


def run(story: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine in an event loop of its own, to its end."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(story)
