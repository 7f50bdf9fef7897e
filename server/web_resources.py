"""What the web process works with, made at its start; and how a route gets at it.

A route asks for `Resources` or `Transaction`: their connections see the rows of the key's business and no others
(`server/tenancy.py`), so no route can forget. `ProcessResources` sees everything and is for what knows no business:
health, and the look-up of the key itself.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Annotated, Any, Final

import redis
from fastapi import Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer, SecurityScopes
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from server.config import Settings
from server.domain.audit import NOBODY, Who
from server.domain.errors import Denied, Forbidden
from server.domain.scopes import KeyScope
from server.jobs.queues import HintQueue
from server.rate_limits import CallLimit
from server.secrets import Vault
from server.services import accounts
from server.services.accounts import KeyUsed
from server.services.preflight import Lookout
from server.services.progress import ProgressHub
from server.tenancy import BusinessEngine, Connects

_bearer = HTTPBearer(auto_error=False, description="An API key, `clr_…`, of `clarion init` or `clarion api-key create`")


@dataclass(frozen=True, slots=True)
class WebResources:
    """Settings, database, queue and keys. engine: of the whole process, or of the one business that a request is of.

    who: whoever asks, as it is written down.
    """

    settings: Settings
    engine: Connects
    queue: HintQueue
    redis: redis.Redis
    vault: Vault
    progress: ProgressHub
    call_limit: CallLimit
    who: Who = NOBODY

    @property
    def lookout(self) -> Lookout:
        """What asks outside before a broadcast starts."""
        return Lookout(self.engine, self.settings, self.vault)


async def resources_of(request: Request) -> WebResources:
    """The resources of the process that answers a request."""
    found = request.app.state.resources
    assert isinstance(found, WebResources)
    return found


ProcessResources = Annotated[WebResources, Depends(resources_of)]


async def _key_of(
    request: Request,
    resources: ProcessResources,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
) -> KeyUsed:
    """The key that the request carries. Raises `Denied`."""
    known = getattr(request.state, "key", None)
    if isinstance(known, KeyUsed):
        return known  # FastAPI asks once for each scope that something needs
    if credentials is None:
        raise Denied("This needs an API key: Authorization: Bearer clr_….")
    async with resources.engine.connect() as connection:
        # One statement, and now and then a second: a transaction would be two more round trips for each request.
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        key = await accounts.key_used(connection, credentials.credentials)
    request.state.key = key
    return key


Key = Annotated[KeyUsed, Depends(_key_of)]


async def _has_scope(scopes: SecurityScopes, key: Key) -> None:
    for scope in scopes.scopes:
        if not key.scope.includes(KeyScope(scope)):
            raise Forbidden(f"This API key has the scope `{key.scope}`; this needs `{scope}`.")


def needs(scope: KeyScope) -> Any:
    """What a router or a route lists among its dependencies: the scope of its callers, in the OpenAPI document too."""
    return Security(_has_scope, scopes=[scope.value])


async def _counted(request: Request, resources: ProcessResources, key: Key) -> None:
    """Raises `LimitReached` for a key that calls too often. What is left is told in the headers of every answer."""
    request.state.rate_limit = standing = await resources.call_limit.hit(key.id)
    if standing is not None:
        standing.raise_if_over()


# What every call that changes something lists among its dependencies.
COUNTED: Final = Depends(_counted)


async def _business_of(key: Key) -> int:
    return key.business_id


BusinessId = Annotated[int, Depends(_business_of)]


def address_of(request: Request) -> str:
    """The network address that a request comes from."""
    return request.client.host if request.client else "unknown"


async def _resources_of_business(request: Request, resources: ProcessResources, key: Key) -> WebResources:
    assert isinstance(resources.engine, AsyncEngine)
    who = Who(key.name, key_id=key.id, is_admin=key.scope is KeyScope.ADMIN, address=address_of(request))
    return replace(resources, engine=BusinessEngine(resources.engine, key.business_id), who=who)


Resources = Annotated[WebResources, Depends(_resources_of_business)]


async def _transaction(resources: Resources) -> AsyncIterator[AsyncConnection]:
    """The key is looked at first and on its own: a request that held one connection and waited for a second could wait
    for others that do the same."""
    async with resources.engine.begin() as connection:
        yield connection


# One transaction a request, committed when the route returned and before the answer leaves.
Transaction = Annotated[AsyncConnection, Depends(_transaction, scope="function")]
