"""The books of a drill: its business and its broadcast made, looked at while it goes, and read at the end."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import psycopg

from server.config import Settings
from server.database import async_engine, database_errors
from server.domain.states import FINAL, Actor
from server.drill.result import Reach, Unknowns, reach_of
from server.secrets import Vault, key_of_data_dir
from server.services import accounts, channels, drafts, templates
from server.services.channels import NewChannel
from server.services.csv_lists import Row
from server.services.preflight import Lookout
from server.services.verify import verify

PHONE_NUMBER_ID: Final = "106540352242922"
WABA_ID: Final = "102290129340398"
MESSAGE: Final[dict[str, Any]] = {
    "template": {
        "name": "order_update",
        "language": "en_US",
        "variables": {"1": "{{first_name}}", "2": "{{order_id}}"},
    }
}

_STANDING: Final = """
    /* drill.standing */
    SELECT status, total_recipients, processed_count, unknown_count FROM whatsapp_broadcasts WHERE id = %s
"""
_UNKNOWNS: Final = """
    /* drill.unknowns   Each claim that was unknown once, by what its person's row says of it now. */
    SELECT count(*) FILTER (WHERE r.claim_number = a.claim_number AND r.status IN ('sent', 'delivered', 'read')),
           count(*) FILTER (WHERE r.claim_number > a.claim_number OR r.status IN ('queued', 'sending')),
           count(*) FILTER (WHERE r.claim_number = a.claim_number AND r.status IN ('failed', 'cancelled', 'skipped')),
           count(*) FILTER (WHERE r.claim_number = a.claim_number AND r.status = 'unknown')
      FROM send_attempts a
      JOIN whatsapp_broadcast_recipients r ON r.broadcast_id = a.broadcast_id AND r.id = a.recipient_id
     WHERE a.broadcast_id = %s AND a.outcome = 'unknown'
"""
_LEFT_BEHIND: Final = """
    /* drill.left_behind */
    SELECT (SELECT count(*) FROM bulk_gates WHERE holder IS NOT NULL) AS gates,
           (SELECT count(*) FROM whatsapp_broadcasts WHERE lease_holder IS NOT NULL) AS leases,
           (SELECT count(*) FROM webhook_inbox) AS webhooks
"""


class Standing(NamedTuple):
    """How a broadcast stands."""

    status: str
    total_count: int
    processed_count: int
    unknown_count: int

    @property
    def is_idle(self) -> bool:
        """Whether nobody is left to send to at this moment."""
        return self.processed_count + self.unknown_count >= self.total_count

    @property
    def has_ended(self) -> bool:
        """Whether it has ended and nobody is unknown."""
        return self.status in FINAL and self.unknown_count == 0


class Left(NamedTuple):
    """What a broadcast that is over must not leave behind."""

    gates: int
    leases: int
    webhooks: int


class Books:
    """One broadcast in the embedded database of a data folder."""

    def __init__(self, database_url: str, broadcast_id: int) -> None:
        self._database_url = database_url
        self._broadcast_id = broadcast_id

    def standing(self) -> Standing | None:
        """How it stands; None while the database was killed a moment ago."""
        try:
            with psycopg.connect(self._database_url, connect_timeout=5) as connection:
                row = connection.execute(_STANDING, (self._broadcast_id,)).fetchone()
        except psycopg.OperationalError:
            return None
        return None if row is None else Standing(*row)

    def left(self) -> Left:
        """What is still held, or waits."""
        with database_errors(), psycopg.connect(self._database_url) as connection:
            row = connection.execute(_LEFT_BEHIND).fetchone()
        assert row is not None
        return Left(*row)

    def unknowns(self) -> Unknowns:
        """How often somebody was unknown, and what settled it."""
        with database_errors(), psycopg.connect(self._database_url) as connection:
            row = connection.execute(_UNKNOWNS, (self._broadcast_id,)).fetchone()
        assert row is not None
        return Unknowns(*row)

    def reach(self, messages_by_phone: dict[str, int]) -> Reach:
        """Who got how many, by the simulator's ledger, and whether the rows say the same."""
        with (
            database_errors(),
            psycopg.connect(self._database_url) as connection,
            connection.cursor("people") as people,
        ):
            people.execute(
                "SELECT phone, status FROM whatsapp_broadcast_recipients WHERE broadcast_id = %s", (self._broadcast_id,)
            )
            return reach_of(people, messages_by_phone)

    def disagreements(self) -> list[str]:
        """Where counters and rows, or the history and its chain, disagree; in plain words."""

        async def check() -> list[str]:
            async with async_engine(self._database_url) as engine, engine.connect() as connection:
                verified = await verify(connection, self._broadcast_id)
            counters = [
                f"{one.counter} is {one.on_the_row}, and the rows say {one.in_the_rows}" for one in verified.differences
            ]
            return counters + [broken.where for broken in verified.broken_histories]

        with database_errors():
            return asyncio.run(check())


def make_broadcast(
    database_url: str, data_dir: Path, graph_api_url: str, *, app_secret: str, people: int, rate: int
) -> Books:
    """A business with one number and a broadcast to so many people, started. Needs the simulator."""

    async def make() -> int:
        configuration = Settings(_env_file=None, graph_api_url=graph_api_url)  # type: ignore[call-arg]
        vault = Vault((key_of_data_dir(data_dir),))
        async with async_engine(database_url) as engine:
            async with engine.begin() as connection:
                business_id = await accounts.create_business(connection, "Drill", "drill@clarion.example", app_secret)
                new = NewChannel(PHONE_NUMBER_ID, WABA_ID, "drill", app_secret, app_secret, rate)
                await channels.add(connection, vault, business_id, new)
                senders = await channels.senders(connection, vault, business_id)
                await templates.sync_all(connection, configuration, business_id, senders)
            outside = await Lookout(engine, configuration, vault).of_message(business_id, None, MESSAGE)
            async with engine.begin() as connection:
                broadcast = drafts.NewBroadcast("Drill", MESSAGE, rate_limit=rate)
                broadcast_id = await drafts.create(connection, business_id, broadcast)
                await drafts.add_recipients(connection, broadcast_id, _people(people))
                await drafts.start(connection, broadcast_id, by=Actor.USER, starts_per_minute=1, outside=outside)
        return broadcast_id

    with database_errors():
        return Books(database_url, asyncio.run(make()))


def _people(count: int) -> Iterator[Row]:
    for number in range(1, count + 1):
        yield Row(number, f"+97250{number:07d}", {"first_name": f"Name {number}", "order_id": f"A-{number}"})
