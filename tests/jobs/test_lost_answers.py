"""A connection to the database that is cut in the middle of a commit, and a clock that jumps: nobody gets it twice."""

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.jobs.test_broadcast_job import hint
from tests.support.builders import a_broadcast, a_business
from tests.support.engine import Engine
from tests.support.proxy import LossyProxy
from tests.support.simulator import Simulator

PEOPLE = 600


@pytest.mark.parametrize(
    ("statement", "skip", "times"),
    [
        ("ledger.claim", 3, 6),
        ("ledger.record", 3, 6),
        ("COMMIT", 1, 6),
    ],
)
async def test_a_commit_whose_answer_is_lost_messages_nobody_twice(
    engine: AsyncEngine, redis_url: str, clarion: Engine, simulator: Simulator, statement: str, skip: int, times: int
) -> None:
    broadcast = await a_broadcast(engine, recipients=PEOPLE, tenant=await a_business(engine, rate=150))
    with LossyProxy(clarion.database_url, statement, skip=skip, times=times) as proxy:
        clarion.environment |= {"DATABASE_URL": proxy.url, "CLARION_LEASE_SECONDS": "5"}
        for part in [clarion.start("worker"), clarion.start("worker"), clarion.start("steward")]:
            part.until_started()  # a part that cannot so much as begin ends, for its supervisor to start it again
        proxy.begin()
        hint(redis_url, broadcast.id)
        clarion.until_ended(broadcast.id, seconds=200)
        assert proxy.lost_count == times
    assert simulator.most_messages_to_one_person() == 1
    statuses = clarion.assert_books_balance(broadcast.id).statuses
    assert statuses["sent"] + statuses["failed"] == PEOPLE
    assert simulator.summary()["accepted"] <= statuses["sent"] + statuses["failed"]


# Every process of Python runs this first. Its clock of the day leaps an hour forth and back every half second; the
# clocks that only go forward are left alone, as an administrator or NTP leaves them.
JUMPING = """
import datetime, time
_time, _monotonic = time.time, time.monotonic
def jumped(): return 3600 if int(_monotonic() * 2) % 2 else -3600
time.time = lambda: _time() + jumped()
class Jumping(datetime.datetime):
    @classmethod
    def now(cls, tz=None): return datetime.datetime.fromtimestamp(time.time(), tz)
    @classmethod
    def utcnow(cls): return cls.now(datetime.timezone.utc).replace(tzinfo=None)
_datetime = datetime.datetime
datetime.datetime = Jumping
"""


@pytest.fixture
def jumping_clock(tmp_path: Path) -> Callable[[], str]:
    """Makes the folder for PYTHONPATH whose clock leaps."""

    def make() -> str:
        folder = tmp_path / "clock"
        folder.mkdir()
        (folder / "sitecustomize.py").write_text(JUMPING)
        return str(folder)

    return make


async def test_a_clock_that_jumps_messages_nobody_twice_and_costs_nobody_their_message(
    engine: AsyncEngine, redis_url: str, clarion: Engine, simulator: Simulator, jumping_clock: Callable[[], str]
) -> None:
    clarion.environment["PYTHONPATH"] = jumping_clock()
    broadcast = await a_broadcast(engine, recipients=PEOPLE, tenant=await a_business(engine, rate=150))
    for part in ("worker", "worker", "steward"):
        clarion.start(part, is_cold=True)
    hint(redis_url, broadcast.id)
    row = clarion.until_ended(broadcast.id)
    assert (row["status"], row["run_epoch"]) == ("completed", 1)  # no lease ran out before its time
    assert clarion.assert_books_balance(broadcast.id).statuses == {"sent": PEOPLE}
    assert simulator.most_messages_to_one_person() == 1
