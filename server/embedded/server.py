"""What both embedded servers have in common: how one is found running, started, and ended.

Every method that changes something is called by one process at a time (`changes.lock`).
"""

import secrets
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from enum import Enum, auto
from pathlib import Path
from typing import ClassVar, Final

from server.domain.errors import Unreachable
from server.embedded import processes
from server.embedded.folder import NO_ROOM, disk_full, fits_a_socket, read_if_there, write_private
from server.embedded.locks import POLL_SECONDS, Lock, others_hold
from server.embedded.ports import a_free_port
from server.embedded.processes import Account

# Long enough to replay the write-ahead log of a crash (max_wal_size) on a slow disk.
START_SECONDS: Final = 180.0
# What outlives a killed server leaves by itself within milliseconds, unless it is stuck.
LEFTOVER_SECONDS: Final = 2.0
# A server on a busy machine may take its time; one that is gone refuses at once.
ANSWER_SECONDS: Final = 15
# A free port may be taken by somebody else before the server has it.
PORT_TRIES: Final = 3


class Look(Enum):
    """What a connection to a server met."""

    READY = auto()  # it answers
    COMING = auto()  # it answers "not now": it starts, recovers or shuts down
    AWAY = auto()  # nobody answers


class Server(ABC):
    """One embedded server. It listens on a socket in `run`, or, where that path is too long, on 127.0.0.1."""

    title: ClassVar[str]
    program: ClassVar[str]  # the name that its processes go by
    error: ClassVar[type[Unreachable]]
    end_steps: ClassVar[Sequence[tuple[int, float]]]

    def __init__(self, servers: Path, name: str, socket_name: str) -> None:
        self.servers = servers
        self.folder = servers / name
        self.log = servers / f"{name}.log"
        self.alive = servers / f"{name}.alive"
        self.run_folder = servers / "run"
        self.socket = self.run_folder / socket_name
        self.by_socket = fits_a_socket(self.socket)
        self._port_file = servers / f"{name}.port"

    @abstractmethod
    def look(self) -> Look:
        """Speak to the server, for at most ANSWER_SECONDS."""

    @abstractmethod
    def url(self) -> str:
        """How clients reach it, password included."""

    @abstractmethod
    def prepare(self, account: Account | None) -> None:
        """Make what has to be on the disk before it can start, and take away what a crash left. Nothing of it runs."""

    @abstractmethod
    def launch(self, account: Account | None, alive: Lock) -> None:
        """Start it, and come back before it answers."""

    @abstractmethod
    def main_pid(self) -> int | None:
        """The process to send signals to, as far as the folder knows."""

    def ensure(self, account: Account | None) -> None:
        """Have it running when this returns: find it so, or clear what a crash left and start it."""
        if self._answers_in_the_end():
            return
        self.prepare(account)
        last_words = ""
        for _ in range(PORT_TRIES):
            said = self._start(account)
            if said is None:
                return
            last_words = said
            if "already in use" not in said:
                break
        raise self._failed(last_words)

    def end(self) -> None:
        """Stop it, ever less politely. Nothing to do where it does not run."""
        processes.end(self.program, self.folder, self.alive, self.main_pid(), self.end_steps)

    def port(self) -> int:
        """The port on 127.0.0.1 that was chosen at the last start."""
        return int(read_if_there(self._port_file) or 0)

    def choose_port(self) -> int:
        """A free port, the one of the last time if it can be: an address once given out then stays right."""
        chosen = a_free_port(self.port())
        write_private(self._port_file, str(chosen))
        return chosen

    def _answers_in_the_end(self) -> bool:
        """True: it runs. False: nothing of it lives, so it can be started.

        While something of it lives without answering, wait: it may be starting for somebody who was killed, or be
        an orphan that leaves in a moment. What neither answers nor leaves is ended.
        """
        give_up_at = time.monotonic() + START_SECONDS
        patient_until = time.monotonic() + LEFTOVER_SECONDS
        while others_hold(self.alive):
            look = self.look()
            if look is Look.READY:
                return True
            if look is Look.COMING:
                patient_until = time.monotonic() + LEFTOVER_SECONDS
            if time.monotonic() > min(patient_until, give_up_at):
                self._clear()
                return False
            time.sleep(POLL_SECONDS)
        return False

    def _clear(self) -> None:
        self.end()
        if others_hold(self.alive):
            raise self.error(
                f"A {self.title} of {self.servers} runs that neither answers nor ends. Its log is {self.log}."
            )

    def _start(self, account: Account | None) -> str | None:
        """Start it and wait for its answer. None: it runs. Otherwise what it said before it gave up."""
        logged = self.log.stat().st_size if self.log.exists() else 0
        with Lock.shared(self.alive) as alive:  # ours ends with the block, the server's lasts as long as it lives
            self.launch(account, alive)
        give_up_at = time.monotonic() + START_SECONDS
        while self.look() is not Look.READY:
            if not others_hold(self.alive):
                return self._said_since(logged)
            if time.monotonic() > give_up_at:
                raise self.error(f"{self.title} did not come up in {START_SECONDS:.0f} s. Its log is {self.log}.")
            time.sleep(POLL_SECONDS)
        return None

    def _said_since(self, position: int) -> str:
        with self.log.open("rb") as log:
            log.seek(position if position <= self.log.stat().st_size else 0)
            return log.read().decode(errors="replace")

    def _failed(self, said: str) -> Unreachable:
        if NO_ROOM in said:
            return disk_full(self.servers.parent)
        why = processes.last_words(said) or f"it said nothing; its log is {self.log}"
        return self.error(f"{self.title} does not start in {self.servers}: {why}")


def new_password() -> str:
    """32 random bytes; safe in a URL and in a configuration file as it is."""
    return secrets.token_hex(32)
