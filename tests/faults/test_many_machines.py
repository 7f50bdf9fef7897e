"""Broadcasts on several machines: one loses its power, one comes, one is told to end; nobody twice, nobody missed."""

from pathlib import Path

import pytest

from tests.faults.machines import Experiment, Machines
from tests.support.simulator import Simulator


@pytest.mark.timeout(300)
def test_machines_come_and_go_while_broadcasts_run(tmp_path: Path) -> None:
    with Simulator.start(rate=0, no_pair_limit=True) as simulator, Machines(tmp_path, simulator) as machines:
        try:
            first, second = machines.add(count=2)
            # So slow that a machine has come up long before the end; the rest goes quickly.
            goes_on = Experiment(machines, people_each=1_000, businesses=2, rate=20)
            goes_on.until_more(50)
            machines.kill(first)
            (third,) = machines.add()
            second.steward.kill()
            goes_on.until_more(50)
            goes_on.pause_here_and_resume_there()
            goes_on.until_more(50)
            machines.stop(second)
            goes_on.until_more(20)
            goes_on.hurry(rate=400)
            goes_on.judge()
        except AssertionError as error:
            raise AssertionError(f"{error}\n{machines.logs()}") from error
        assert machines.alive == [third]
