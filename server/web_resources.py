"""What the web process works with, made at its start; and how a route gets at it."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Annotated

import redis
from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from server.config import Settings
from server.domain.errors import Denied
from server.jobs.queues import HintQueue
from server.secrets import Vault
from server.services import accounts
from server.services.preflight import Lookout
from server.services.progress import ProgressHub

_bearer = HTTPBearer(auto_error=False, description="An API key, `clr_…`, of `clarion init` or `clarion api-key create`")


@dataclass(frozen=True, slots=True)
class WebResources:
    """Settings, database, queue and keys of one web process."""

    settings: Settings
    engine: AsyncEngine
    queue: HintQueue
    redis: redis.Redis
    vault: Vault
    progress: ProgressHub

    @property
    def lookout(self) -> Lookout:
        """What asks outside before a broadcast starts."""
        return Lookout(self.engine, self.settings, self.vault)


def resources_of(request: Request) -> WebResources:
    """The resources of the process that answers a request."""
    found = request.app.state.resources
    assert isinstance(found, WebResources)
    return found


Resources = Annotated[WebResources, Depends(resources_of)]


async def _business_of(
    resources: Resources, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
) -> int:
    """Whose key the request carries. Raises `Denied`."""
    if credentials is None:
        raise Denied("This needs an API key: Authorization: Bearer clr_….")
    async with resources.engine.begin() as connection:
        return await accounts.business_of_key(connection, credentials.credentials)


BusinessId = Annotated[int, Depends(_business_of)]


async def _transaction(resources: Resources, _: BusinessId) -> AsyncIterator[AsyncConnection]:
    """The key is looked at first and on its own: a request that held one connection and waited for a second could wait
    for others that do the same."""
    async with resources.engine.begin() as connection:
        yield connection


# One transaction a request, committed when the route returned and before the answer leaves.
Transaction = Annotated[AsyncConnection, Depends(_transaction, scope="function")]
