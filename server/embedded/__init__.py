"""PostgreSQL and Valkey inside the data folder, shared by every Clarion process that uses it.

    with EmbeddedServers(data_dir) as addresses:
        ...  # addresses.database_url, addresses.redis_url

The first one in starts them, the last one out stops them, also where some were killed in between (`locks.py`).
"Running" means that a connection answers. Nothing outside the data folder is written, and nobody listens but on a
socket in a private folder, or, where its path would be too long for a socket, on 127.0.0.1 with a password.

Needs no event loop and makes none. A process that is ended by SIGTERM has to turn it into an exception to leave
through `__exit__`; otherwise the servers go on until the next command is the last one out.
"""

from pathlib import Path
from typing import Final, NamedTuple

from server.domain.errors import ClarionError, DatabaseAway
from server.embedded.folder import in_plain_words, prepare, servers_folder
from server.embedded.locks import Lock, others_hold
from server.embedded.postgres import Postgres
from server.embedded.processes import account_for
from server.embedded.server import Look
from server.embedded.valkey import Valkey

__all__ = ["Addresses", "EmbeddedServers", "running_addresses"]

# Somebody else may be recovering a crashed database.
TURN_SECONDS: Final = 200.0


class Addresses(NamedTuple):
    """Where the servers are, passwords included. None: that one was not asked for, or does not run.

    database_url: `postgresql://…`, for psycopg and psql. redis_url: `unix://…` or `redis://…`, for redis-py.
    """

    database_url: str | None
    redis_url: str | None


class EmbeddedServers:
    """The servers of a data folder, for as long as the `with` block lasts.

    Raises DatabaseAway, QueueAway or StorageFull, each with a sentence that names the folder.
    """

    def __init__(self, data_dir: Path, *, postgres: bool = True, valkey: bool = True) -> None:
        self._data_dir = data_dir
        self._wanted = postgres, valkey
        self._servers = servers_folder(data_dir)
        self._postgres = Postgres(self._servers)
        self._valkey = Valkey(self._servers)
        self._use: Lock | None = None

    def __enter__(self) -> Addresses:
        try:
            with in_plain_words(self._data_dir):
                return self._join()
        except BaseException:  # Ctrl-C while they start leaves nothing behind either
            self._leave()
            raise

    def __exit__(self, *_: object) -> None:
        self._leave()

    def _join(self) -> Addresses:
        postgres, valkey = self._wanted
        prepare(self._data_dir)
        with self._my_turn():
            self._use = Lock.shared(self._servers / "users.lock")
            account = account_for(self._servers, self._postgres.folder)
            if valkey:
                self._valkey.ensure(account)
            if postgres:
                self._postgres.ensure(account)
                self._postgres.sign_in()
            return Addresses(self._postgres.url() if postgres else None, self._valkey.url() if valkey else None)

    def _leave(self) -> None:
        """Let go, and stop both servers if nobody else holds on.

        A child that was forked inside the block holds on with our open file: then it is the last one out.
        """
        if self._use is None:
            return
        use, self._use = self._use, None
        try:
            with self._my_turn():
                use.close()
                if others_hold(self._servers / "users.lock"):
                    return
                self._stop()
        except FileNotFoundError:
            self._stop()  # the folder was deleted while we used it; its servers would stay for ever
        finally:
            use.close()

    def _stop(self) -> None:
        self._valkey.end()
        self._postgres.end()

    def _my_turn(self) -> Lock:
        lock = Lock.exclusive(self._servers / "changes.lock", seconds=TURN_SECONDS)
        if lock is None:
            raise DatabaseAway(
                f"Another Clarion process has been starting or stopping the servers in {self._servers} "
                f"for more than {TURN_SECONDS:.0f} s. End it and run the command again."
            )
        return lock


def running_addresses(data_dir: Path) -> Addresses | None:
    """Where the servers of a data folder are, as far as they run; None where none does. Starts and changes nothing."""
    servers = servers_folder(data_dir)
    postgres, valkey = Postgres(servers), Valkey(servers)
    with in_plain_words(data_dir):
        addresses = Addresses(_answering_url(postgres), valkey.url() if valkey.look() is Look.READY else None)
    return addresses if any(addresses) else None


def _answering_url(postgres: Postgres) -> str | None:
    if postgres.look() is not Look.READY:
        return None
    try:
        postgres.sign_in()
        return postgres.url()
    except ClarionError:
        return None  # somebody else answers on a port that was ours
