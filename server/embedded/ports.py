"""Free ports on 127.0.0.1 for servers that are started later, and started again."""

import random
import socket
from typing import Final

# Below the ports that systems lend to outgoing connections by default (Linux: from 32768): between the look and the
# start, or between two starts, no connection of anybody takes it.
_RANGE: Final = range(15_000, 30_000)
_TRIES: Final = 1_000


def a_free_port(wanted: int | None = None) -> int:
    """A port that nobody listens on at this moment: the wanted one, if it can be. Raises OSError where none is free."""
    chosen = random.sample(_RANGE, _TRIES)
    for port in [wanted, *chosen] if wanted else chosen:
        if _is_free(port):
            return port
    raise OSError("no free port on 127.0.0.1")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As servers do: what an ended server's connections leave behind for a minute is no hindrance.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
