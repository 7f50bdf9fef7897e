"""Machines that come and go by chance under the broadcasts of several businesses. A failure prints its seed.

SOAK_PEOPLE, SOAK_ACTS and SOAK_SEED make it smaller, or repeat it.
"""

import json
import os
import random
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.faults.machines import Experiment, Machines
from tests.support.simulator import Simulator

PEOPLE = int(os.environ.get("SOAK_PEOPLE", "50000"))
ACTS = int(os.environ.get("SOAK_ACTS", "60"))
BUSINESSES = 4
MACHINES = 4
RATE = 40  # of one business


@pytest.mark.soak
@pytest.mark.timeout(4 * 3_600)
def test_machines_come_and_go_by_chance(tmp_path: Path) -> None:
    seed = int(os.environ.get("SOAK_SEED") or random.SystemRandom().randrange(1_000_000))
    dice, done = random.Random(seed), Counter[str]()
    with Simulator.start(rate=0, no_pair_limit=True) as simulator, Machines(tmp_path, simulator) as machines:
        try:
            machines.add(count=2)
            goes_on = Experiment(machines, people_each=PEOPLE // BUSINESSES, businesses=BUSINESSES, rate=RATE)
            for number in range(ACTS):
                if goes_on.until_share((number + 1) / (ACTS + 1)):
                    done[goes_on.act(dice, MACHINES)] += 1
            statuses = goes_on.judge()
            assert done.total() >= ACTS // 4, "it was over before much had happened"
        except AssertionError as error:
            raise AssertionError(f"seed {seed}, done {dict(done)}: {error}\n{machines.logs()}") from error
    said = {"seed": seed, "people": goes_on.several.people, "done": done, "ended": statuses}
    sys.stdout.write(f"{json.dumps({**said, 'most_connections': machines.most_connections})}\n")
