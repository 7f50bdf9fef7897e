"""Whatever is killed, the next start just works and has every acknowledged commit."""

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import psycopg
import pytest
import redis

from server.embedded import EmbeddedServers
from tests.embedded.conftest import StartUser, assert_nothing_runs, kill_servers, of_each_server, server_processes
from tests.support.engine import until


def an_empty_table(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute("CREATE TABLE kept (n int)")


def write_until_it_breaks(database_url: str, acknowledged: list[int]) -> None:
    """Commit one row after the other; what the server confirmed is in `acknowledged`."""
    with contextlib.suppress(psycopg.OperationalError), psycopg.connect(database_url, autocommit=True) as connection:
        for number in range(1_000_000):
            connection.execute("INSERT INTO kept VALUES (%s)", [number])
            acknowledged.append(number)


def rows_kept(database_url: str) -> set[int]:
    with psycopg.connect(database_url) as connection:
        return {number for (number,) in connection.execute("SELECT n FROM kept")}


@contextmanager
def a_stranger_as(account: int) -> Iterator[int]:
    """The pid of a process of somebody else, of the user that PostgreSQL runs as."""
    user = account if os.geteuid() == 0 else None
    with subprocess.Popen(["sleep", "600"], user=user) as process:
        yield process.pid
        process.kill()


def command(process: psutil.Process) -> list[str]:
    try:
        return list(process.cmdline())
    except psutil.Error:
        return []


def test_every_acknowledged_commit_survives_sigkill_of_all_servers(data_dir: Path) -> None:
    acknowledged: list[int] = []
    with EmbeddedServers(data_dir) as addresses:
        assert addresses.database_url is not None
        an_empty_table(addresses.database_url)
        writer = threading.Thread(target=write_until_it_breaks, args=(addresses.database_url, acknowledged))
        writer.start()
        until(lambda: len(acknowledged) > 50)
        kill_servers(data_dir)
        writer.join()

    with EmbeddedServers(data_dir) as again:
        assert again.database_url is not None
        assert rows_kept(again.database_url) >= set(acknowledged)
    assert_nothing_runs(data_dir)


def test_everything_is_killed_at_once_and_the_next_start_just_works(data_dir: Path, start_user: StartUser) -> None:
    users = [start_user(data_dir), start_user(data_dir)]
    found = [user.addresses() for user in users]
    for user in users:
        user.process.kill()
    kill_servers(data_dir)

    with EmbeddedServers(data_dir) as addresses:
        assert addresses == found[0]
        assert addresses.redis_url is not None
        assert redis.Redis.from_url(addresses.redis_url).ping()
    assert_nothing_runs(data_dir)


def test_a_command_that_joins_finds_a_killed_server_and_starts_it(data_dir: Path) -> None:
    with EmbeddedServers(data_dir) as first:
        kill_servers(data_dir)
        with EmbeddedServers(data_dir) as second:
            assert second == first
            assert first.database_url is not None
            psycopg.connect(first.database_url).close()


def test_a_kill_while_the_database_is_being_made_stops_nothing_later(data_dir: Path, start_user: StartUser) -> None:
    user = start_user(data_dir)
    until(lambda: any(data_dir.glob("servers/postgres.new.*/global")))
    user.kill()
    assert not (data_dir / "servers" / "postgres").exists()

    with EmbeddedServers(data_dir) as addresses:
        assert addresses.database_url is not None
        psycopg.connect(addresses.database_url).close()

    until(
        lambda: (
            not any(
                str(data_dir) in part and "postgres.new." in part
                for process in psutil.process_iter()
                for part in command(process)
            )
        )
    )
    with EmbeddedServers(data_dir):
        assert not list(data_dir.glob("servers/postgres.new.*"))


def test_stale_pid_and_socket_files_that_name_a_stranger_do_not_stop_a_start(data_dir: Path) -> None:
    with EmbeddedServers(data_dir):
        cluster = data_dir / "servers" / "postgres"
        run = data_dir / "servers" / "run"
        lines = (cluster / "postmaster.pid").read_text().splitlines()
    with a_stranger_as(cluster.stat().st_uid) as pid:
        lines[0] = str(pid)
        for path in (cluster / "postmaster.pid", run / ".s.PGSQL.5432.lock"):
            path.write_text("\n".join(lines) + "\n")
            shutil.chown(path, cluster.stat().st_uid)
        for name in (".s.PGSQL.5432", "valkey.sock"):
            with socket.socket(socket.AF_UNIX) as dead:
                dead.bind(str(run / name))

        with EmbeddedServers(data_dir) as addresses:
            assert addresses.database_url is not None
            psycopg.connect(addresses.database_url).close()
        assert psutil.pid_exists(pid)


def test_an_orphan_that_outlives_its_postmaster_does_not_stop_a_start(data_dir: Path) -> None:
    with EmbeddedServers(data_dir) as addresses:
        assert addresses.database_url is not None
        busy = psycopg.connect(addresses.database_url, autocommit=True)
        # It never waits for anything, so it does not notice that its postmaster is gone.
        busy.pgconn.send_query(b"SELECT count(*) FROM generate_series(1, 1000000) a, generate_series(1, 1000000) b")
        busy.pgconn.flush()
        until(lambda: any("SELECT" in " ".join(command(process)) for process in server_processes(data_dir)))
        postmaster = int((data_dir / "servers/postgres/postmaster.pid").read_text().split()[0])
        os.kill(postmaster, signal.SIGKILL)

        with EmbeddedServers(data_dir) as again:
            assert again.database_url is not None
            with psycopg.connect(again.database_url) as connection:
                assert connection.execute("SELECT 1").fetchone() == (1,)
        busy.close()
    assert_nothing_runs(data_dir)


def test_a_server_that_lost_its_socket_is_started_anew(data_dir: Path) -> None:
    with EmbeddedServers(data_dir) as first:
        for path in (data_dir / "servers" / "run").iterdir():
            path.unlink()
        with EmbeddedServers(data_dir) as second:
            assert second == first
            assert first.redis_url is not None
            assert redis.Redis.from_url(first.redis_url).ping()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_the_account_that_root_hands_over_to_stays_the_same(data_dir: Path) -> None:
    with EmbeddedServers(data_dir):
        first = set(of_each_server(data_dir, lambda process: process.username()))
    with EmbeddedServers(data_dir):
        second = set(of_each_server(data_dir, lambda process: process.username()))
    assert first == second == {pwd.getpwuid(65534).pw_name}
