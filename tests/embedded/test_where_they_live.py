"""Where the servers live, who can reach them, and what they are told."""

import os
import socket
import stat
import subprocess
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import psycopg
import pytest
import redis

from server.embedded import EmbeddedServers
from server.embedded.postgres import _binaries
from server.embedded.processes import Account, open_the_way
from tests.embedded.conftest import StartUser, as_nobody, assert_nothing_runs, of_each_server, server_processes

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
ON_LINUX = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="/proc is Linux's")
NOBODY = 65534


def listening_on(data_dir: Path) -> set[str]:
    """Every IP address that a server of the folder listens on."""
    connections = of_each_server(data_dir, lambda process: process.net_connections("inet"))
    return {one.laddr.ip for found in connections for one in found if one.status == psutil.CONN_LISTEN}


def users_of_servers(data_dir: Path) -> set[int]:
    """Every user, real, effective or saved, that a server of the folder runs as."""
    return {uid for uids in of_each_server(data_dir, lambda process: process.uids()) for uid in uids}


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def assert_valkey_refuses(stranger: socket.socket) -> None:
    stranger.sendall(b"PING\r\n")
    assert stranger.recv(100).startswith(b"-NOAUTH")


def test_they_listen_on_nothing_but_sockets_in_a_private_folder(data_dir: Path) -> None:
    with EmbeddedServers(data_dir):
        assert server_processes(data_dir)
        assert listening_on(data_dir) == set()
        assert mode(data_dir / "servers") == mode(data_dir / "servers" / "run") == 0o700


def test_the_socket_too_asks_for_a_password(data_dir: Path) -> None:
    with EmbeddedServers(data_dir) as addresses:
        assert addresses.database_url is not None
        assert addresses.redis_url is not None
        url = urlsplit(addresses.database_url)
        assert url.password is not None
        for user in (f"clarion:{'0' * 64}", "postgres"):
            with pytest.raises(psycopg.OperationalError, match="password"):
                psycopg.connect(addresses.database_url.replace(f"clarion:{url.password}", user))
        with socket.socket(socket.AF_UNIX) as stranger:
            stranger.connect(urlsplit(addresses.redis_url).path)
            assert_valkey_refuses(stranger)


def test_a_path_too_long_for_sockets_means_loopback_with_a_password(deep_data_dir: Path) -> None:
    with EmbeddedServers(deep_data_dir) as addresses:
        assert addresses.database_url is not None
        assert addresses.redis_url is not None
        assert listening_on(deep_data_dir) == {"127.0.0.1"}
        with psycopg.connect(addresses.database_url) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
        assert redis.Redis.from_url(addresses.redis_url).ping()

        password = urlsplit(addresses.database_url).password
        assert password is not None
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(addresses.database_url.replace(password, "guessed"))
        with socket.create_connection(("127.0.0.1", urlsplit(addresses.redis_url).port or 0)) as stranger:
            assert_valkey_refuses(stranger)
    assert_nothing_runs(deep_data_dir)


def test_the_ports_stay_the_same_unless_somebody_took_them(deep_data_dir: Path) -> None:
    with EmbeddedServers(deep_data_dir) as first:
        pass
    with EmbeddedServers(deep_data_dir) as second:
        assert second == first
    with socket.socket() as somebody, socket.socket() as somebody_else:
        for taker, url in ((somebody, first.database_url), (somebody_else, first.redis_url)):
            taker.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            taker.bind(("127.0.0.1", urlsplit(url or "").port))
            taker.listen()
        with EmbeddedServers(deep_data_dir) as third:
            assert third.database_url != first.database_url
            assert third.redis_url != first.redis_url


@pytest.mark.parametrize("name", ["with space, comma", "מסעדה", 'quo"te\\back', "per%cent&q?h#"])
def test_any_name_will_do_for_a_data_folder(data_dir: Path, name: str) -> None:
    with EmbeddedServers(data_dir / name) as addresses:
        assert addresses.database_url is not None
        assert addresses.redis_url is not None
        psycopg.connect(addresses.database_url).close()
        assert redis.Redis.from_url(addresses.redis_url).ping()
    assert_nothing_runs(data_dir / name)


def test_psql_takes_the_address_as_it_is(data_dir: Path) -> None:
    with EmbeddedServers(data_dir, valkey=False) as addresses:
        command = [str(_binaries() / "psql"), str(addresses.database_url), "-XAtc", "SELECT current_user"]
        assert subprocess.run(command, check=True, capture_output=True, text=True).stdout == "clarion\n"


def test_every_commit_reaches_the_disk_and_the_role_is_no_superuser(data_dir: Path) -> None:
    with EmbeddedServers(data_dir, valkey=False) as addresses:
        assert addresses.database_url is not None
        with psycopg.connect(addresses.database_url) as connection:
            for setting in ("fsync", "synchronous_commit", "full_page_writes", "data_checksums"):
                assert connection.execute(f"SHOW {setting}").fetchone() == ("on",)
            facts = connection.execute(
                "SELECT rolsuper, rolbypassrls, rolcreatedb, rolcreaterole, pg_encoding_to_char(encoding), datlocale"
                "  FROM pg_roles, pg_database WHERE rolname = current_user AND datname = current_database()"
            ).fetchone()
    assert facts == (False, False, True, True, "UTF8", "C.UTF-8")


@ON_LINUX
def test_nothing_outside_the_data_folder_is_open_for_writing(data_dir: Path) -> None:
    with EmbeddedServers(data_dir) as addresses:
        assert addresses.database_url is not None
        with psycopg.connect(addresses.database_url) as connection:
            connection.execute("SET debug_parallel_query = on")  # shared memory beyond the main segment
            connection.execute("SELECT count(*) FROM pg_class").fetchone()
            found = of_each_server(data_dir, lambda process: _open_for_writing(process.pid))
            written = set().union(*found)
    assert written  # the logs at least
    assert [path for path in written if not path.startswith(f"{data_dir}/")] == []


def _open_for_writing(pid: int) -> set[str]:
    """Files on a disk or in /dev/shm that a process can write: by its descriptors, and by its shared mappings."""
    found = set()
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            flags = int(Path(f"/proc/{pid}/fdinfo/{fd.name}").read_text().split("flags:")[1].split()[0], 8)
            if flags & os.O_ACCMODE and stat.S_ISREG(fd.stat().st_mode):
                found.add(str(fd.readlink()))
    for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
        _, permissions, _, device, *rest = line.split(maxsplit=5)
        anonymous = device.startswith("00:01") or rest[-1].startswith(("/dev/zero", "/SYSV"))
        if permissions.startswith("rw-s") and not anonymous:
            found.add(rest[-1])
    return {path for path in found if not path.endswith("(deleted)")}


@AS_ROOT
def test_as_root_they_run_as_somebody_else_and_no_permission_is_changed(data_dir: Path) -> None:
    data_dir.mkdir(mode=0o700)
    above = [data_dir, *data_dir.parents]
    before = [mode(path) for path in above]
    with EmbeddedServers(data_dir):
        assert users_of_servers(data_dir) == {NOBODY}
        assert [mode(path) for path in above] == before
        assert mode(data_dir.parent) == 0o700


@AS_ROOT
@ON_LINUX
def test_they_take_one_capability_along_and_no_other(data_dir: Path) -> None:
    with EmbeddedServers(data_dir):
        told = of_each_server(data_dir, lambda process: _capabilities(process.pid))
        assert set().union(*told) == {"0000000000000002"}
        environments = of_each_server(data_dir, lambda process: Path(f"/proc/{process.pid}/environ").read_text())
        assert not any("CLARION" in environment for environment in environments)


def _capabilities(pid: int) -> set[str]:
    """The sets of capabilities that a process has and hands on."""
    status = Path(f"/proc/{pid}/status").read_text()
    return {line.split()[1] for line in status.splitlines() if line.startswith(("CapPrm", "CapAmb"))}


@AS_ROOT
def test_a_user_who_is_not_root_runs_them_as_themselves(data_dir: Path, start_user: StartUser) -> None:
    belongs_to_nobody(data_dir)
    user = start_user(data_dir, through=as_nobody())
    user.addresses()
    assert users_of_servers(data_dir) == {NOBODY}
    user.leave()
    assert_nothing_runs(data_dir)


@AS_ROOT
def test_root_leaves_a_users_data_folder_to_the_user(data_dir: Path, start_user: StartUser) -> None:
    belongs_to_nobody(data_dir)
    with EmbeddedServers(data_dir) as by_root:
        pass
    user = start_user(data_dir, through=as_nobody())
    assert user.addresses() == by_root
    user.leave()
    assert_nothing_runs(data_dir)


def belongs_to_nobody(data_dir: Path) -> None:
    data_dir.parent.chmod(0o711)
    data_dir.mkdir()
    os.chown(data_dir, NOBODY, NOBODY)


@AS_ROOT
def test_where_access_cannot_go_along_folders_are_opened_for_passing_only(data_dir: Path) -> None:
    data_dir.mkdir(mode=0o700)
    somebody = Account("nobody", NOBODY, NOBODY, keeps_access=False)
    open_the_way(somebody, [data_dir / "servers"])
    assert mode(data_dir) == mode(data_dir.parent) == 0o701
