"""One data folder and one simulator for a file of tests: what they share is what several commands share."""

from collections.abc import Iterator

import pytest

from tests.support.clarion import Clarion
from tests.support.simulator import Simulator


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    """A Cloud API without limits."""
    with Simulator.start(rate=0) as started:
        yield started


@pytest.fixture(scope="module")
def clarion(tmp_path_factory: pytest.TempPathFactory, simulator: Simulator) -> Iterator[Clarion]:
    """Clarion set up with one business, its servers running."""
    with Clarion(tmp_path_factory.mktemp("clarion"), simulator) as made:
        made.set_up()
        yield made
