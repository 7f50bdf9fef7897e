"""Every benchmark still runs: once, and small."""

import json

from tests.support.clarion import Clarion


def test_each_benchmark_runs(clarion: Clarion) -> None:
    done = clarion.run("bench", "--small", "--json")
    assert done.code == 0, done.stderr
    assert [item["what"] for item in json.loads(done.stdout)] == [
        "send",
        "memory of a run",
        "import",
        "cancel",
        "webhooks, batches",
        "webhooks, single",
        "read a broadcast",
    ]
