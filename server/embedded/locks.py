"""Locks on files, kept by the kernel: whatever ends a process, SIGKILL too, ends its hold.

Four files beside the servers:

    changes.lock     exclusive, while somebody decides on starting or stopping
    users.lock       shared, by every process that uses the servers; last one out stops them
    postgres.alive   shared, carried by PostgreSQL itself and by every process that it forks
    valkey.alive     the same for Valkey

The two `alive` files are why no pid is ever believed: a server lives as long as somebody holds its file, which a
zombie or a stranger with a reused pid does not, and an orphan that outlived its postmaster does.

flock(2) belongs to the open file, which a fork shares. So a forked child keeps its parent's hold, and asking
"am I the only one?" takes a second opening of the file (see `others_hold`).
"""

import fcntl
import os
import time
from pathlib import Path
from typing import Final, Self

POLL_SECONDS: Final = 0.01


class Lock:
    """A hold on a file. Ends with `close()`, or with the last process that carries the open file."""

    def __init__(self, fd: int) -> None:
        self.fd = fd

    @classmethod
    def shared(cls, path: Path) -> Self:
        """Hold together with others; waits while somebody holds exclusively."""
        fd = open_private(path)
        fcntl.flock(fd, fcntl.LOCK_SH)
        return cls(fd)

    @classmethod
    def try_exclusive(cls, path: Path) -> Self | None:
        """Hold alone, or None while anybody else holds."""
        fd = open_private(path)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            return None
        except BaseException:
            os.close(fd)
            raise
        return cls(fd)

    @classmethod
    def exclusive(cls, path: Path, *, seconds: float) -> Self | None:
        """Hold alone, or None after so many seconds."""
        deadline = time.monotonic() + seconds
        while (lock := cls.try_exclusive(path)) is None:
            if time.monotonic() > deadline:
                return None
            time.sleep(POLL_SECONDS)
        return lock

    def close(self) -> None:
        """Let go. A forked child that shares the open file still holds."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def others_hold(path: Path) -> bool:
    """Whether anybody holds the file. Close your own hold first."""
    lock = Lock.try_exclusive(path)
    if lock is None:
        return True
    lock.close()
    return False


def open_private(path: Path, flags: int = os.O_RDWR) -> int:
    """Open a file of ours, made if need be, for its owner only. Run by root, it belongs to whoever owns the folder."""
    fd = os.open(path, flags | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        if os.geteuid() == 0:
            folder = path.parent.stat()
            os.fchown(fd, folder.st_uid, folder.st_gid)
    except BaseException:
        os.close(fd)
        raise
    return fd
