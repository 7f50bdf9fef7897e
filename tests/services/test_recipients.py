"""Pages of a broadcast's people."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from server.services import recipients
from tests.support.builders import a_broadcast

_FAIL = text("UPDATE whatsapp_broadcast_recipients SET status = 'failed' WHERE row_number <= 3")
_COUNT = text("UPDATE whatsapp_broadcasts SET failed_count = :count, processed_count = :count")


async def test_whom_nobody_is_counted_for_nobody_is_looked_for(engine: AsyncEngine) -> None:
    """Of a million people who all got it, a page of those who did not is there at once."""
    broadcast = await a_broadcast(engine, 20)
    async with engine.begin() as connection:
        await connection.execute(_FAIL)
        # By the row alone: with books that balance nobody could tell.
        for count, limit, found_count in ((0, 50, 0), (3, 50, 3), (3, 2, 2), (3, 3, 3)):
            await connection.execute(_COUNT, {"count": count})
            found = await recipients.page(connection, broadcast.id, status="failed", after_id=0, limit=limit)
            assert len(found) == found_count
        rest = await recipients.page(connection, broadcast.id, status="failed", after_id=found[1]["id"], limit=50)
        assert [one["id"] for one in rest] == [found[2]["id"]]
        assert len(await recipients.page(connection, broadcast.id, status="queued", after_id=0, limit=50)) == 17
