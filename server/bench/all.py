"""Every benchmark, one after the other, in a workshop of their own."""

from collections.abc import Iterator

from server.bench import cancel, claim, imports, reads, send, startup, takeover, webhooks
from server.bench.measurement import Measurement
from server.bench.workshop import workshop
from server.logs import configure_logs


def run_all(*, small: bool) -> Iterator[Measurement]:
    """Each as it is done. small: once and small, which shows that it runs and nothing else."""
    configure_logs("json", level=30)
    yield from startup.run(rounds=1 if small else 5)
    with workshop() as shop:
        yield from claim.run(shop, people=2_000 if small else 200_000)
        yield from send.run(shop, people=2_000 if small else 100_000, rounds=1 if small else 5)
        yield from send.memory(shop, audiences=(1_000,) if small else (10_000, 1_000_000))
        yield from imports.run(shop, people=5_000 if small else 1_000_000)
        yield from takeover.run(shop, people=10_000 if small else 1_000_000, kills=1 if small else 7)
        yield from cancel.run(shop, people=5_000 if small else 1_000_000)
        yield from webhooks.run(shop, people=1_000 if small else 20_000)
        yield from reads.run(shop, people=5_000 if small else 1_000_000, seconds=2 if small else 10)
