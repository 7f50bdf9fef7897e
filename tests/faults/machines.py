"""Clarion on several machines: each has a data folder of its own, a worker, a steward and a web process.

They share the URLs of a PostgreSQL and a Valkey, which listen on TCP, and the secret key, and nothing else. A balancer
stands in front of the web processes, and WhatsApp's webhooks come to it. Nobody migrates beforehand: the machines start
over an empty database at once.
"""

import asyncio
import itertools
import random
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Self

import psycopg

from server.embedded import EmbeddedServers
from server.embedded.ports import a_free_port
from tests.support.balancer import Balancer
from tests.support.engine import Engine, Part, until
from tests.support.several import Several, order, several_broadcasts
from tests.support.simulator import Simulator

# In so deep a folder a socket's path would be too long: the servers listen on TCP, as one's own do.
DEEP = "a-machine-for-the-database-and-the-queue-" + "x" * 80
SETTINGS = {
    "CLARION_LEASE_SECONDS": "2",
    "CLARION_STEWARD_INTERVAL_SECONDS": "1",
    # Longer than the simulator waits between two tries to bring a webhook to a machine that is gone.
    "CLARION_UNKNOWN_GRACE_SECONDS": "4",
    "CLARION_UNKNOWN_MAX_WAIT_SECONDS": "600",
}
MANNERS = {"doubled": 0.05, "shuffled": 0.1, "retry_longest_seconds": 1}
PATIENCE_SECONDS = 120.0
# What docs/deployment.md says that a machine with one of each has at most, and what commands may have beside it.
CONNECTIONS_OF_A_MACHINE = 21 + 8 + 8
CONNECTIONS_BESIDE = 10


@dataclass(slots=True)
class Machine:
    """One host and what runs on it."""

    name: str
    engine: Engine
    worker: Part
    steward: Part
    web: Part
    address: str

    def parts(self) -> tuple[Part, ...]:
        """Everything of it."""
        return self.worker, self.steward, self.web


class Machines:
    """The machines of one experiment, all gone at the end of the block. gone: who left, and how."""

    def __init__(self, folder: Path, simulator: Simulator) -> None:
        self._folder = folder
        self._simulator = simulator
        self._names = (f"host{number}" for number in itertools.count(1))
        self._stack = ExitStack()
        self.alive: list[Machine] = []
        self.gone: Counter[str] = Counter()
        self.most_machines = 0
        self.most_connections = 0

    def __enter__(self) -> Self:
        found = self._stack.enter_context(EmbeddedServers(self._folder / DEEP))
        assert found.database_url is not None
        assert found.redis_url is not None
        assert "@127.0.0.1:" in found.database_url
        self.database_url, self.redis_url = found.database_url, found.redis_url
        self.balancer = self._stack.enter_context(Balancer())
        self._simulator.call_back(f"{self.balancer.address}/webhooks/whatsapp", "secret", **MANNERS)
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.__exit__(None, None, None)

    def add(self, *, count: int = 1) -> list[Machine]:
        """So many machines more, started at once; back when the balancer sends them requests."""
        added = [self._start(next(self._names)) for _ in range(count)]
        self.alive += added
        for machine in added:
            is_ready = partial(self.balancer.sends_to, machine.address)
            until(is_ready, seconds=PATIENCE_SECONDS, what=f"{machine.name} to be ready")
        self.most_machines = max(self.most_machines, len(self.alive))
        return added

    def _start(self, name: str) -> Machine:
        folder = self._folder / name
        folder.mkdir()
        engine = Engine(self.database_url, self.redis_url, self._simulator, folder, **SETTINGS)
        self._stack.enter_context(engine)
        port = a_free_port()
        address = f"http://127.0.0.1:{port}"
        made = Machine(
            name,
            engine,
            worker=engine.start("worker"),
            steward=engine.start("steward"),
            web=engine.start("web", "--port", str(port)),
            address=address,
        )
        self.balancer.add(address)
        return made

    def kill(self, machine: Machine) -> None:
        """The power is cut: everything of it at once."""
        for part in machine.parts():
            part.kill()
        self._leave(machine, "killed")

    def stop(self, machine: Machine) -> None:
        """Scale in: SIGTERM, as a supervisor ends its services, and each of them ends in order."""
        self.balancer.forget(machine.address)
        for part in machine.parts():
            part.process.terminate()
        for part in machine.parts():
            part.stop()
        self._leave(machine, "stopped")

    def _leave(self, machine: Machine, how: str) -> None:
        self.balancer.forget(machine.address)
        self.alive.remove(machine)
        self.gone[how] += 1

    def count_connections(self) -> None:
        """Note how many there are at this moment, our own among them."""
        statement = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'"
        with psycopg.connect(self.database_url) as connection:
            row = connection.execute(statement).fetchone()
        assert row is not None
        self.most_connections = max(self.most_connections, int(row[0]))

    def logs(self) -> str:
        """What all of them said."""
        files = sorted(self._folder.glob("host*/*.log"))
        return "\n".join(f"--- {file.relative_to(self._folder)}\n{file.read_text()}" for file in files)


class Experiment:
    """Broadcasts of several businesses under way on some machines."""

    def __init__(self, machines: Machines, *, people_each: int, businesses: int, rate: int) -> None:
        self.machines = machines
        made = several_broadcasts(
            machines.database_url, businesses=businesses, broadcasts_each=1, people_each=people_each, rate=rate
        )
        self.several = Several(machines.alive[0].engine, asyncio.run(made))

    def until_share(self, share: float) -> bool:
        """Wait until so much of it is sent. False: all of it was over before."""
        due = share * self.several.people

        def is_due() -> bool:
            self.machines.count_connections()
            return self.several.progress() >= due or self.several.have_all_ended()

        until(is_due, seconds=PATIENCE_SECONDS, what=f"{share:.0%} to be sent")
        return not self.several.have_all_ended()

    def until_more(self, count: int) -> None:
        """Wait until so many more have been asked for than by now."""
        due = self.several.progress() + count
        assert due <= self.several.people
        assert self.until_share(due / self.several.people), "all of it was over too soon"

    def hurry(self, rate: int) -> None:
        """Every number may send so many a second from now on; the runs at work follow."""
        with psycopg.connect(self.machines.database_url, autocommit=True) as connection:
            connection.execute("UPDATE channels SET rate_per_second = %s", (rate,))

    def act(self, dice: random.Random, most: int) -> str:
        """One thing that happens to machines, by chance; there are never more than so many, nor fewer than one.

        Returns what it was.
        """
        machines = self.machines
        machine = dice.choice(machines.alive)
        can_spare = len(machines.alive) > 1
        ways = {"kill a machine": 3, "stop a machine": 2} if can_spare else {}
        ways |= {"add a machine": 5} if len(machines.alive) < most else {}
        way = dice.choices([*ways, "kill a job", "kill a worker"], weights=[*ways.values(), 3, 1])[0]
        match way:
            case "kill a machine":
                machines.kill(machine)
            case "stop a machine":
                machines.stop(machine)
            case "add a machine":
                machines.add()
            case "kill a job":
                machine.worker.kill_job()
            case _:
                machine.worker.kill()
                machine.worker = machine.engine.start("worker")
        return way

    def pause_here_and_resume_there(self) -> None:
        """A person pauses at one machine, and goes on at another."""
        one = self.several.broadcasts[0]
        here, there = self.machines.alive[0].address, self.machines.alive[-1].address
        if order(here, one, "pause") == 202:
            assert self.several.look()[one.id]["status"] == "paused"
            until(lambda: self.several.look()[one.id]["lease_holder"] is None, what="the run to end")
            assert order(there, one, "resume") == 202

    def judge(self) -> dict[int, str]:
        """Wait for the end, and hold everything against everything."""
        until(self.several.have_all_ended, seconds=PATIENCE_SECONDS, what="the end")
        statuses = self.several.assert_books_balance(self.machines.redis_url)
        allowed = CONNECTIONS_OF_A_MACHINE * self.machines.most_machines + CONNECTIONS_BESIDE
        assert self.machines.most_connections <= allowed
        return statuses
