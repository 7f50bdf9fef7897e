"""Is the process up, can it work, and how is it doing."""

import asyncio
from http import HTTPStatus

import redis
from fastapi import APIRouter
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from server import tenancy
from server.metrics import BROADCASTS, RATE, exposition
from server.migrations import HEAD, current_revision
from server.web_resources import ProcessResources, WebResources

router = APIRouter(tags=["Health"], include_in_schema=False)

_BY_STATUS = text("""
    /* health.by_status */
    SELECT status, count(*) AS n, coalesce(sum(current_rate) FILTER (WHERE status = 'running'), 0) AS rate
      FROM whatsapp_broadcasts GROUP BY status
""")


@router.get("/healthz")
async def healthz() -> PlainTextResponse:
    """The process answers."""
    return PlainTextResponse("ok")


@router.get("/readyz")
async def readyz(resources: ProcessResources) -> JSONResponse:
    """Database, queue and schema are there: 200, else 503 with what is wrong."""
    wrong = [*await _database_trouble(resources), *await asyncio.to_thread(_queue_trouble, resources)]
    return JSONResponse(
        {"ready": not wrong, "wrong": wrong}, HTTPStatus.SERVICE_UNAVAILABLE if wrong else HTTPStatus.OK
    )


async def _database_trouble(resources: WebResources) -> list[str]:
    try:
        async with resources.engine.connect() as connection:
            revision = await connection.run_sync(current_revision)
            may_act = await tenancy.may_act(connection)
    except SQLAlchemyError:
        return ["the database does not answer"]
    if revision != HEAD:
        return [f"the schema is {revision}, and {HEAD} is needed: clarion migrate"]
    return [] if may_act else [f"the database's role may not act as {tenancy.ROLE}: clarion doctor"]


def _queue_trouble(resources: WebResources) -> list[str]:
    try:
        resources.redis.ping()
    except redis.RedisError:
        return ["the queue does not answer"]
    return []


@router.get("/metrics")
async def metrics(resources: ProcessResources) -> Response:
    """Prometheus' text format; the broadcasts are counted when asked."""
    async with resources.engine.connect() as connection:
        rows = (await connection.execute(_BY_STATUS)).all()
    BROADCASTS.clear()
    for row in rows:
        BROADCASTS.labels(row.status).set(row.n)
    RATE.set(sum(row.rate for row in rows))
    return Response(exposition(), media_type=CONTENT_TYPE_LATEST)
