"""One person across broadcasts: their cost is one look-up for each broadcast, and not the people in it."""

import re
from typing import Any

import psycopg
import pytest
from sqlalchemy import TextClause
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncEngine

from server.services import conversations
from tests.support.builders import a_broadcast, a_business

BROADCASTS = 20
PEOPLE = 2_000


@pytest.mark.parametrize(
    ("statement", "values"),
    [
        (conversations._MESSAGES, {"at": None, "direction": None, "id": None, "written": ["+972500000007"]}),
        (conversations._ACROSS, {"before_id": None}),
    ],
    ids=["messages", "across"],
)
async def test_one_person_is_found_without_reading_the_others(
    engine: AsyncEngine, database_url: str, statement: TextClause, values: dict[str, Any]
) -> None:
    tenant = await a_business(engine)
    for _ in range(BROADCASTS):
        await a_broadcast(engine, PEOPLE, tenant=tenant, status="completed")
    compiled = str(statement.compile(dialect=postgresql.psycopg.dialect()))  # type: ignore[no-untyped-call]
    bound = {"business_id": tenant.business_id, "phone": "+972500000007", "limit": 50, **values}
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")
        rows = connection.execute(f"EXPLAIN (ANALYZE, TIMING off, COSTS off) {compiled}", bound).fetchall()
    plan = "\n".join(row[0] for row in rows)
    assert "whatsapp_broadcast_recipients_once" in plan, plan
    touched = [int(float(found)) for found in re.findall(r"whatsapp_broadcast_recipients.*?rows=([\d.]+)", plan)]
    assert max(touched, default=0) <= BROADCASTS, plan
