"""Sending: a whole run of a broadcast, beside the bare HTTP client with the same bodies, in turns.

Every state change is committed, fsync on, before and after. The sink is the fastest receiver that Python can be, in a
process of its own; PostgreSQL, sink and worker share the machine.
"""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Final

import uvloop

from server.bench.bare import bare_sender, bodies, rate_per_second, sink_process
from server.bench.measurement import Measurement
from server.bench.workshop import Workshop
from server.config import export

CONCURRENCY: Final = 96
MEMORY_OF: Final = """
import sys
from server.bench.measurement import peak_megabytes
from server.jobs.broadcast_job import process_broadcast_job
process_broadcast_job(int(sys.argv[1]))
print(peak_megabytes())
"""


def run(shop: Workshop, *, people: int, rounds: int) -> list[Measurement]:
    """Rounds of one broadcast and one bare loop each; medians, and the ratio within a round."""
    from server.jobs.broadcast_job import process_broadcast_job  # noqa: PLC0415 - reads the settings that were exported

    pairs = []
    with sink_process() as url:
        export(CLARION_GRAPH_API_URL=url)
        for number in range(rounds):
            broadcast_id = shop.broadcast(people)
            order = ("ours", "bare") if number % 2 else ("bare", "ours")
            rates: dict[str, float] = {}
            for which in order:
                if which == "bare":
                    rates[which] = uvloop.run(_bare(url, people))
                else:
                    began = time.perf_counter()
                    process_broadcast_job(broadcast_id)
                    rates[which] = people / (time.perf_counter() - began)
            pairs.append((rates["ours"], rates["bare"]))
    return [_measured(pairs, people)]


async def _bare(url: str, people: int) -> float:
    async with bare_sender(url) as send:
        return await rate_per_second(send, bodies(people), CONCURRENCY)


def _measured(pairs: list[tuple[float, float]], people: int) -> Measurement:
    ratio = statistics.median(ours / bare for ours, bare in pairs)
    ceiling = statistics.median(bare for _, bare in pairs)
    spread = " ".join(f"{ours / bare:.2f}" for ours, bare in pairs)
    return Measurement("send", ratio * ceiling, "messages/s", ceiling, f"{people:,} people, rounds {spread}")


def memory(shop: Workshop, *, audiences: tuple[int, ...]) -> Iterator[Measurement]:
    """Peak memory of a worker's job by audience, each in a process of its own."""
    with sink_process() as url:
        for people in audiences:
            broadcast_id = shop.broadcast(people)
            done = subprocess.run(  # noqa: S603 - our own code
                [sys.executable, "-c", MEMORY_OF, str(broadcast_id)],
                env={**os.environ, "CLARION_GRAPH_API_URL": url, "CLARION_LOG_FORMAT": "json"},
                capture_output=True,
                text=True,
                check=True,
            )
            megabytes = float(done.stdout.split()[-1])
            yield Measurement("memory of a run", megabytes, "MB", None, f"{people:,} people")
