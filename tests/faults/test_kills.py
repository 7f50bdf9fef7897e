"""Whatever is killed, whenever: nobody twice, nobody lost without a word, and the books balance."""

import random
from pathlib import Path

import pytest

from tests.faults.experiment import run_experiment
from tests.support.simulator import Simulator


@pytest.mark.timeout(600)
def test_thirty_kills_under_twenty_thousand_people_cost_nobody_their_message(tmp_path: Path) -> None:
    seed = random.SystemRandom().randrange(1_000_000)
    with Simulator.start(rate=0) as simulator:
        killed = run_experiment(tmp_path, simulator, people=20_000, kills=30, seed=seed, with_webhooks=True)
    assert killed.total() >= 30


@pytest.mark.timeout(600)
def test_without_webhooks_whoever_a_kill_leaves_in_doubt_fails_with_a_reason(tmp_path: Path) -> None:
    seed = random.SystemRandom().randrange(1_000_000)
    with Simulator.start(rate=0) as simulator:
        killed = run_experiment(tmp_path, simulator, people=5_000, kills=8, seed=seed)
    assert killed.total() >= 8
