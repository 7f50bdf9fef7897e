"""The processes of the servers: as whom they run, how they are started, found and ended."""

import os
import pwd
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from server.domain.errors import DatabaseAway
from server.embedded.locks import POLL_SECONDS, Lock, open_private, others_hold

if TYPE_CHECKING:
    import psutil

UNPRIVILEGED: Final = "nobody"
NOT_AS_ROOT: Final = "PostgreSQL does not run as root"
INSTEAD: Final = "Run Clarion as another user, or set DATABASE_URL and REDIS_URL to servers of your own."
# linux/capability.h: what root needs to own, start, reach and end the processes and files of somebody else.
CAPABILITIES: Final = {"CAP_CHOWN": 0, "CAP_DAC_OVERRIDE": 1, "CAP_KILL": 5, "CAP_SETGID": 6, "CAP_SETUID": 7}
LOG_BYTES: Final = 10_000_000
STILL_STARTING: Final = "the database system is"  # starting up, shutting down: the answer to our own looks
LAUNCHER: Final = Path(__file__).with_name("launcher.py")


class Account(NamedTuple):
    """Another user to run the servers as."""

    name: str
    uid: int
    gid: int
    keeps_access: bool  # CAP_DAC_OVERRIDE goes along, so no folder need be opened to the user


class ProgramFailed(Exception):
    """A program ended with an error; the message is what it said last."""


def account_for(folder: Path, cluster: Path) -> Account | None:
    """As whom the servers of a folder run: None, for "as we are", unless we are root.

    Root hands over to the cluster's owner, else to the folder's owner, else to `nobody`: so that `sudo clarion` in
    a user's own data folder leaves nothing there that the user could not open afterwards.
    """
    if os.geteuid() != 0:
        return None
    keeps_access = sys.platform == "linux"
    if keeps_access:
        _insist_on_capabilities()
    for place in (cluster, folder):
        if not place.exists() or (owner := place.stat()).st_uid == 0:
            continue
        try:
            name = pwd.getpwuid(owner.st_uid).pw_name
        except KeyError:
            continue  # initdb insists on a user with a name
        return Account(name, owner.st_uid, owner.st_gid, keeps_access)
    try:
        nobody = pwd.getpwnam(UNPRIVILEGED)
    except KeyError as error:
        raise DatabaseAway(f"{NOT_AS_ROOT}, and there is no user {UNPRIVILEGED} to run it as. {INSTEAD}") from error
    return Account(UNPRIVILEGED, nobody.pw_uid, nobody.pw_gid, keeps_access)


def _insist_on_capabilities() -> None:
    """Say it plainly where a container has taken from root what it takes to run a server as somebody else."""
    status = Path("/proc/self/status").read_text()
    permitted = int(status.split("CapPrm:")[1].split()[0], 16)
    missing = [name for name, bit in CAPABILITIES.items() if not permitted >> bit & 1]
    if missing:
        raise DatabaseAway(f"{NOT_AS_ROOT}, and without {', '.join(missing)} nobody else can run it here. {INSTEAD}")


def open_the_way(account: Account | None, places: Iterable[Path]) -> None:
    """Let the account pass through the folders above these places, where it cannot take root's access along (macOS).

    Only passing (x) is granted, never reading.
    """
    if account is None or account.keeps_access:
        return
    for folder in {parent for place in places for parent in place.parents}:
        mode = stat.S_IMODE(folder.stat().st_mode)
        if mode & stat.S_IXOTH:
            continue
        try:
            folder.chmod(mode | stat.S_IXOTH)
        except OSError as error:
            raise DatabaseAway(
                f"{NOT_AS_ROOT}, and the user {account.name} cannot pass through {folder}. {INSTEAD}"
            ) from error


def run(command: Sequence[str | Path], account: Account | None, *, stdin: str = "") -> None:
    """Run a program to its end, out of reach of the terminal's Ctrl-C. An interruption ends it and its children."""
    process = subprocess.Popen(  # noqa: S603 - the command is built by our own code
        _arguments("stay", account, command),
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        cwd="/",
        env=_environment(),
        start_new_session=True,
    )
    with process:
        try:
            _, said = process.communicate(stdin)
        except BaseException:
            with suppress(ProcessLookupError):  # it had just ended by itself
                os.killpg(process.pid, signal.SIGKILL)
            raise
    if process.returncode != 0:
        raise ProgramFailed(last_words(said) or f"{Path(command[0]).name} ended with {process.returncode}")


def launch(command: Sequence[str | Path], account: Account | None, *, log: Path, alive: Lock, stdin: str = "") -> None:
    """Start a server and leave it to itself. It carries the lock `alive` from now on; the caller closes its own."""
    if log.exists() and log.stat().st_size > LOG_BYTES:
        log.replace(log.with_name(log.name + ".1"))
    with os.fdopen(open_private(log, os.O_WRONLY | os.O_APPEND), "w") as output:
        subprocess.run(  # noqa: S603 - as above
            _arguments("detach", account, command),
            input=stdin.encode(),
            stdout=output,
            stderr=output,
            cwd="/",
            env=_environment(),
            pass_fds=(alive.fd,),
            start_new_session=True,
            check=False,
        )


def _arguments(mode: str, account: Account | None, command: Sequence[str | Path]) -> list[str]:
    become = ["-", "-", "drop"]
    if account is not None:
        become = [str(account.uid), str(account.gid), "keep" if account.keeps_access else "drop"]
    return [sys.executable, "-I", "-S", str(LAUNCHER), mode, *become, *map(str, command)]


def _environment() -> dict[str, str]:
    """What a server is told: nothing of ours (keys, PG* variables), but where an unusual Python finds its libraries."""
    own = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}
    return own | {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ}


def find(program: str, folder: Path) -> "list[psutil.Process]":
    """The living processes of a server, told by the folder they work in: both servers change into theirs.

    A pid in a file proves nothing; this does, also after a SIGKILL and for orphans. Costs a look at every process.
    """
    import psutil  # noqa: PLC0415 - only ending a server needs it

    found = []
    for process in psutil.process_iter(["name"]):
        try:
            if process.info["name"] == program and process.cwd().removesuffix(" (deleted)") == str(folder):
                found.append(process)
        except (psutil.Error, OSError):
            continue  # gone meanwhile, a zombie, or somebody else's
    return found


def end(program: str, folder: Path, alive: Path, main_pid: int | None, steps: Sequence[tuple[int, float]]) -> bool:
    """End a server, ever less politely, until nobody carries its `alive` file. False: somebody still does.

    steps: (signal, seconds to wait), the last one SIGKILL. The polite ones go to main_pid only, and only if it
    really is a process of this server; without it they are left out.
    """
    for number, seconds in steps:
        processes = find(program, folder)
        if number != signal.SIGKILL:
            processes = [process for process in processes if process.pid == main_pid]
        for process in processes:
            _send(process, number)
        if processes and _let_go(alive, seconds):
            return True
    return _let_go(alive, 0)


def _send(process: "psutil.Process", number: int) -> None:
    import psutil  # noqa: PLC0415 - as above

    with suppress(psutil.Error):  # gone meanwhile
        process.send_signal(number)


def _let_go(alive: Path, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    try:
        while others_hold(alive):
            if time.monotonic() >= deadline:
                return False
            time.sleep(POLL_SECONDS)
    except FileNotFoundError:
        pass  # the folder was deleted under the server: nobody can ask any more
    return True


def last_words(log: str, lines: int = 3) -> str:
    """What went wrong, by a server's own words: its last complaints, else its last lines."""
    said = [line.strip() for line in log.splitlines() if line.strip() and STILL_STARTING not in line]
    complaints = [line for line in said if any(word in line for word in ("FATAL", "PANIC", "rror", "annot"))]
    return " / ".join((complaints or said)[-lines:])
