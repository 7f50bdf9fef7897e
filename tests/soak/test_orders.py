"""Kills at scale, over several businesses whose people pause, resume and cancel meanwhile. A failure prints its seed.

SOAK_PEOPLE, SOAK_KILLS and SOAK_SEED make it smaller, or repeat it.
"""

import os
import random
from pathlib import Path

import pytest

from tests.soak.experiment import run_experiment

PEOPLE = int(os.environ.get("SOAK_PEOPLE", "100000"))
KILLS = int(os.environ.get("SOAK_KILLS", "1000"))


@pytest.mark.soak
@pytest.mark.timeout(8 * 3_600)
def test_a_thousand_kills_under_several_businesses_that_change_their_minds(tmp_path: Path) -> None:
    seed = int(os.environ.get("SOAK_SEED") or random.SystemRandom().randrange(1_000_000))
    done = run_experiment(tmp_path, people=PEOPLE, kills=KILLS, seed=seed)
    assert done.killed.total() >= 0.9 * KILLS  # the last of them may find all of it over
