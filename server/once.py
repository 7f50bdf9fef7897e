"""Requests that are done once: a route that takes an `Idempotency-Key` asks for `Once` and keeps its answer by it.

    async def create_segment(wanted: SegmentRequest, once: Once, …) -> SegmentShown:
        …
        return await once.keep(await _shown(…))

The route is entered only where no identical request was answered before: else that answer is given again. The key
stands in the transaction of the route (`Transaction`), so that it is kept if what it did is. A route with transactions
of its own asks for `OnceInParts` and begins by itself.
"""

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, TypeVar

from fastapi import Depends, Header, Request
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncConnection

from server.services import idempotency
from server.services.idempotency import Answer
from server.tenancy import Connects
from server.web_resources import BusinessId, Transaction

IdempotencyKey = Annotated[str | None, Header(description="the same key and body give the same answer, for 24 hours")]
M = TypeVar("M", bound=BaseModel)


class AnsweredBefore(Exception):
    """An identical request was answered: so is this one."""

    def __init__(self, answer: Answer) -> None:
        super().__init__()
        self.answer = answer


@dataclass(frozen=True, slots=True)
class RequestInParts:
    """A request and its key, where it has one; without a key nothing is kept."""

    request: Request
    business_id: int
    key: str | None

    async def begin(self, connection: AsyncConnection) -> None:
        """Take the key in this transaction; another request with it waits until the end of that.

        The body has come in by now. Raises `AnsweredBefore`; `KeyReused`, `NotNow`; `BadInput` for a key that is none.
        """
        if self.key is None:
            return
        idempotency.check_key(self.key)
        answer = await idempotency.begin(connection, self.business_id, self.key, await self._hash())
        if answer is not None:
            raise AnsweredBefore(answer)

    async def keep(self, connection: AsyncConnection, answer: M) -> M:
        """Keep the answer, which is returned as it is."""
        if self.key is not None:
            status = getattr(self.request.scope["route"], "status_code", None) or HTTPStatus.OK
            kept = Answer(int(status), answer.model_dump_json(by_alias=True))
            await idempotency.keep_answer(connection, self.business_id, self.key, kept)
        return answer

    @asynccontextmanager
    async def under_way(self, engine: Connects) -> AsyncIterator[None]:
        """Hold the key, committed, while something is done in many transactions that may be done again without harm."""
        async with engine.begin() as connection:
            await self.begin(connection)
        try:
            yield
        except Exception:
            if self.key is not None:
                async with engine.begin() as connection:
                    await idempotency.forget(connection, self.business_id, self.key)
            raise

    async def _hash(self) -> str:
        """Of everything that was asked: the call, its parameters and its body, wherever that has gone."""
        url = self.request.url
        asked = hashlib.sha256(f"{self.request.method} {url.path}?{url.query} ".encode())
        spooled = getattr(self.request.state, "body_hash", None)
        asked.update(spooled.encode() if isinstance(spooled, str) else await self.request.body())
        return asked.hexdigest()


async def _in_parts(
    request: Request, business_id: BusinessId, idempotency_key: IdempotencyKey = None
) -> RequestInParts:
    return RequestInParts(request, business_id, idempotency_key)


OnceInParts = Annotated[RequestInParts, Depends(_in_parts)]


@dataclass(frozen=True, slots=True)
class RequestOnce:
    """A request that is done in the one transaction of its route."""

    parts: RequestInParts
    connection: AsyncConnection

    async def keep(self, answer: M) -> M:
        """Keep the answer, which is returned as it is."""
        return await self.parts.keep(self.connection, answer)


async def _once(parts: OnceInParts, connection: Transaction) -> RequestOnce:
    await parts.begin(connection)
    return RequestOnce(parts, connection)


Once = Annotated[RequestOnce, Depends(_once)]
