"""Several broadcasts of several businesses, and the one judge of all of them together."""

import http.client
from collections import Counter
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import psycopg
import redis
from psycopg.rows import dict_row

from server.database import async_engine
from server.domain.callbacks import read_callback
from server.domain.states import FINAL
from server.jobs.queues import broadcasts_queue
from server.services import accounts
from tests.support.books import assert_counters_equal_rows
from tests.support.builders import a_broadcast, a_business
from tests.support.engine import Engine, until


@dataclass(frozen=True, slots=True)
class Ordered:
    """A broadcast, and the key that steers it."""

    id: int
    key: str
    people: int


async def several_broadcasts(
    database_url: str, *, businesses: int, broadcasts_each: int, people_each: int, rate: int
) -> list[Ordered]:
    """So many broadcasts of each business, ready to run. rate: messages a second of a business's number."""
    made = []
    async with async_engine(database_url) as engine:
        for number in range(businesses):
            tenant = await a_business(engine, f"Business{number}", rate=rate)
            async with engine.begin() as connection:
                key = await accounts.create_api_key(connection, tenant.business_id, "several")
            for _ in range(broadcasts_each):
                broadcast = await a_broadcast(engine, recipients=people_each, tenant=tenant)
                made.append(Ordered(broadcast.id, key, people_each))
    return made


def order(address: str, one: Ordered, move: str) -> int | None:
    """A person's order by the API at this address. Returns the status of the answer; None: nobody was there to hear it.

    The broadcast may stand otherwise (409), or a server be away (503).
    """
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=30)
    try:
        connection.request(
            "POST", f"/api/whatsapp/broadcasts/{one.id}/{move}", headers={"Authorization": f"Bearer {one.key}"}
        )
        answer = connection.getresponse()
        said = answer.read()
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
    assert answer.status in {202, 409, 503}, (move, answer.status, said)
    return answer.status


class Several:
    """The broadcasts of an experiment: looked at while they go, and judged at the end.

    engine: over a simulator that has accepted nothing but for them.
    """

    def __init__(self, engine: Engine, broadcasts: list[Ordered]) -> None:
        self._engine = engine
        self.broadcasts = broadcasts
        self.seen: dict[int, dict[str, Any]] = {}
        self.in_doubt = 0  # as the judge found

    @property
    def people(self) -> int:
        """Recipients of all broadcasts together."""
        return sum(one.people for one in self.broadcasts)

    def look(self) -> dict[int, dict[str, Any]]:
        """Every broadcast by its id; as it was seen last while the database was killed a moment ago."""
        try:
            with psycopg.connect(self._engine.database_url, row_factory=dict_row, connect_timeout=5) as connection:
                rows = connection.execute("SELECT * FROM whatsapp_broadcasts").fetchall()
        except psycopg.OperationalError:
            return self.seen
        self.seen = {row["id"]: row for row in rows}
        return self.seen

    def progress(self) -> int:
        """How many people have been asked for, in all."""
        return sum(row["processed_count"] + row["unknown_count"] for row in self.look().values())

    def have_all_ended(self) -> bool:
        """Whether nothing more will happen to anybody."""
        rows = self.look().values()
        return bool(rows) and all(row["status"] in FINAL and not row["unknown_count"] for row in rows)

    def states(self) -> list[tuple[Any, ...]]:
        """What changes while anything goes on."""
        columns = ("id", "status", "processed_count", "unknown_count", "sent_count")
        return sorted(tuple(row[column] for column in columns) for row in self.look().values())

    def assert_books_balance(self, redis_url: str, *, most_in_doubt: int = 0) -> dict[int, str]:
        """Nobody twice, nobody missed of those not cancelled; counters = rows = ledger; nothing left behind.

        most_in_doubt: who may have failed because nobody could know. Where fewer than twenty others of the number were
        accepted in the same minute, silence is no evidence, and nobody is sent to again. Returns the status of each.
        """
        simulator = self._engine.simulator
        ledger = Counter(map(_whose, simulator.accepted()))
        assert ledger.total() == len(ledger), f"got it twice: {[one for one, n in ledger.items() if n > 1][:5]}"
        simulator.wait_until_told()
        until(lambda: not self.count("SELECT count(*) FROM webhook_inbox"), what="the inbox to be empty")
        accounted = 0
        for one in self.broadcasts:
            row = assert_counters_equal_rows(self._engine.database_url, one.id).row
            accepted = {recipient_id for broadcast_id, recipient_id in ledger if broadcast_id == one.id}
            accounted += len(accepted)
            assert self._accepted_by_rows(one.id) == accepted, f"broadcast {one.id}: rows and ledger disagree"
            if row["status"] != "cancelled":
                in_doubt = self._in_doubt(one.id)
                self.in_doubt += len(in_doubt)
                assert row["status"] == ("partial" if in_doubt else "completed"), row
                assert len(accepted) + len(in_doubt) == one.people, f"broadcast {one.id}: somebody is missed"
                assert row["read_count"] == len(accepted), row
            self._engine.assert_receipt_holds(one.id)
        assert accounted == len(ledger), "somebody got what no broadcast has sent"
        assert self.in_doubt <= most_in_doubt, f"{self.in_doubt} people are in doubt"
        self._assert_nothing_is_left(redis_url)
        return {row["id"]: row["status"] for row in self.look().values()}

    def _accepted_by_rows(self, broadcast_id: int) -> set[int]:
        with psycopg.connect(self._engine.database_url) as connection:
            rows = connection.execute(
                "SELECT id FROM whatsapp_broadcast_recipients"
                " WHERE broadcast_id = %s AND status IN ('sent', 'delivered', 'read')",
                (broadcast_id,),
            )
            return {recipient_id for (recipient_id,) in rows}

    def _in_doubt(self, broadcast_id: int) -> set[int]:
        """Who failed with the words that nobody knows whether they got it."""
        with psycopg.connect(self._engine.database_url) as connection:
            rows = connection.execute(
                "SELECT id FROM whatsapp_broadcast_recipients WHERE broadcast_id = %s AND status = 'failed'"
                " AND was_unknown AND error_message LIKE 'Nobody knows%%'",
                (broadcast_id,),
            )
            return {recipient_id for (recipient_id,) in rows}

    def _assert_nothing_is_left(self, redis_url: str) -> None:
        leases = "SELECT count(*) FROM whatsapp_broadcasts WHERE lease_holder IS NOT NULL"
        gates = "SELECT count(*) FROM bulk_gates WHERE holder IS NOT NULL"
        until(lambda: not self.count(leases) and not self.count(gates), what="leases and gates to be let go of")
        queue = redis.Redis.from_url(redis_url)
        until(lambda: not broadcasts_queue(queue).count, what="the hints to be followed")
        queue.close()

    def count(self, statement: str) -> int:
        """What a count of the experiment's own says."""
        with psycopg.connect(self._engine.database_url) as connection:
            row = connection.execute(statement).fetchone()
        assert row is not None
        return int(row[0])


def _whose(entry: dict[str, Any]) -> tuple[int, int]:
    """Which recipient of which broadcast a message of the ledger is for, by whichever claim."""
    read = read_callback(entry["biz_opaque_callback_data"])
    assert read is not None
    return read.broadcast_id, read.recipient_id
