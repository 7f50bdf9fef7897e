"""Whom a fault test kills: the parts of a running `clarion up`, and the servers below them."""

import os
import random
import signal
from pathlib import Path

import psutil

from tests.support.engine import Part


def kill(processes: list[psutil.Process]) -> int:
    """SIGKILL, and wait until they are gone. Returns how many there were."""
    killed = []
    for process in processes:
        try:
            os.kill(process.pid, signal.SIGKILL)
            killed.append(process)
        except ProcessLookupError:
            continue
    psutil.wait_procs(killed, timeout=5)
    return len(killed)


def part_of(top: Part, name: str) -> list[psutil.Process]:
    """The processes of one kind of part: web, worker, steward."""
    return [process for process in top.tree() if name in _command(process)]


def jobs_of(top: Part) -> list[psutil.Process]:
    """The forked jobs of the workers: what a worker's process has below it."""
    return [child for worker in part_of(top, "worker") for child in _children(worker)]


def servers_of(folder: Path, program: str) -> list[psutil.Process]:
    """The embedded PostgreSQL (with its backends) or Valkey of a data folder."""
    found = []
    for process in psutil.process_iter():
        command = _command(process)
        if program in " ".join(command) and any(str(folder) in part for part in command):
            found += [process, *_children(process)]
    return found


def everything(top: Part, folder: Path) -> list[psutil.Process]:
    """The plug."""
    return [*top.tree(), *servers_of(folder, "postgres"), *servers_of(folder, "valkey")]


def choose(dice: random.Random, top: Part, folder: Path) -> tuple[str, list[psutil.Process]]:
    """One victim by chance; jobs are where the danger is, so half of the kills are theirs."""
    name = dice.choices(
        ("job", "worker", "steward", "web", "postgres", "valkey", "everything"), weights=(12, 5, 2, 1, 3, 2, 3)
    )[0]
    match name:
        case "job":
            return name, jobs_of(top)
        case "postgres" | "valkey":
            return name, servers_of(folder, name)
        case "everything":
            return name, everything(top, folder)
        case _:
            return name, part_of(top, name)


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return list(process.children(recursive=True))
    except psutil.NoSuchProcess:
        return []


def _command(process: psutil.Process) -> list[str]:
    try:
        return list(process.cmdline())
    except psutil.Error:
        return []
