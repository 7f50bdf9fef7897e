"""`clarion …` in processes of their own, each forked from one that has all of Clarion imported.

A cold start costs most of a second, two for a web process, and the tests start thousands. What is tried of a start
itself, of signals and of terminals takes the installed command (`CLARION`).
"""

import io
import multiprocessing
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.reduction import DupFd
from pathlib import Path
from typing import IO, Any, Final

from server.cli.__main__ import main
from server.jobs import broadcast_job, steward_job, webhooks_job, worker  # noqa: F401 - what a command imports late

CLARION: Final = Path(sys.executable).with_name("clarion")
CONTEXT: Final = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["tests.support.web"])  # it imports this file too


class Forked:
    """One command in a process of its own. stdin, stdout, stderr: open files; the caller closes them."""

    def __init__(
        self, arguments: Sequence[str], environment: Mapping[str, str], folder: Path, *streams: IO[bytes]
    ) -> None:
        ends = [_End(stream.fileno()) for stream in streams]
        # A daemon: who ends pytest waits for none of them.
        self._process = CONTEXT.Process(
            target=_command, args=(list(arguments), dict(environment), folder, ends), daemon=True
        )
        self._process.start()

    @property
    def pid(self) -> int:
        """Its process."""
        assert self._process.pid is not None
        return self._process.pid

    def terminate(self) -> None:
        """Ask it to end as a supervisor does."""
        if self._is_alive():
            self._process.terminate()

    def kill(self) -> None:
        """SIGKILL."""
        if self._is_alive():
            self._process.kill()

    def _is_alive(self) -> bool:
        """Asked before each signal: the forkserver is told of an end at once, and its number may be another's then."""
        return self._process.is_alive()

    def wait(self, seconds: float | None = None) -> int:
        """Its exit code, once it has ended; minus the signal's number where one ended it. Raises TimeoutError."""
        self._process.join(seconds)
        code = self._process.exitcode
        if code is None:
            raise TimeoutError(f"it did not end in {seconds} s")
        return code


class Cold:
    """The same with an interpreter of its own, for what Python reads as it starts, such as `PYTHONPATH`."""

    def __init__(
        self, arguments: Sequence[str], environment: Mapping[str, str], folder: Path, *streams: IO[bytes]
    ) -> None:
        stdin, stdout, stderr = streams
        self._process = subprocess.Popen(
            [CLARION, *arguments], env=environment, cwd=folder, stdin=stdin, stdout=stdout, stderr=stderr
        )

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    def terminate(self) -> None:
        """Ask it to end as a supervisor does."""
        self._process.terminate()

    def wait(self, seconds: float | None = None) -> int:
        """Its exit code, once it has ended. Raises TimeoutError."""
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired as error:
            raise TimeoutError(str(error)) from error


class _End:
    """A file that a process takes along. The forkserver is given it with the order to fork."""

    def __init__(self, number: int) -> None:
        self._number = number

    def __reduce__(self) -> tuple[Callable[[Any], int], tuple[Any]]:
        return _take, (DupFd(self._number),)


def _take(given: Any) -> int:
    return int(given.detach())


def _command(arguments: list[str], environment: dict[str, str], folder: Path, ends: list[int]) -> None:
    """What the process does: its streams, environment, folder and words are those of one that was started cold.

    Its text is UTF-8 whatever the environment says, and others see the forkserver's words and environment in /proc.
    """
    for number, end in enumerate(ends):
        os.dup2(end, number)
    sys.stdin = io.TextIOWrapper(os.fdopen(0, "rb", closefd=False), encoding="utf-8")
    sys.stdout = io.TextIOWrapper(os.fdopen(1, "wb", closefd=False), encoding="utf-8")
    sys.stderr = io.TextIOWrapper(
        os.fdopen(2, "wb", closefd=False), encoding="utf-8", errors="backslashreplace", line_buffering=True
    )
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.argv = ["clarion", *arguments]
    main()
