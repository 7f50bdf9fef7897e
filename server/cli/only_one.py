"""One `clarion up` for each data folder: the second would run the same broadcasts beside the first, unseen.

The hold is a lock on a file, kept by the kernel: whatever ends the first, SIGKILL too, lets the next one in.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from server.domain.errors import Unreachable
from server.embedded.folder import in_plain_words
from server.embedded.locks import Lock

LOCK_FILE: Final = "up.lock"


class AlreadyRunning(Unreachable):
    """Another `clarion up` has this data folder."""

    def __init__(self, data_dir: Path, address: str) -> None:
        where = f" at {address}" if address else ""
        super().__init__(
            f"Clarion is already running{where}, in the data folder {data_dir}. "
            "End it first, or set CLARION_DATA_DIR to another folder for another one."
        )


@contextmanager
def only_one(data_dir: Path) -> Iterator[Callable[[str], None]]:
    """Be the only `clarion up` of a data folder. Gives a function to write down the address for those who come later.

    Raises `AlreadyRunning`, or `DatabaseAway` where the folder cannot be used.
    """
    path = data_dir / LOCK_FILE
    with in_plain_words(data_dir):
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = Lock.try_exclusive(path)
        if lock is None:
            raise AlreadyRunning(data_dir, path.read_text())
    with lock:

        def write_down(address: str) -> None:
            with in_plain_words(data_dir):
                os.ftruncate(lock.fd, 0)
                os.pwrite(lock.fd, address.encode(), 0)

        write_down("")  # that of the one before
        yield write_down
