"""A data folder for each test, and processes that use it; whatever a test leaves running is ended after it."""

import json
import os
import pwd
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol, TypeVar

import psutil
import pytest

from server.embedded import Addresses
from tests.support.engine import until

REPOSITORY = Path(__file__).parents[2]
Answer = TypeVar("Answer")


class User:
    """A process with the servers in use (see user.py)."""

    def __init__(self, data_dir: Path, *arguments: str, through: Sequence[str] = ()) -> None:
        self.process = subprocess.Popen(
            [*through, sys.executable, "-m", "tests.embedded.user", str(data_dir), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=REPOSITORY,
            start_new_session=True,
        )

    def addresses(self) -> Addresses:
        """Where it found the servers; waits for them."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            pytest.fail(f"no servers: {self.complaint()}")
        return Addresses(*json.loads(line))

    def complaint(self) -> str:
        """What it says on stderr when it has ended."""
        return self.process.communicate()[1].strip()

    def leave(self) -> None:
        """Let it end in the ordinary way, and wait until it has."""
        _, complaint = self.process.communicate()
        assert (self.process.returncode, complaint) == (0, "")

    def interrupt(self) -> None:
        """Ctrl-C in its terminal: to it and to all that is in its process group."""
        os.killpg(self.process.pid, signal.SIGINT)
        self.process.wait()

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.process.wait()


def through_or_skip(*command: str) -> list[str]:
    """A command to run another through; skips where this machine has none such, or does not allow it."""
    try:
        subprocess.run([*command, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip(f"{command[0]} is not to be had here")
    return list(command)


def without_access() -> list[str]:
    """As root, but without the power to pass by permissions."""
    return through_or_skip("setpriv", "--bounding-set=-dac_override", "--inh-caps=-dac_override")


def as_nobody() -> list[str]:
    """As another user, who may read and enter everything (the virtualenv may be root's alone), but write nothing."""
    power = "+dac_read_search"
    become = ("--reuid=nobody", f"--regid={pwd.getpwnam('nobody').pw_gid}", "--clear-groups")
    return through_or_skip("setpriv", *become, f"--inh-caps={power}", f"--ambient-caps={power}")


class StartUser(Protocol):
    def __call__(self, data_dir: Path, *arguments: str, through: Sequence[str] = ()) -> User: ...


def server_processes(data_dir: Path) -> list[psutil.Process]:
    """Every process of PostgreSQL and Valkey that works inside a data folder."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.cwd().startswith(f"{data_dir}/") and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


def of_each_server(data_dir: Path, question: Callable[[psutil.Process], Answer]) -> list[Answer]:
    """What each server process answers. PostgreSQL's helpers come and go: one that has gone meanwhile is left out."""
    answers = []
    for process in server_processes(data_dir):
        with suppress(psutil.NoSuchProcess, FileNotFoundError, ProcessLookupError):
            answers.append(question(process))
    return answers


def kill_servers(data_dir: Path) -> None:
    """SIGKILL to every server process at once."""
    for process in server_processes(data_dir):
        with suppress(psutil.NoSuchProcess):
            process.kill()


def assert_nothing_runs(data_dir: Path) -> None:
    """No server of the folder runs. One that has just let go of its locks may take a moment to be gone."""
    until(lambda: not server_processes(data_dir), seconds=10, what="servers that should have been stopped")


@pytest.fixture(scope="session")
def short_folder() -> Iterator[Path]:
    """Deleted at the end of the session: a file system that has just deleted a cluster makes the next one slowly."""
    with tempfile.TemporaryDirectory(prefix="clarion-") as folder:
        Path(folder).chmod(0o711)
        yield Path(folder).resolve()


@pytest.fixture
def data_dir(short_folder: Path) -> Iterator[Path]:
    """A data folder with a path that is short enough for sockets, in a folder that only we may enter."""
    folder = Path(tempfile.mkdtemp(dir=short_folder)) / "data"
    yield folder
    kill_servers(folder)


@pytest.fixture
def deep_data_dir(data_dir: Path) -> Path:
    """A data folder whose path is too long for sockets."""
    return data_dir / ("deep-" * 20) / "data"


@pytest.fixture
def start_user() -> Iterator[StartUser]:
    """Starts processes that use the servers."""
    started: list[User] = []

    def start(data_dir: Path, *arguments: str, through: Sequence[str] = ()) -> User:
        started.append(User(data_dir, *arguments, through=through))
        return started[-1]

    yield start
    for user in started:
        if user.process.poll() is None:
            user.kill()
        user.process.communicate()
