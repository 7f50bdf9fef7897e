"""A request that comes again, also at the same time, gets the answer that it got, for a day."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import text, update
from sqlalchemy.ext.asyncio import AsyncEngine

from server.models import WhatsAppBroadcastRecipient
from server.services.steward import Policy, go_round
from tests.api.conftest import Api, an_order
from tests.support.builders import Tenant, a_broadcast

POLICY = Policy(unknown_grace_seconds=60, unknown_max_wait_seconds=60, max_attempts=3)


@pytest.fixture
async def failed(api: Api, engine: AsyncEngine) -> str:
    """Where a broadcast whose people all failed is retried."""
    async with engine.begin() as connection:
        channel_id = await connection.scalar(text("SELECT min(id) FROM channels"))
    made = await a_broadcast(engine, 3, status="failed", tenant=Tenant(api.business_id, int(channel_id or 0)))
    async with engine.begin() as connection:
        await connection.execute(update(WhatsAppBroadcastRecipient).values(status="failed"))
    return f"/broadcasts/{made.id}/retry"


def test_identical_retries_at_once_are_one_broadcast(api: Api, failed: str) -> None:
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: api.post(failed, Idempotency_Key="again"), range(6)))
    assert {answer.status for answer in answers} == {202}
    assert len({answer.json["id"] for answer in answers}) == 1
    assert api.post(failed, {"include": ["failed", "unknown"]}, Idempotency_Key="again").status == 409
    assert api.post(failed).status == 422  # nobody is left; without the key it is another request


def test_a_key_of_one_call_is_not_taken_for_another(api: Api, failed: str) -> None:
    assert api.post("/broadcasts", an_order(start=False), Idempotency_Key="k").status == 202
    assert api.post(failed, Idempotency_Key="k").status == 409


def test_two_businesses_may_use_the_same_key(api: Api, other: Api) -> None:
    made = [each.post("/broadcasts", an_order(start=False), Idempotency_Key="k") for each in (api, other)]
    assert [answer.status for answer in made] == [202, 202]
    assert made[0].json["id"] != made[1].json["id"]


async def test_after_a_day_a_key_is_free_again(api: Api, engine: AsyncEngine) -> None:
    def ask() -> int:
        return int(api.post("/broadcasts", an_order(start=False), Idempotency_Key="k").json["id"])

    first = ask()
    for hours, is_forgotten in ((23, False), (24, True)):
        async with engine.begin() as connection:
            values = {"age": f"{hours} hours 1 second"}
            aged = "UPDATE idempotency_keys SET created_at = clock_timestamp() - CAST(:age AS interval)"
            await connection.execute(text(aged), values)
        await go_round(engine, POLICY)
        assert (ask() != first) is is_forgotten
