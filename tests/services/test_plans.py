"""The hot statements use the index they were written for: their cost does not grow with the audience."""

import json
import re
from collections.abc import Mapping
from typing import Any

import psycopg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from server.services import ledger
from tests.support.builders import a_broadcast, a_run

PEOPLE = 20_000
RUN = {"epoch": 1}
NOBODY = {
    "results": json.dumps([{"id": n, "claim_number": 1, "status": "sent", "message_id": "wamid"} for n in (1, 2)]),
    "rate": 80.0,
    "limited_by": "your_rate",
    "settled_through_id": 0,
    "business_id": 1,
}


HALF_WAIT = """
    UPDATE whatsapp_broadcast_recipients SET error_message = 'quiet hours', next_attempt_at = now() + interval '1 hour'
     WHERE broadcast_id = %(broadcast_id)s AND id %% 2 = 0
"""


@pytest.mark.parametrize("half_wait", [False, True], ids=["", "half_wait"])
@pytest.mark.parametrize(
    ("statement", "values"),
    [
        (ledger.CLAIM, {**RUN, "wanted": 20}),
        (ledger.RECORD, {**RUN, **NOBODY}),
        (ledger.TAKE_OVER, {**RUN, "why": "test"}),
        (ledger.HAND_BACK_STRAYS, {**RUN, "held": [1]}),
        (ledger.SPARE_DUE, {**RUN, "why": "test"}),
        (ledger.IN_FLIGHT, {}),
        (ledger.NEXT_ATTEMPT, {}),
    ],
    ids=["claim", "record", "take_over", "hand_back_strays", "spare_due", "in_flight", "next_attempt"],
)
async def test_a_hot_statement_never_scans_the_audience(
    engine: AsyncEngine, database_url: str, statement: str, values: Mapping[str, Any], half_wait: bool
) -> None:
    broadcast = await a_broadcast(engine, recipients=PEOPLE)
    await a_run(engine, broadcast)
    with psycopg.connect(database_url, autocommit=True) as connection:
        if half_wait:
            connection.execute(HALF_WAIT, {"broadcast_id": broadcast.id})
        connection.execute("VACUUM ANALYZE")
        rows = connection.execute(
            f"EXPLAIN (ANALYZE, TIMING off, COSTS off) {statement}", {"broadcast_id": broadcast.id, **values}
        ).fetchall()
    plan = "\n".join(row[0] for row in rows)
    assert "Seq Scan on whatsapp_broadcast_recipients" not in plan, plan
    touched = [int(float(rows)) for rows in re.findall(r"whatsapp_broadcast_recipients.*?rows=([\d.]+)", plan)]
    assert max(touched, default=0) <= 100, plan
