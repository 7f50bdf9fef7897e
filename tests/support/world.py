"""A business that has sent a broadcast, and a desk that webhooks come to."""

import json
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from server.database import plain_connection
from server.domain.states import RecipientStatus
from server.services.channel_directory import ChannelDirectory
from server.services.ledger import Ledger, Pace, Result
from server.services.webhooks import WebhookDesk
from tests.support.books import assert_counters_equal_rows
from tests.support.builders import PHONE_NUMBER_ID, VAULT, Made, Tenant, a_broadcast, a_business, a_run
from tests.support.webhooks import a_body

SENT = RecipientStatus.SENT


class World:
    """A business with a broadcast, and a desk that webhooks come to."""

    def __init__(self, engine: AsyncEngine, database_url: str, tenant: Tenant, broadcast: Made, ids: list[int]) -> None:
        self.engine = engine
        self.database_url = database_url
        self.tenant = tenant
        self.broadcast = broadcast
        self.ids = ids
        self.number = f"{PHONE_NUMBER_ID}{tenant.business_id}"
        self.desk = WebhookDesk(engine, ChannelDirectory(engine, VAULT), max_attempts=5)

    def callback(self, n: int) -> str:
        """The text that the message to the nth person carried."""
        return f"b{self.broadcast.id}:r{self.ids[n]}"

    async def hear(self, body: object, *, channel_id: int | None = None) -> None:
        """A body comes in and is applied."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        async with self.engine.begin() as connection:
            values = {"channel_id": channel_id or self.tenant.channel_id, "body": raw}
            await connection.execute(
                text("INSERT INTO webhook_inbox (channel_id, body) VALUES (:channel_id, :body)"), values
            )
        await self.desk.apply_all()

    async def statuses(self, *said: dict[str, Any]) -> None:
        """Statuses of this business's number."""
        await self.hear(a_body(self.number, statuses=list(said)))

    async def wrote(self, *said: dict[str, Any]) -> None:
        """Messages to this business's number."""
        await self.hear(a_body(self.number, messages=list(said)))

    def books(self) -> dict[str, int]:
        """The counts of recipients by status, proven against the counters."""
        return dict(assert_counters_equal_rows(self.database_url, self.broadcast.id).statuses)

    async def ask(self, statement: str, **values: Any) -> Any:
        """One value."""
        async with self.engine.connect() as connection:
            return await connection.scalar(text(statement), {"broadcast_id": self.broadcast.id, **values})

    async def ask_to(self, statement: str) -> None:
        """One change of the test's own."""
        async with self.engine.begin() as connection:
            await connection.execute(text(statement))


async def a_world(engine: AsyncEngine, database_url: str, *, people: int) -> World:
    """So many people were sent to by a broadcast that still runs."""
    tenant = await a_business(engine)
    broadcast = await a_broadcast(engine, recipients=people, tenant=tenant)
    run = await a_run(engine, broadcast)
    connection = await plain_connection(database_url)
    ledger = Ledger(connection, run)
    claimed = await ledger.claim(people)
    assert claimed is not None
    results = [Result(one.id, 1, SENT, message_id=f"wamid.{n}") for n, one in enumerate(claimed)]
    await ledger.record(results, Pace(1.0, "nothing"), claimed[-1].id)
    await connection.close()
    return World(engine, database_url, tenant, broadcast, [one.id for one in claimed])
