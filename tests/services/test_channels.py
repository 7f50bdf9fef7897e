"""Numbers that are removed only once nothing can be sent from them any more."""

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from server.domain.errors import NotNow
from server.services import channels
from tests.support.builders import VAULT, a_broadcast, a_business
from tests.support.sending import set_status


async def test_a_number_stays_while_somebody_unknown_may_be_sent_to_again(engine: AsyncEngine) -> None:
    tenant = await a_business(engine)
    broadcast = await a_broadcast(engine, recipients=1, status="settling", tenant=tenant)
    async with engine.begin() as connection:
        with pytest.raises(NotNow, match=f"Broadcast {broadcast.id} sends from this number"):
            await channels.remove(connection, VAULT, tenant.channel_id)
    await set_status(engine, broadcast.id, "partial")
    async with engine.begin() as connection:
        await channels.remove(connection, VAULT, tenant.channel_id)
