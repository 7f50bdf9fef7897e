"""Several processes use the same servers; the last one out stops them."""

import shutil
from pathlib import Path

import psycopg
import redis

from server.embedded import Addresses, EmbeddedServers, running_addresses
from tests.embedded.conftest import StartUser, assert_nothing_runs, of_each_server
from tests.support.engine import until


def assert_both_answer(addresses: Addresses) -> None:
    assert addresses.database_url is not None
    assert addresses.redis_url is not None
    with psycopg.connect(addresses.database_url) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    with redis.Redis.from_url(addresses.redis_url) as client:
        assert client.ping()


def test_two_processes_share_one_pair_and_the_last_one_out_stops_it(data_dir: Path, start_user: StartUser) -> None:
    first = start_user(data_dir)
    found = first.addresses()
    second = start_user(data_dir)
    assert second.addresses() == found

    first.leave()
    assert_both_answer(found)

    second.leave()
    assert_nothing_runs(data_dir)


def test_processes_that_start_at_the_same_instant_share_one_pair(data_dir: Path, start_user: StartUser) -> None:
    users = [start_user(data_dir) for _ in range(4)]
    found = {user.addresses() for user in users}
    assert len(found) == 1
    assert_both_answer(found.pop())
    for user in users:
        user.process.communicate()
    assert_nothing_runs(data_dir)


def test_ctrl_c_leaves_nothing_running(data_dir: Path, start_user: StartUser) -> None:
    user = start_user(data_dir)
    user.addresses()
    user.interrupt()
    assert user.process.returncode == 130
    assert_nothing_runs(data_dir)


def test_ctrl_c_in_one_terminal_does_not_end_the_servers_of_another(data_dir: Path, start_user: StartUser) -> None:
    first, second = start_user(data_dir), start_user(data_dir)
    found = first.addresses()
    second.addresses()
    first.interrupt()
    assert_both_answer(found)


def test_ctrl_c_while_the_database_is_being_made_leaves_nothing_behind(data_dir: Path, start_user: StartUser) -> None:
    user = start_user(data_dir)
    until(lambda: any(data_dir.glob("servers/postgres.new.*")))
    user.interrupt()
    assert_nothing_runs(data_dir)
    assert not list(data_dir.glob("servers/postgres*/PG_VERSION"))

    with EmbeddedServers(data_dir) as addresses:
        assert_both_answer(addresses)


def test_a_forked_child_keeps_the_servers_of_its_parent(data_dir: Path, start_user: StartUser) -> None:
    parent = start_user(data_dir, "fork")
    found = parent.addresses()
    parent.process.wait()
    assert_both_answer(found)

    parent.process.communicate()  # the child's stdin ends, and it is the last one out
    assert_nothing_runs(data_dir)


def test_a_killed_user_no_longer_counts(data_dir: Path, start_user: StartUser) -> None:
    killed = start_user(data_dir)
    killed.addresses()
    other = start_user(data_dir)
    other.addresses()
    killed.kill()
    other.leave()
    assert_nothing_runs(data_dir)


def test_servers_whose_only_user_was_killed_serve_the_next(data_dir: Path, start_user: StartUser) -> None:
    killed = start_user(data_dir)
    found = killed.addresses()
    killed.kill()
    assert running_addresses(data_dir) == found
    with EmbeddedServers(data_dir) as addresses:
        assert addresses == found
    assert_nothing_runs(data_dir)


def test_a_data_folder_that_is_deleted_in_use_leaves_nothing_running(data_dir: Path) -> None:
    with EmbeddedServers(data_dir):
        shutil.rmtree(data_dir)
    assert_nothing_runs(data_dir)


def test_only_what_is_asked_for_is_started(data_dir: Path) -> None:
    with EmbeddedServers(data_dir, postgres=False) as addresses:
        assert addresses.database_url is None
        assert of_each_server(data_dir, lambda process: process.name()) == ["valkey-server"]
        with EmbeddedServers(data_dir, valkey=False) as more:
            assert_both_answer(Addresses(more.database_url, addresses.redis_url))
    assert_nothing_runs(data_dir)


def test_looking_starts_nothing_and_makes_nothing(data_dir: Path) -> None:
    assert running_addresses(data_dir) is None
    assert not data_dir.exists()
    with EmbeddedServers(data_dir) as addresses:
        assert running_addresses(data_dir) == addresses
    assert running_addresses(data_dir) is None
