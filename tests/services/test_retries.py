"""A new broadcast to those whom an earlier one did not reach, and to nobody who may have got it."""

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from server.domain.errors import BadInput, StateDoesNotAllow
from server.services import retries, suppressions
from tests.support.books import assert_counters_equal_rows
from tests.support.builders import Made, a_broadcast

_SET = text("""
    UPDATE whatsapp_broadcast_recipients SET status = :status, was_unknown = :was_unknown
     WHERE broadcast_id = :broadcast_id AND row_number = :row
""")


async def an_ended_broadcast(engine: AsyncEngine) -> Made:
    """Of five people one got it, one failed, one failed as unknown, one is unknown, one failed and opted out since."""
    broadcast = await a_broadcast(engine, recipients=5)
    fates = ("sent", "failed", "failed", "unknown", "failed")
    async with engine.begin() as connection:
        for row, status in enumerate(fates, 1):
            values = {"broadcast_id": broadcast.id, "row": row, "status": status, "was_unknown": row == 3}
            await connection.execute(_SET, values)
        await connection.execute(text("UPDATE whatsapp_broadcasts SET status = 'partial'"))
        await suppressions.suppress(connection, broadcast.business_id, "+972500000005", "said STOP")
    return broadcast


@pytest.mark.parametrize(
    ("include", "rows"), [(["failed"], [2]), (["unknown"], [3, 4]), (["failed", "unknown"], [2, 3, 4])]
)
async def test_only_those_who_were_asked_for_are_tried_again(
    engine: AsyncEngine, database_url: str, include: list[str], rows: list[int]
) -> None:
    broadcast = await an_ended_broadcast(engine)
    async with engine.begin() as connection:
        new_id = await retries.create(connection, broadcast.id, include)
        found = await connection.scalars(
            text("SELECT row_number FROM whatsapp_broadcast_recipients WHERE broadcast_id = :id ORDER BY id"),
            {"id": new_id},
        )
        assert list(found) == rows
    assert assert_counters_equal_rows(database_url, new_id).row["status"] == "draft"


async def test_asking_twice_sends_once(engine: AsyncEngine) -> None:
    broadcast = await an_ended_broadcast(engine)
    async with engine.begin() as connection:
        await retries.create(connection, broadcast.id, ["failed"])
    async with engine.begin() as connection:
        with pytest.raises(BadInput, match="not in an earlier retry"):
            await retries.create(connection, broadcast.id, ["failed"])


async def test_a_broadcast_that_still_goes_on_is_not_retried(engine: AsyncEngine) -> None:
    broadcast = await a_broadcast(engine, recipients=1)
    async with engine.begin() as connection:
        with pytest.raises(StateDoesNotAllow, match="queued cannot be retried"):
            await retries.create(connection, broadcast.id, ["failed"])
        with pytest.raises(BadInput, match="Only failed and unknown"):
            await retries.create(connection, broadcast.id, ["sent"])
