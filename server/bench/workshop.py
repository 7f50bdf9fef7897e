"""Where benchmarks work: servers of their own in a folder that goes, a fresh database, a business and its people."""

import asyncio
import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import psycopg
from sqlalchemy import insert, text

from server.bench.bare import PHONE_NUMBER_ID, TOKEN
from server.config import export
from server.database import async_engine
from server.embedded import EmbeddedServers
from server.migrations import upgrade
from server.models import Template, WhatsAppBroadcast
from server.secrets import Vault
from server.services import accounts, channels
from server.services.channels import NewChannel

SECRET_KEY: Final = "a key of the benchmarks"  # noqa: S105 - of a database that is gone in a moment
MESSAGE: Final = {
    "template": {
        "name": "order_update",
        "language": "en_US",
        "variables": {"1": "{{first_name}}", "2": "{{order_id}}"},
    }
}
WABA_ID: Final = "102290129340398"
APP_SECRET: Final = "secret"  # noqa: S105 - of a number that does not exist
_PEOPLE = text("""
    /* bench.people */
    INSERT INTO whatsapp_broadcast_recipients (broadcast_id, business_id, row_number, phone, variables)
    SELECT :broadcast_id, :business_id, n, '+1555' || lpad(n::text, 7, '0'),
           jsonb_build_object('first_name', 'Dana', 'order_id', 'A-' || n)
      FROM generate_series(1, :count) AS n
""")


class Workshop:
    """A database with one business; its number has no limit."""

    def __init__(self, database_url: str) -> None:
        self.database_url = database_url
        self.business_id = asyncio.run(self._make_business())

    async def _make_business(self) -> int:
        async with async_engine(self.database_url) as engine, engine.begin() as connection:
            business_id = await accounts.create_business(connection, "Bench", "bench@clarion.example", "bench")
            new = NewChannel(PHONE_NUMBER_ID, WABA_ID, TOKEN, APP_SECRET, "verify", 0)
            await channels.add(connection, Vault([SECRET_KEY]), business_id, new)
            template = {
                "business_id": business_id,
                "waba_id": WABA_ID,
                "provider_id": "1",
                "name": "order_update",
                "language": "en_US",
                "status": "APPROVED",
                "category": "UTILITY",
                "components": [{"type": "BODY", "text": "Hi {{1}}, your order {{2}} is on its way."}],
            }
            await connection.execute(insert(Template).values(template))
            return business_id

    def broadcast(self, people: int, *, status: str = "queued", rate: int | None = None) -> int:
        """A broadcast to so many people, ready to run. Returns its id. rate: messages a second; None: no limit."""
        return asyncio.run(self._make_broadcast(people, status, rate))

    async def _make_broadcast(self, people: int, status: str, rate: int | None) -> int:
        values = {
            "business_id": self.business_id,
            "name": "A benchmark",
            "message": MESSAGE,
            "status": status,
            "rate_limit": rate,
            "total_recipients": people,
        }
        async with async_engine(self.database_url) as engine, engine.begin() as connection:
            statement = insert(WhatsAppBroadcast).values(values).returning(WhatsAppBroadcast.id)
            broadcast_id = int(await connection.scalar(statement) or 0)
            of = {"broadcast_id": broadcast_id, "business_id": self.business_id, "count": people}
            await connection.execute(_PEOPLE, of)
        self.settle()
        return broadcast_id

    def settle(self) -> None:
        """Let PostgreSQL finish what it puts off, so that one benchmark does not pay for another."""
        with psycopg.connect(self.database_url, autocommit=True) as connection:
            connection.execute("VACUUM ANALYZE whatsapp_broadcast_recipients")
            connection.execute("CHECKPOINT")


@contextlib.contextmanager
def workshop() -> Iterator[Workshop]:
    """Servers, database and business for as long as the block lasts; everything is gone afterwards."""
    with (
        tempfile.TemporaryDirectory(prefix="clarion-bench-") as folder,
        EmbeddedServers(Path(folder)) as found,
    ):
        assert found.database_url is not None
        assert found.redis_url is not None
        upgrade(found.database_url)
        export(
            DATABASE_URL=found.database_url,
            REDIS_URL=found.redis_url,
            CLARION_SECRET_KEY=SECRET_KEY,
            CLARION_DATA_DIR=folder,
        )
        yield Workshop(found.database_url)
