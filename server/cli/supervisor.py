"""Keeps the parts of `clarion up` alive: web, workers, steward, simulator, and the embedded servers below them."""

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import psutil

from server.cli.crew import END_SECONDS, start_part
from server.cli.output import say
from server.cli.parts import end
from server.config import Settings
from server.domain.errors import Unreachable
from server.embedded import EmbeddedServers, running_addresses

FIRST_WAIT_SECONDS: Final = 0.5
LONGEST_WAIT_SECONDS: Final = 5.0
# A part that ran for so long had not failed to start.
SETTLED_SECONDS: Final = 10.0
SERVERS_EVERY_SECONDS: Final = 1.0


@dataclass(slots=True)
class Part:
    """One process, and when it may be started again. ends_last: others talk to it until they have ended."""

    name: str
    arguments: tuple[str, ...]
    data_dir: Path
    ends_last: bool = False
    process: "subprocess.Popen[bytes] | None" = None
    started_at: float = 0.0
    wait_seconds: float = FIRST_WAIT_SECONDS
    start_at: float = 0.0

    def keep_alive(self, now: float) -> None:
        """Start it, or start it again: later each time it ends at once."""
        if self.process is not None and self.process.poll() is not None:
            lasted = now - self.started_at
            self.wait_seconds = (
                FIRST_WAIT_SECONDS if lasted > SETTLED_SECONDS else min(self.wait_seconds * 2, LONGEST_WAIT_SECONDS)
            )
            log = self.data_dir / "logs" / f"{self.name}.log"
            say(f"{self.name} ended with code {self.process.returncode}; it is started again. Its log is {log}.")
            self.process, self.start_at = None, now + self.wait_seconds
        if self.process is None and now >= self.start_at:
            self.process = start_part(self.data_dir, self.name, *self.arguments)
            self.started_at = now


@dataclass(slots=True)
class Supervisor:
    """The parts of one `clarion up`."""

    configuration: Settings
    parts: list[Part] = field(default_factory=list)

    def add(self, name: str, *arguments: str, ends_last: bool = False) -> None:
        """A part more; it starts with the next look. ends_last: it ends when all others have."""
        self.parts.append(Part(name, arguments, self.configuration.data_dir, ends_last))

    def look(self) -> None:
        """Start what is not running."""
        now = time.monotonic()
        for part in self.parts:
            part.keep_alive(now)

    def listens(self, name: str, port: int) -> bool:
        """Whether that very part listens on a port. Another Clarion may have taken it a moment before."""
        return any(
            part.process is not None and _listens(part.process.pid, port) for part in self.parts if part.name == name
        )

    def end(self) -> None:
        """Ask all to end at once, and wait for each; then those that the others talked to."""
        for is_last in (False, True):
            running = [part.process for part in self.parts if part.process is not None and part.ends_last is is_last]
            for process in running:
                if process.poll() is None:
                    process.terminate()
            for process in reversed(running):
                end(process, END_SECONDS)


def _listens(pid: int, port: int) -> bool:
    try:
        connections = psutil.Process(pid).net_connections("inet")
    except psutil.NoSuchProcess:
        return False
    return any(one.status == psutil.CONN_LISTEN and one.laddr.port == port for one in connections)


@contextmanager
def supervised(configuration: Settings) -> Iterator[Supervisor]:
    """A supervisor whose parts end with the block."""
    supervisor = Supervisor(configuration)
    try:
        yield supervisor
    finally:
        supervisor.end()


@contextmanager
def servers_kept_alive(configuration: Settings) -> Iterator[Callable[[], None]]:
    """Gives a look that starts the embedded servers again where they died; those of one's own are left alone."""
    postgres, valkey = not configuration.database_url, not configuration.redis_url
    looked_at = time.monotonic()

    with ExitStack() as stack:

        def look() -> None:
            nonlocal looked_at
            if not (postgres or valkey) or time.monotonic() - looked_at < SERVERS_EVERY_SECONDS:
                return
            looked_at = time.monotonic()
            try:
                running = running_addresses(configuration.data_dir)
                if running is None or (postgres and not running.database_url) or (valkey and not running.redis_url):
                    say("A server of the data folder died; it is started again.")
                    stack.enter_context(EmbeddedServers(configuration.data_dir, postgres=postgres, valkey=valkey))
            except Unreachable as error:
                say(f"{error}")

        yield look
