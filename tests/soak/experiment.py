"""Several businesses with several broadcasts each, people who pause, resume and cancel them, and kills in between.

What is chosen (whom to kill, what to order, of which broadcast) follows from the seed. When it happens follows from how
far the sending is, so that the kills are spread over all of it.
"""

import asyncio
import json
import math
import random
import sys
from collections import Counter
from functools import partial
from pathlib import Path

from server.drill import victims
from server.drill.plug import QUICK, Plug
from server.embedded import running_addresses
from server.embedded.ports import a_free_port
from tests.support.engine import Engine, until
from tests.support.several import Ordered, Several, order, several_broadcasts
from tests.support.simulator import Simulator

BUSINESSES = 3
BROADCASTS_EACH = 2
# Of one business; slow enough for the audience to outlast the kills.
RATE = 40
PATIENCE_SECONDS = 420.0
ORDERS_PER_KILL = 0.3
ORDERS = {"pause": 10, "resume": 10, "cancel": 1}
MOST_CANCELLED = 2


class ManyBroadcasts:
    """A `clarion up` with broadcasts of several businesses under way, and everything that is done to it."""

    def __init__(self, folder: Path, simulator: Simulator, people: int, seed: int) -> None:
        self._dice = random.Random(seed)
        data_dir, port = folder / "data", a_free_port()
        self.engine = Engine("", "", simulator, data_dir, **{**QUICK, "CLARION_WORKERS": "4"})
        manners = {"doubled": 0.05, "shuffled": 0.1, "early": 0.02, "retry_longest_seconds": 2}
        simulator.call_back(f"http://127.0.0.1:{port}/webhooks/whatsapp", "secret", **manners)
        self.plug = Plug(data_dir, self.engine.environment, folder / "up.log", port)
        self.plug.start()
        self.engine.database_url = self.plug.database_url
        each = math.ceil(people / (BUSINESSES * BROADCASTS_EACH))
        made = several_broadcasts(
            self.plug.database_url,
            businesses=BUSINESSES,
            broadcasts_each=BROADCASTS_EACH,
            people_each=each,
            rate=RATE,
        )
        self.several = Several(self.engine, asyncio.run(made))
        self.killed: Counter[str] = Counter()
        self.ordered: Counter[str] = Counter()

    @property
    def redis_url(self) -> str:
        """Of the embedded queue, which runs."""
        found = running_addresses(self.plug.data_dir)
        assert found is not None
        assert found.redis_url is not None
        return found.redis_url

    def kill_and_order(self, kills: int) -> None:
        """Kill so many times, spread over all the sending, and let people give orders in between."""
        gap = self.several.people / (kills + 1)
        for number in range(1, kills + 1):
            due = max(number * gap, self.several.progress() + gap / 3)
            victim = victims.choose(self._dice)
            kill = partial(self._kill_when_due, due, victim)
            if until(kill, seconds=PATIENCE_SECONDS, what=f"to kill {victim}") == "over":
                return
            self.killed[victim] += 1
            if self._dice.random() < ORDERS_PER_KILL:
                self._order_something()

    def _kill_when_due(self, due: float, victim: victims.Victim) -> str:
        if self.several.have_all_ended():
            return "over"
        if self.several.progress() < due and not self._is_idle():
            self._resume_if_nothing_goes_on()
            return ""
        return "killed" if self.plug.pull(victim) else ""

    def _is_idle(self) -> bool:
        return bool(self.several.seen) and self.several.progress() >= self.several.people

    def _order_something(self) -> None:
        """One order of a person, by the API; it may find the broadcast in another state, or nobody there to hear it."""
        move = self._dice.choices(list(ORDERS), weights=list(ORDERS.values()))[0]
        one = self._dice.choice(self.several.broadcasts)
        if move != "cancel" or self.ordered["cancel"] < MOST_CANCELLED:
            self._give(move, one)

    def _resume_if_nothing_goes_on(self) -> None:
        if not any(row["status"] in {"queued", "running", "settling"} for row in self.several.seen.values()):
            self.resume_all()

    def resume_all(self) -> None:
        """Resume what people paused."""
        for one in self.several.broadcasts:
            if self.several.seen.get(one.id, {}).get("status") == "paused":
                self._give("resume", one)

    def _give(self, move: str, one: Ordered) -> None:
        status = order(self.plug.address, one, move)
        said = {None: "unheard", 202: move}
        self.ordered[said.get(status, f"{move}, {status}")] += 1

    def until_over(self) -> None:
        """Resume whatever is paused until all has ended; fails where nothing changes for long."""
        seen: object = None
        while not self.several.have_all_ended():
            self.resume_all()
            before, seen = seen, self.several.states()
            until(partial(self._has_changed_since, before), seconds=PATIENCE_SECONDS, what="the end")

    def _has_changed_since(self, before: object) -> bool:
        return self.several.states() != before or self.several.have_all_ended()


def run_experiment(folder: Path, *, people: int, kills: int, seed: int) -> ManyBroadcasts:
    """All of it. Returns what was done, for whoever wants to tell; a failure names its seed."""
    with Simulator.start(rate=0, no_pair_limit=True) as simulator:
        many = ManyBroadcasts(folder, simulator, people, seed)
        with many.plug:
            try:
                many.kill_and_order(kills)
                many.until_over()
                statuses = many.several.assert_books_balance(many.redis_url, most_in_doubt=people // 100)
            except AssertionError as error:
                raise AssertionError(
                    f"seed {seed}, killed {dict(many.killed)}, ordered {dict(many.ordered)}: {error}"
                ) from error
    done = {"killed": many.killed, "ordered": many.ordered, "ended": statuses, "in_doubt": many.several.in_doubt}
    said = {"seed": seed, "people": many.several.people, **done}
    sys.stdout.write(f"{json.dumps(said)}\n")
    return many
