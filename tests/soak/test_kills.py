"""The kill experiment for long: hundreds of kills, several seeds. `make soak` runs it; a failure prints its seed."""

import random
from pathlib import Path

import pytest

from tests.faults.experiment import run_experiment
from tests.support.simulator import Simulator


@pytest.mark.soak
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("number", range(5))
def test_hundreds_of_kills_under_a_hundred_thousand_people(tmp_path: Path, number: int) -> None:
    seed = random.SystemRandom().randrange(1_000_000)
    with Simulator.start(rate=0) as simulator:
        killed = run_experiment(tmp_path, simulator, people=100_000, kills=100, seed=seed)
    assert killed.total() >= 100, number
