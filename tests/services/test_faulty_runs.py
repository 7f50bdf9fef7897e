"""A fault of our own in the midst of a run: it ends, with everybody accounted for, and says so."""

import asyncio

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from server.domain.limits import allowed_rate
from server.domain.messages import plan_text
from server.providers.whatsapp import WhatsAppClient
from server.services import leases
from server.services.broadcast_worker import BroadcastWorker
from server.services.bulk_gate import BulkGate
from server.services.run_control import RunControl
from server.services.runs import Assignment, Limits
from tests.support.books import assert_counters_equal_rows
from tests.support.builders import PHONE_NUMBER_ID, a_broadcast, a_run


async def test_a_sender_that_fails_ends_the_run_and_leaves_nobody_without_an_outcome(
    engine: AsyncEngine, database_url: str
) -> None:
    """The client was never opened, which is a fault of whoever made the run."""
    broadcast = await a_broadcast(engine, recipients=5)
    run = await a_run(engine, broadcast, seconds=60)
    async with engine.begin() as gate:
        await BulkGate(broadcast.business_id).take(gate, broadcast.id, 60)
    worker = BroadcastWorker(
        Assignment(run, leases.this_process(), plan_text(broadcast.message), PHONE_NUMBER_ID, "token",
                   allowed_rate(80, None), 0.0, seen_count=0, left_count=5),
        Limits(20, 8, 5, 20, 60.0, 5.0),
        client=WhatsAppClient("http://127.0.0.1:9", "v25.0"),
        control=RunControl(run),
        database_url=database_url,
        on_progress=lambda *_: None,
    )  # fmt: skip
    async with asyncio.timeout(20):
        with pytest.raises(RuntimeError, match="before"):
            await worker.run()
    statuses = assert_counters_equal_rows(database_url, broadcast.id).statuses
    assert "sending" not in statuses
