"""Whom a drill kills: the parts of a running `clarion up`, and the servers below them.

Who is next follows from the dice alone, so the same seed is the same order; a victim is looked for when its turn comes.
"""

import os
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import Final, TypeVar

import psutil

from server.embedded.folder import servers_folder
from server.embedded.postgres import Postgres
from server.embedded.processes import find
from server.embedded.valkey import Valkey

T = TypeVar("T")

GONE_SECONDS: Final = 10.0


class Victim(StrEnum):
    """What a drill may kill."""

    JOB = "job"
    WORKER = "worker"
    STEWARD = "steward"
    WEB = "web"
    POSTGRESQL = "postgresql"
    VALKEY = "valkey"
    EVERYTHING = "everything"


# Jobs are where the danger is: nearly half of the kills are theirs.
WEIGHTS: Final[dict[Victim, int]] = {
    Victim.JOB: 12,
    Victim.WORKER: 5,
    Victim.STEWARD: 2,
    Victim.WEB: 1,
    Victim.POSTGRESQL: 3,
    Victim.VALKEY: 2,
    Victim.EVERYTHING: 3,
}


def choose(dice: random.Random) -> Victim:
    """The next victim, by chance."""
    return dice.choices(list(WEIGHTS), weights=list(WEIGHTS.values()))[0]


def processes_of(victim: Victim, top: int, data_dir: Path) -> list[psutil.Process]:
    """The processes of a victim that live at this moment, itself before what it started.

    top: the process of `clarion up`. data_dir: its data folder, which its embedded servers work in.
    """
    match victim:
        case Victim.JOB:
            return [child for worker in _parts(top, Victim.WORKER) for child in _below(worker)]
        case Victim.POSTGRESQL | Victim.VALKEY:
            return servers_of(victim, data_dir)
        case Victim.EVERYTHING:
            servers = servers_of(Victim.POSTGRESQL, data_dir) + servers_of(Victim.VALKEY, data_dir)
            return [*tree_of(top), *servers]
        case _:
            return _parts(top, victim)


def servers_of(victim: Victim, data_dir: Path) -> list[psutil.Process]:
    """The embedded PostgreSQL of a data folder with all its backends, or its Valkey."""
    servers = servers_folder(data_dir)
    server = Postgres(servers) if victim is Victim.POSTGRESQL else Valkey(servers)
    return find(server.program, server.folder)


def tree_of(top: int) -> list[psutil.Process]:
    """A process and everything below it, the youngest last; nothing where it is gone."""
    try:
        process = psutil.Process(top)
    except psutil.NoSuchProcess:
        return []
    return [process, *_below(process)]


def left_in(data_dir: Path) -> list[psutil.Process]:
    """Whoever still works for a data folder, orphans too: told by their environment, the servers by where they work."""
    servers = servers_of(Victim.POSTGRESQL, data_dir) + servers_of(Victim.VALKEY, data_dir)
    return [*_told_by_environment(data_dir), *servers]


def kill(processes: Sequence[psutil.Process]) -> int:
    """SIGKILL, and wait until they are gone. Returns how many there were."""
    killed = []
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()
            killed.append(process)
    psutil.wait_procs(killed, timeout=GONE_SECONDS)
    return len(killed)


def _parts(top: int, victim: Victim) -> list[psutil.Process]:
    return [process for process in tree_of(top) if victim in _quietly(process.cmdline)]


def _below(process: psutil.Process) -> list[psutil.Process]:
    return _quietly(lambda: process.children(recursive=True))


def _told_by_environment(data_dir: Path) -> Iterator[psutil.Process]:
    for process in psutil.process_iter():
        if process.pid != os.getpid() and _environment(process).get("CLARION_DATA_DIR") == str(data_dir):
            yield process


def _environment(process: psutil.Process) -> dict[str, str]:
    try:
        return dict(process.environ())
    except (psutil.Error, OSError):
        return {}  # gone meanwhile, or somebody else's


def _quietly(look: Callable[[], list[T]]) -> list[T]:
    try:
        return look()
    except psutil.Error:
        return []  # gone meanwhile
