"""The kill experiment, short in `make test` and long in `make soak`: random SIGKILLs under a broadcast that goes on."""

import asyncio
import random
from collections import Counter
from pathlib import Path

import psycopg

from server.database import async_engine
from server.drill import victims
from server.drill.plug import Plug
from server.embedded.ports import a_free_port
from tests.support.builders import a_broadcast, a_business
from tests.support.engine import Engine, until
from tests.support.simulator import Simulator

# Slow enough for the audience to outlast the kills on a busy machine: between two of them it goes on sending.
RATE = 400
RATE_AFTERWARDS = 2_000  # once nobody is killed any more
PROGRESS_BETWEEN_KILLS = 150
PATIENCE_SECONDS = 20.0


# Longer than the simulator waits between two tries to bring a webhook to whoever was killed.
EVIDENCE = {"CLARION_UNKNOWN_GRACE_SECONDS": "10", "CLARION_UNKNOWN_MAX_WAIT_SECONDS": "600"}


class PlugPulled:
    """A `clarion up` on embedded servers, over a simulator that nobody kills, and a broadcast under way."""

    def __init__(self, folder: Path, simulator: Simulator, people: int, *, with_webhooks: bool = False) -> None:
        self._people = people
        data_dir, port = folder / "data", a_free_port()
        self.engine = Engine("", "", simulator, data_dir, **(EVIDENCE if with_webhooks else {}))
        if with_webhooks:
            manners = {"doubled": 0.05, "shuffled": 0.1, "retry_longest_seconds": 2}
            simulator.call_back(f"http://127.0.0.1:{port}/webhooks/whatsapp", "secret", **manners)
        self.plug = Plug(data_dir, self.engine.environment, folder / "up.log", port)
        self.plug.start()
        self.engine.database_url = self.plug.database_url
        self.broadcast_id = asyncio.run(self._make_broadcast(people))
        self.killed: Counter[str] = Counter()

    async def _make_broadcast(self, people: int) -> int:
        async with async_engine(self.engine.database_url) as engine:
            tenant = await a_business(engine, rate=RATE)
            return (await a_broadcast(engine, recipients=people, tenant=tenant)).id

    def kill_somebody(self, dice: random.Random) -> None:
        """Wait until the broadcast has gone on, then kill one victim; start again what nobody else would."""
        self._wait_for_progress()
        victim = victims.choose(dice)
        if self.plug.pull(victim):
            self.killed[victim] += 1

    def hurry(self) -> bool:
        """Let the number send faster from here on. False while the database was killed a moment ago."""
        try:
            self.engine.execute("UPDATE channels SET rate_per_second = %(rate)s", rate=RATE_AFTERWARDS)
        except psycopg.OperationalError:
            return False
        return True

    def _wait_for_progress(self) -> None:
        before = self._requests()

        def has_gone_on() -> bool:
            return self._requests() >= before + PROGRESS_BETWEEN_KILLS or self._is_over()

        until(has_gone_on, seconds=PATIENCE_SECONDS * 3, what="progress between two kills")

    def _requests(self) -> int:
        return int(self.engine.simulator.summary()["accepted"])

    def _is_over(self) -> bool:
        """Whether nobody is left to send to. Those whose request was lost were never accepted: only the row knows."""
        try:
            row = self.engine.row(self.broadcast_id)
        except psycopg.OperationalError:
            return False  # killed a moment ago
        return int(str(row["processed_count"])) + int(str(row["unknown_count"])) >= self._people


def run_experiment(
    folder: Path, simulator: Simulator, *, people: int, kills: int, seed: int, with_webhooks: bool = False
) -> Counter[str]:
    """Kill `kills` times by chance, then hold everything against everything. Returns who was killed how often.

    with_webhooks: WhatsApp tells what it accepted, so that nobody is given up: everybody gets exactly one message.
    """
    dice = random.Random(seed)
    pulled = PlugPulled(folder, simulator, people, with_webhooks=with_webhooks)
    with pulled.plug:
        try:
            while pulled.killed.total() < kills:
                pulled.kill_somebody(dice)
            until(pulled.hurry, what="the database after the last kill")
            pulled.engine.until_ended(pulled.broadcast_id, seconds=240)
            if with_webhooks:
                assert_everybody_got_exactly_one(pulled, people)
            books = pulled.engine.assert_books_balance(pulled.broadcast_id)
            accepted_count = sum(books.statuses[status] for status in ("sent", "delivered", "read"))
            assert accepted_count + books.statuses["failed"] == people
            assert simulator.most_messages_to_one_person() == 1
        except AssertionError as error:
            raise AssertionError(f"seed {seed}, killed {dict(pulled.killed)}: {error}") from error
    return pulled.killed


def assert_everybody_got_exactly_one(pulled: PlugPulled, people: int) -> None:
    """Nobody twice and nobody missed; and every status that WhatsApp knows of is in our rows."""
    pulled.engine.until_row(pulled.broadcast_id, lambda row: row["status"] == "completed", seconds=120)
    summary = pulled.engine.simulator.summary()
    assert (summary["accepted"], summary["unique_people"]) == (people, people)
    pulled.engine.simulator.wait_until_told()
    pulled.engine.until_row(pulled.broadcast_id, lambda row: row["read_count"] == people, seconds=60)
