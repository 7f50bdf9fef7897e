"""A `clarion up` in a data folder of its own that anybody may kill at any time, and that is started again.

Everything below it has CLARION_DATA_DIR in its environment, so that nobody is left behind, whoever's orphan it is.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, Self

from server.domain.errors import Unreachable
from server.drill import victims
from server.drill.victims import Victim
from server.embedded import running_addresses
from server.embedded.ports import a_free_port

# Longer than a busy machine takes to start PostgreSQL, migrate, and start a web process.
START_SECONDS: Final = 120.0
LOOK_EVERY_SECONDS: Final = 0.05
READY: Final = b"Ctrl-C stops everything"
# Whoever looks for orphans may meet one that is just being born.
ROUNDS_OF_LOOKING: Final = 50

# Dead runners are noticed soon; unknowns wait until every webhook that was refused has come again, and are then judged.
QUICK: Final[Mapping[str, str]] = {
    "CLARION_LEASE_SECONDS": "3",
    "CLARION_STEWARD_INTERVAL_SECONDS": "1",
    "CLARION_UNKNOWN_GRACE_SECONDS": "10",
    "CLARION_UNKNOWN_MAX_WAIT_SECONDS": "300",
}


def _nothing() -> None:
    """What is done meanwhile where nobody watches."""


class StandsStill(Unreachable):
    """Clarion did not come up, or nothing went on."""


class Plug:
    """One `clarion up` after another over the same data folder.

    environment: all of it that `up` shall have, the data folder in it. log: what every one of them says.
    """

    def __init__(self, data_dir: Path, environment: Mapping[str, str], log: Path, port: int | None = None) -> None:
        self.data_dir = data_dir
        self.port = port or a_free_port()
        self.log = log
        self._environment = {**environment, "CLARION_DATA_DIR": str(data_dir)}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """Of the web process."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def database_url(self) -> str:
        """Of the embedded database, which runs. Raises `StandsStill` where it does not."""
        found = running_addresses(self.data_dir)
        if found is None or found.database_url is None:
            raise StandsStill("The embedded database does not run.")
        return found.database_url

    @property
    def pid(self) -> int:
        """The process of the `up` that runs."""
        if self._process is None:
            raise StandsStill("Clarion was not started.")
        return self._process.pid

    def start(self, meanwhile: Callable[[], None] = _nothing) -> None:
        """Start it, and wait until it is ready. Raises `StandsStill` where it does not come up."""
        deadline = time.monotonic() + START_SECONDS
        while not self._start_once(deadline, meanwhile):
            if time.monotonic() > deadline:
                raise StandsStill(f"Clarion did not come up within {START_SECONDS:.0f} s. {self._last_words()}")
            time.sleep(LOOK_EVERY_SECONDS)

    def _start_once(self, deadline: float, meanwhile: Callable[[], None]) -> bool:
        self.data_dir.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as output:
            said_before = output.tell()
            self._process = subprocess.Popen(  # noqa: S603 - our own command
                [sys.executable, "-m", "server.cli", "up", "--port", str(self.port), "--with-parent", str(os.getpid())],
                env=self._environment,
                cwd=self.data_dir,  # not where we are: a .env there may name somebody's database
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        while self._process.poll() is None and time.monotonic() < deadline:
            if READY in self._said_since(said_before):
                return True
            meanwhile()
            time.sleep(LOOK_EVERY_SECONDS)
        return False  # most likely the port of the one that was killed is not free yet

    def _last_words(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return f"It said last: {lines[-1]}" if lines else "It said nothing."

    def _said_since(self, position: int) -> bytes:
        with self.log.open("rb") as log:
            log.seek(position)
            return log.read()

    def pull(self, victim: Victim, meanwhile: Callable[[], None] = _nothing) -> bool:
        """SIGKILL a victim, and start again what nobody else would. False where it does not live at this moment."""
        if not victims.kill(victims.processes_of(victim, self.pid, self.data_dir)):
            return False
        if victim is Victim.EVERYTHING:
            self._reap()
            self.start(meanwhile)
        return True

    def clear(self) -> None:
        """SIGKILL everybody who works for the data folder, orphans too, until nobody is left."""
        for _ in range(ROUNDS_OF_LOOKING):
            found = [*(victims.tree_of(self._process.pid) if self._process else []), *victims.left_in(self.data_dir)]
            victims.kill(found)
            self._reap()
            if not found:
                return

    def _reap(self) -> None:
        if self._process is not None:
            self._process.wait()
            self._process = None

    def aimed_at(self, graph_api_url: str) -> Self:
        """Send to this Cloud API; to be told before the start."""
        self._environment["CLARION_GRAPH_API_URL"] = graph_api_url
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.clear()


def own_environment() -> dict[str, str]:
    """The environment of this process without anything that could lead to somebody's database, queue or number."""
    leads = ("CLARION_", "DATABASE_URL", "REDIS_URL", "PG")
    return {name: value for name, value in os.environ.items() if not name.startswith(leads)}
