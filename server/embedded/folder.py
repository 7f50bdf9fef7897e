"""The folder that both servers live in, and plain words for what can be wrong with it.

    DATA_DIR/servers/                made by us, entered by its owner only
        *.lock  *.alive              see locks.py
        run/                         the sockets
        postgres/  postgres.log      the cluster
        valkey/    valkey.log        nothing worth keeping

Nothing outside `servers` is written.
"""

import errno
import os
import pwd
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from server.domain.errors import DatabaseAway, StorageFull
from server.embedded.locks import open_private

NO_ROOM: Final = "No space left on device"

# sun_path holds 104 bytes on macOS and 108 on Linux, with the closing zero.
SOCKET_PATH_BYTES: Final = 103


def servers_folder(data_dir: Path) -> Path:
    """Where the servers of a data folder live. One folder, one answer, by whichever way it was named."""
    return data_dir.expanduser().resolve() / "servers"


def prepare(data_dir: Path) -> Path:
    """Make `servers` and `run` where they are missing. Raises OSError, for `in_plain_words` to turn."""
    folder = servers_folder(data_dir)
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    make_private(folder)
    return folder


def make_private(folder: Path, owner: tuple[int, int] | None = None) -> None:
    """Make a folder that only its owner enters. owner: (uid, gid); without one, whoever owns the folder around it."""
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        return
    if os.geteuid() == 0:
        around = folder.parent.stat()
        os.chown(folder, *(owner or (around.st_uid, around.st_gid)))


def write_private(path: Path, text: str) -> None:
    """Write a small file that only its owner reads; it appears whole or not at all."""
    half = path.with_name(path.name + ".new")
    with os.fdopen(open_private(half, os.O_WRONLY | os.O_TRUNC), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    half.replace(path)


def read_if_there(path: Path) -> str | None:
    """What a small file says, or None where there is none."""
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        return None


def fits_a_socket(path: Path) -> bool:
    """Whether a socket can have this path, and whether a URL can carry it to every client.

    libpq takes a comma for the start of another host; redis-py reads the path as UTF-8.
    """
    text = str(path)
    try:
        length = len(text.encode())
    except UnicodeEncodeError:
        return False
    return length <= SOCKET_PATH_BYTES and text.isprintable() and "," not in text


@contextmanager
def in_plain_words(data_dir: Path) -> Iterator[None]:
    """Turn what the operating system says about the data folder into one sentence that names it."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise disk_full(data_dir) from error
        place = Path(os.fsdecode(error.filename)) if error.filename else data_dir
        raise DatabaseAway(f"The data folder {data_dir} cannot be used: {_reason(error, place)}.") from error


def disk_full(data_dir: Path) -> StorageFull:
    """The sentence for a disk without room."""
    return StorageFull(f"The disk that holds the data folder {data_dir} is full. Make room and run the command again.")


def _reason(error: OSError, place: Path) -> str:
    match error.errno:
        case errno.EEXIST | errno.ENOTDIR:
            in_the_way = next((path for path in (place, *place.parents) if path.exists()), place)
            return f"{in_the_way} is a file"
        case errno.EACCES | errno.EPERM:
            return f"{_user_name()} may not write {place}"
        case errno.EROFS:
            return f"{place} is on a read-only file system"
        case _:
            return f"{place}: {error.strerror or error}"


def _user_name() -> str:
    try:
        return f"the user {pwd.getpwuid(os.geteuid()).pw_name}"
    except KeyError:
        return f"the user {os.geteuid()}"
