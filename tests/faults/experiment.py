"""The kill experiment, short in `make test` and long in `make soak`: random SIGKILLs under a broadcast that goes on."""

import asyncio
import random
from collections import Counter
from pathlib import Path

import psycopg

from server.database import async_engine
from server.embedded import running_addresses
from tests.faults import victims
from tests.support.builders import a_broadcast, a_business
from tests.support.engine import Engine, Part, a_free_port, until
from tests.support.simulator import Simulator

# Slow enough for the audience to outlast the kills on a busy machine: between two of them it goes on sending.
RATE = 400
PROGRESS_BETWEEN_KILLS = 150
PATIENCE_SECONDS = 20.0


# Longer than the simulator waits between two tries to bring a webhook to whoever was killed.
EVIDENCE = {"CLARION_UNKNOWN_GRACE_SECONDS": "10", "CLARION_UNKNOWN_MAX_WAIT_SECONDS": "600"}


class PlugPulled:
    """A `clarion up` on embedded servers, over a simulator that nobody kills, and a broadcast under way."""

    def __init__(self, folder: Path, simulator: Simulator, people: int, *, with_webhooks: bool = False) -> None:
        self._folder = folder
        self._people = people
        port = a_free_port() if with_webhooks else 0
        self.engine = Engine("", "", simulator, folder, CLARION_PORT=str(port), **(EVIDENCE if with_webhooks else {}))
        if with_webhooks:
            simulator.call_back(f"http://127.0.0.1:{port}/webhooks/whatsapp", "secret", doubled=0.05, shuffled=0.1)
        self.top = self._start()
        self.engine.database_url = self._database_url()
        self.broadcast_id = asyncio.run(self._make_broadcast(people))
        self.killed: Counter[str] = Counter()

    def _start(self) -> Part:
        top = self.engine.start("up")
        until(lambda: "Ctrl-C stops everything" in top.log.read_text(), what="clarion up")
        return top

    def _database_url(self) -> str:
        found = running_addresses(self._folder)
        assert found is not None
        assert found.database_url is not None
        return found.database_url

    async def _make_broadcast(self, people: int) -> int:
        async with async_engine(self.engine.database_url) as engine:
            tenant = await a_business(engine, rate=RATE)
            return (await a_broadcast(engine, recipients=people, tenant=tenant)).id

    def kill_somebody(self, dice: random.Random) -> None:
        """Wait until the broadcast has gone on, then kill one victim; start again what nobody else would."""
        self._wait_for_progress()
        name, processes = victims.choose(dice, self.top, self._folder)
        if victims.kill(processes):
            self.killed[name] += 1
        if name == "everything":
            self.top.process.wait()
            self.top = self._start()

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
    plug = PlugPulled(folder, simulator, people, with_webhooks=with_webhooks)
    with plug.engine:
        try:
            while plug.killed.total() < kills:
                plug.kill_somebody(dice)
            plug.engine.until_ended(plug.broadcast_id, seconds=240)
            if with_webhooks:
                assert_everybody_got_exactly_one(plug, people)
            books = plug.engine.assert_books_balance(plug.broadcast_id)
            accepted_count = sum(books.statuses[status] for status in ("sent", "delivered", "read"))
            assert accepted_count + books.statuses["failed"] == people
            assert simulator.most_messages_to_one_person() == 1
        except AssertionError as error:
            raise AssertionError(f"seed {seed}, killed {dict(plug.killed)}: {error}") from error
        finally:
            plug.top.stop()
    return plug.killed


def assert_everybody_got_exactly_one(plug: PlugPulled, people: int) -> None:
    """Nobody twice and nobody missed; and every status that WhatsApp knows of is in our rows."""
    plug.engine.until_row(plug.broadcast_id, lambda row: row["status"] == "completed", seconds=120)
    summary = plug.engine.simulator.summary()
    assert (summary["accepted"], summary["unique_people"]) == (people, people)
    plug.engine.simulator.wait_until_told()
    plug.engine.until_row(plug.broadcast_id, lambda row: row["read_count"] == people, seconds=60)
