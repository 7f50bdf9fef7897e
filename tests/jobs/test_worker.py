"""The RQ worker of Clarion: what it takes over from RQ, and what it must not."""

from pathlib import Path

import redis
from sqlalchemy.ext.asyncio import AsyncEngine

from server.embedded import EmbeddedServers
from server.jobs.broadcast_job import process_broadcast_job
from server.jobs.queues import BROADCASTS, broadcasts_queue, connect
from server.jobs.worker import ClarionWorker, is_anybody_working
from tests.jobs.test_broadcast_job import hint
from tests.support.builders import a_broadcast, a_business
from tests.support.engine import Engine, until


def test_an_idle_worker_waits_longer_than_its_connection_would_break_off(redis_url: str) -> None:
    connection = connect(redis_url)  # as a command does: it has asked the server something already
    worker = ClarionWorker([BROADCASTS], connection)
    used = connection.connection_pool.get_connection()
    try:
        assert used.socket_timeout is None or used.socket_timeout > worker.dequeue_timeout
    finally:
        connection.connection_pool.release(used)
        connection.close()


def test_a_worker_that_was_killed_is_not_taken_for_one_that_works(clarion: Engine, redis_url: str) -> None:
    connection = redis.Redis.from_url(redis_url)
    assert not is_anybody_working(connection, BROADCASTS)
    worker = clarion.start("worker")
    until(lambda: is_anybody_working(connection, BROADCASTS), what="a worker")
    assert is_anybody_working(connection, BROADCASTS, 7)
    worker.kill()
    assert connection.scard("rq:workers") == 1  # its key is still there
    assert not is_anybody_working(connection, BROADCASTS)
    connection.close()


async def test_a_worker_of_one_business_keeps_no_other_from_having_its_own(
    engine: AsyncEngine, clarion: Engine, redis_url: str
) -> None:
    ours, others = await a_business(engine), await a_business(engine, "Other")
    broadcast = await a_broadcast(engine, recipients=20, tenant=others)
    connection = redis.Redis.from_url(redis_url)
    clarion.environment["CLARION_ONLY_BUSINESS"] = str(ours.business_id)
    worker = clarion.start("worker")
    until(lambda: is_anybody_working(connection, BROADCASTS, ours.business_id), what="its worker")
    assert not is_anybody_working(connection, BROADCASTS, others.business_id)
    assert not is_anybody_working(connection, BROADCASTS)

    hint(redis_url, broadcast.id)  # that worker takes it, and leaves the broadcast as it is
    until(lambda: "BROADCAST NOT STARTED" in worker.log.read_text(), what="the hint to be taken")
    clarion.environment["CLARION_ONLY_BUSINESS"] = str(others.business_id)
    clarion.start("worker")
    clarion.start("steward")
    row = clarion.until_ended(broadcast.id)
    assert (row["status"], row["sent_count"]) == ("completed", 20)
    connection.close()


async def test_two_hints_for_one_broadcast_that_meet_are_no_error(
    engine: AsyncEngine, clarion: Engine, redis_url: str
) -> None:
    broadcast = await a_broadcast(engine, recipients=120, tenant=await a_business(engine, rate=40))
    connection = redis.Redis.from_url(redis_url)
    queue = broadcasts_queue(connection)
    workers = [clarion.start("worker") for _ in range(3)]
    for _ in range(6):
        queue.enqueue(process_broadcast_job, broadcast.id, job_timeout="30m", job_id=f"broadcast_{broadcast.id}")
    clarion.until_ended(broadcast.id)
    until(lambda: not connection.zcard(queue.started_job_registry.key), what="the hints to be done with")
    assert [worker.stop() for worker in workers] == [0, 0, 0]
    assert "BROADCAST WAITING" in clarion.logs()  # they did meet
    assert "Traceback" not in clarion.logs()
    connection.close()


def test_a_worker_whose_queue_has_gone_says_goodbye_to_nobody(tmp_path: Path) -> None:
    with EmbeddedServers(tmp_path, postgres=False) as found:
        assert found.redis_url is not None
        worker = ClarionWorker([BROADCASTS], connect(found.redis_url))
        worker.register_birth()  # type: ignore[no-untyped-call]
    worker.register_death()
