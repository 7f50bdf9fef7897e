"""The RQ worker of Clarion: what it takes over from RQ, and what it must not."""

import redis

from server.jobs.queues import BROADCASTS, connect
from server.jobs.worker import ClarionWorker, is_anybody_working
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
    worker.kill()
    assert connection.scard("rq:workers") == 1  # its key is still there
    assert not is_anybody_working(connection, BROADCASTS)
    connection.close()
