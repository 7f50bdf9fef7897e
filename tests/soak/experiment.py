"""Several businesses with several broadcasts each, people who pause, resume and cancel them, and kills in between.

What is chosen (whom to kill, what to order, of which broadcast) follows from the seed. When it happens follows from how
far the sending is, so that the kills are spread over all of it.
"""

import asyncio
import http.client
import json
import random
import sys
from collections import Counter
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import redis
from psycopg.rows import dict_row

from server.database import async_engine
from server.domain.callbacks import read_callback
from server.domain.states import FINAL
from server.drill import victims
from server.drill.plug import QUICK, Plug, a_free_port
from server.embedded import running_addresses
from server.jobs.queues import broadcasts_queue
from server.services import accounts
from tests.support.books import assert_counters_equal_rows
from tests.support.builders import a_broadcast, a_business
from tests.support.engine import Engine, until
from tests.support.simulator import Simulator

BUSINESSES = 3
BROADCASTS_EACH = 2
# Of one business; slow enough for the audience to outlast the kills.
RATE = 40
PATIENCE_SECONDS = 420.0
ORDERS_PER_KILL = 0.3
ORDERS = {"pause": 10, "resume": 10, "cancel": 1}
MOST_CANCELLED = 2


@dataclass(frozen=True, slots=True)
class Ordered:
    """A broadcast, and the key that steers it."""

    id: int
    key: str
    people: int


class ManyBroadcasts:
    """A `clarion up` with broadcasts of several businesses under way, and everything that is done to it."""

    def __init__(self, folder: Path, simulator: Simulator, people: int, seed: int) -> None:
        self._dice = random.Random(seed)
        self._simulator = simulator
        data_dir, port = folder / "data", a_free_port()
        self.engine = Engine("", "", simulator, data_dir, **{**QUICK, "CLARION_WORKERS": "4"})
        manners = {"doubled": 0.05, "shuffled": 0.1, "early": 0.02, "retry_longest_seconds": 2}
        simulator.call_back(f"http://127.0.0.1:{port}/webhooks/whatsapp", "secret", **manners)
        self.plug = Plug(data_dir, self.engine.environment, folder / "up.log", port)
        self.plug.start()
        self.engine.database_url = self.plug.database_url
        self.broadcasts = asyncio.run(self._make(people))
        self.killed: Counter[str] = Counter()
        self.ordered: Counter[str] = Counter()
        self._seen: dict[int, dict[str, Any]] = {}

    async def _make(self, people: int) -> list[Ordered]:
        made, each = [], max(people // (BUSINESSES * BROADCASTS_EACH), 1)
        async with async_engine(self.engine.database_url) as engine:
            for number in range(BUSINESSES):
                tenant = await a_business(engine, f"Business{number}", rate=RATE)
                async with engine.begin() as connection:
                    key = await accounts.create_api_key(connection, tenant.business_id, "soak")
                for _ in range(BROADCASTS_EACH):
                    broadcast = await a_broadcast(engine, recipients=each, tenant=tenant)
                    made.append(Ordered(broadcast.id, key, each))
        return made

    @property
    def people(self) -> int:
        """Recipients of all broadcasts together."""
        return sum(one.people for one in self.broadcasts)

    def look(self) -> dict[int, dict[str, Any]]:
        """Every broadcast by its id; as it was seen last while the database was killed a moment ago."""
        try:
            with psycopg.connect(self.engine.database_url, row_factory=dict_row, connect_timeout=5) as connection:
                rows = connection.execute("SELECT * FROM whatsapp_broadcasts").fetchall()
        except psycopg.OperationalError:
            return self._seen
        self._seen = {row["id"]: row for row in rows}
        return self._seen

    def progress(self) -> int:
        """How many people have been asked for, in all."""
        return sum(row["processed_count"] + row["unknown_count"] for row in self.look().values())

    def kill_and_order(self, kills: int) -> None:
        """Kill so many times, spread over all the sending, and let people give orders in between."""
        gap = self.people / (kills + 1)
        for number in range(1, kills + 1):
            due = max(number * gap, self.progress() + gap / 3)
            victim = victims.choose(self._dice)
            kill = partial(self._kill_when_due, due, victim)
            if until(kill, seconds=PATIENCE_SECONDS, what=f"to kill {victim}") == "over":
                return
            self.killed[victim] += 1
            if self._dice.random() < ORDERS_PER_KILL:
                self._order_something()

    def _kill_when_due(self, due: float, victim: victims.Victim) -> str:
        if self._all_ended():
            return "over"
        if self.progress() < due and not self._is_idle():
            self._resume_if_nothing_goes_on()
            return ""
        return "killed" if self.plug.pull(victim) else ""

    def _is_idle(self) -> bool:
        return bool(self._seen) and self.progress() >= self.people

    def _all_ended(self) -> bool:
        rows = self.look().values()
        return bool(rows) and all(row["status"] in FINAL and not row["unknown_count"] for row in rows)

    def _order_something(self) -> None:
        """One order of a person, by the API; it may find the broadcast in another state, or nobody there to hear it."""
        order = self._dice.choices(list(ORDERS), weights=list(ORDERS.values()))[0]
        one = self._dice.choice(self.broadcasts)
        if order != "cancel" or self.ordered["cancel"] < MOST_CANCELLED:
            self._give(order, one)

    def _resume_if_nothing_goes_on(self) -> None:
        if not any(row["status"] in {"queued", "running", "settling"} for row in self._seen.values()):
            self.resume_all()

    def resume_all(self) -> None:
        """Resume what people paused."""
        for one in self.broadcasts:
            if self._seen.get(one.id, {}).get("status") == "paused":
                self._give("resume", one)

    def _give(self, order: str, one: Ordered) -> None:
        connection = http.client.HTTPConnection(urlsplit(self.plug.address).netloc, timeout=30)
        try:
            connection.request(
                "POST", f"/api/whatsapp/broadcasts/{one.id}/{order}", headers={"Authorization": f"Bearer {one.key}"}
            )
            answer = connection.getresponse()
            said = answer.read()
        except (OSError, http.client.HTTPException):
            self.ordered["unheard"] += 1
            return
        finally:
            connection.close()
        assert answer.status in {202, 409, 503}, (order, answer.status, said)
        self.ordered[order if answer.status == 202 else f"{order}, {answer.status}"] += 1

    def until_over(self) -> None:
        """Resume whatever is paused until all has ended; fails where nothing changes for long."""
        seen: object = None
        while not self._all_ended():
            self.resume_all()
            before, seen = seen, self._states()
            until(partial(self._has_changed_since, before), seconds=PATIENCE_SECONDS, what="the end")

    def _has_changed_since(self, before: object) -> bool:
        return self._states() != before or self._all_ended()

    def _states(self) -> list[tuple[Any, ...]]:
        columns = ("id", "status", "processed_count", "unknown_count", "sent_count")
        return sorted(tuple(row[column] for column in columns) for row in self.look().values())

    # --- the judge

    def assert_books_balance(self) -> dict[int, str]:
        """Nobody twice, nobody missed of those not cancelled; counters = rows = ledger; nothing left behind.

        Returns the status of each broadcast.
        """
        ledger = Counter(map(_whose, self._simulator.accepted()))
        assert ledger.total() == len(ledger), f"got it twice: {[one for one, n in ledger.items() if n > 1][:5]}"
        self._simulator.wait_until_told()
        until(lambda: not self._count("SELECT count(*) FROM webhook_inbox"), what="the inbox to be empty")
        accounted = 0
        for one in self.broadcasts:
            row = assert_counters_equal_rows(self.engine.database_url, one.id).row
            accepted = {recipient_id for broadcast_id, recipient_id in ledger if broadcast_id == one.id}
            accounted += len(accepted)
            assert self._accepted_by_rows(one.id) == accepted, f"broadcast {one.id}: rows and ledger disagree"
            if row["status"] != "cancelled":
                assert (row["status"], len(accepted), row["read_count"]) == ("completed", one.people, one.people), row
            self.engine.assert_receipt_holds(one.id)
        assert accounted == len(ledger), "somebody got what no broadcast has sent"
        self._assert_nothing_is_left()
        return {row["id"]: row["status"] for row in self.look().values()}

    def _accepted_by_rows(self, broadcast_id: int) -> set[int]:
        with psycopg.connect(self.engine.database_url) as connection:
            rows = connection.execute(
                "SELECT id FROM whatsapp_broadcast_recipients"
                " WHERE broadcast_id = %s AND status IN ('sent', 'delivered', 'read')",
                (broadcast_id,),
            )
            return {recipient_id for (recipient_id,) in rows}

    def _assert_nothing_is_left(self) -> None:
        leases = "SELECT count(*) FROM whatsapp_broadcasts WHERE lease_holder IS NOT NULL"
        gates = "SELECT count(*) FROM bulk_gates WHERE holder IS NOT NULL"
        until(lambda: not self._count(leases) and not self._count(gates), what="leases and gates to be let go of")
        found = running_addresses(self.plug.data_dir)
        assert found is not None
        assert found.redis_url is not None
        queue = redis.Redis.from_url(found.redis_url)
        until(lambda: not broadcasts_queue(queue).count, what="the hints to be followed")
        queue.close()

    def _count(self, statement: str) -> int:
        with psycopg.connect(self.engine.database_url) as connection:
            row = connection.execute(statement).fetchone()
        assert row is not None
        return int(row[0])


def _whose(entry: dict[str, Any]) -> tuple[int, int]:
    """Which recipient of which broadcast a message of the ledger is for, by whichever claim."""
    read = read_callback(entry["biz_opaque_callback_data"])
    assert read is not None
    return read.broadcast_id, read.recipient_id


def run_experiment(folder: Path, *, people: int, kills: int, seed: int) -> ManyBroadcasts:
    """All of it. Returns what was done, for whoever wants to tell; a failure names its seed."""
    with Simulator.start(rate=0, no_pair_limit=True) as simulator:
        many = ManyBroadcasts(folder, simulator, people, seed)
        with many.plug:
            try:
                many.kill_and_order(kills)
                many.until_over()
                statuses = many.assert_books_balance()
            except AssertionError as error:
                raise AssertionError(
                    f"seed {seed}, killed {dict(many.killed)}, ordered {dict(many.ordered)}: {error}"
                ) from error
    said = {"seed": seed, "people": many.people, "killed": many.killed, "ordered": many.ordered, "ended": statuses}
    sys.stdout.write(f"{json.dumps(said)}\n")
    return many
