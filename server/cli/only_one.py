"""One `clarion up` for each data folder: the second would run the same broadcasts beside the first, unseen.

The hold is a lock on a file, kept by the kernel: whatever ends the first, SIGKILL too, lets the next one in.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from server.domain.errors import Unreachable
from server.embedded.folder import in_plain_words
from server.embedded.locks import Lock, others_hold

LOCK_FILE: Final = "up.lock"
# A command that looks whether there is one holds the file for a moment itself.
LOOK_SECONDS: Final = 0.5


class AlreadyRunning(Unreachable):
    """Another `clarion up` has this data folder."""

    def __init__(self, data_dir: Path, address: str) -> None:
        where = f" at {address}" if address else ""
        super().__init__(
            f"Clarion is already running{where}, in the data folder {data_dir}. "
            "End it first, or set CLARION_DATA_DIR to another folder for another one."
        )


class Running(NamedTuple):
    """The `clarion up` of a data folder. address: of its web process. graph_api_url: where its workers send to."""

    address: str
    graph_api_url: str


def running_in(data_dir: Path) -> Running | None:
    """The `clarion up` that has a data folder, once it has said where it is; None: there is none."""
    path = data_dir / LOCK_FILE
    with in_plain_words(data_dir):
        if not path.exists() or not others_hold(path):
            return None
        address, _, graph_api_url = path.read_text().partition("\n")
    return Running(address, graph_api_url) if graph_api_url else None


@contextmanager
def only_one(data_dir: Path) -> Iterator[Callable[[Running], None]]:
    """Be the only `clarion up` of a data folder. Gives a function to say where it is to those who come later.

    Raises `AlreadyRunning`, or `DatabaseAway` where the folder cannot be used.
    """
    path = data_dir / LOCK_FILE
    with in_plain_words(data_dir):
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = Lock.exclusive(path, seconds=LOOK_SECONDS)
        if lock is None:
            raise AlreadyRunning(data_dir, path.read_text().partition("\n")[0])
    with lock:

        def write_down(running: Running) -> None:
            with in_plain_words(data_dir):
                os.ftruncate(lock.fd, 0)
                os.pwrite(lock.fd, "\n".join(running).encode(), 0)

        write_down(Running("", ""))  # not that of the one before
        yield write_down
