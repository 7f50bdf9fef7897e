"""Every benchmark still runs: once, and small. What it measures is no promise here."""

import json
import shutil
from types import SimpleNamespace

import pytest

from server.bench.growth import BYTES_BESIDE, BYTES_EACH, audiences, needed_bytes, run
from server.domain.errors import StorageFull
from tests.support.clarion import Clarion

BENCHMARKS = [
    "start of the servers",
    "start of the servers",
    "start to first page",
    "start to first page",
    "claim and record",
    "send",
    "memory of a run",
    "import",
    "take over",
    "cancel",
    "webhooks, batches",
    "webhooks, single",
    "read a broadcast",
]
pytestmark = pytest.mark.timeout(600)
NOT_BESIDE_A_CEILING = {"start of the servers", "start to first page", "memory of a run"}


@pytest.fixture(scope="module", autouse=True)
def _patient(clarion: Clarion) -> None:
    clarion.patience_seconds = 500  # half a minute on a quiet machine


@pytest.fixture(scope="module")
def measured(clarion: Clarion) -> list[dict[str, object]]:
    """What the small run says, as JSON."""
    done = clarion.run("bench", "--small", "--json")
    assert done.code == 0, done.stderr
    found: list[dict[str, object]] = json.loads(done.stdout)
    return found


def test_each_benchmark_runs(measured: list[dict[str, object]]) -> None:
    assert [item["what"] for item in measured] == BENCHMARKS


def test_each_figure_stands_beside_its_ceiling_where_it_has_one(measured: list[dict[str, object]]) -> None:
    assert {item["what"] for item in measured if item["ratio"] is None} == NOT_BESIDE_A_CEILING


def test_the_cost_is_told_for_each_audience_as_it_grows(clarion: Clarion) -> None:
    done = clarion.run("bench", "--growth", "--most", "12000", "--small")
    assert done.code == 0, done.stderr
    head, *rows, times = done.stdout.splitlines()
    assert head.split()[0] == "people"
    assert [row.split()[0] for row in rows] == ["10,000", "12,000"]
    assert times.split()[0] == "x1.20"
    assert "GB of disk" in done.stderr


def test_the_largest_audience_needs_growth(clarion: Clarion) -> None:
    done = clarion.run("bench", "--most", "20000")
    assert (done.code, done.stderr) == (2, "Error: --most goes with --growth.\n")


def test_more_than_the_disk_holds_is_not_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=needed_bytes(10_000) - 1))
    with pytest.raises(StorageFull, match="up to 4 GB"):
        next(run(most=10_000))


@pytest.mark.parametrize(
    ("most", "expected"),
    [(10_000, [10_000]), (12_000, [10_000, 12_000]), (10**6, [10**4, 10**5, 10**6])],
)
def test_audiences_grow_tenfold_up_to_the_largest(most: int, expected: list[int]) -> None:
    assert audiences(most) == expected
    assert needed_bytes(most) == BYTES_BESIDE + BYTES_EACH * sum(expected)
