"""One process that uses the embedded servers: prints their addresses as a line of JSON, leaves when stdin ends.

    python -m tests.embedded.user DATA_DIR [fork]

With `fork` it leaves at once, and a child made inside the block stays until stdin ends.
"""

import json
import os
import sys
from pathlib import Path

from server.domain.errors import ClarionError
from server.embedded import EmbeddedServers


def main(data_dir: Path, *, fork: bool) -> int:
    try:
        with EmbeddedServers(data_dir) as addresses:
            sys.stdout.write(json.dumps(addresses) + "\n")
            sys.stdout.flush()
            if not fork or os.fork() == 0:
                sys.stdin.read()
    except KeyboardInterrupt:
        return 130
    except ClarionError as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), fork="fork" in sys.argv[2:]))
