"""The entry point: `clarion` and `python -m server.cli` are the same."""

import gc
import sys
from typing import Final

from server.cli.dropped import raise_what_is_dropped

# Imports make some hundred thousand objects, and no garbage among them. Looking for it as often as Python 3.11 does by
# itself (every 700 objects) takes a fifth of a short command, and of the start of every part. A part's own garbage
# waits as long, which costs some megabytes.
OBJECTS_BETWEEN_LOOKS: Final = 50_000
INTERRUPTED: Final = 130  # as `server.cli.output.Exit` has it, which is not there yet where this is needed


def main() -> None:
    """Run a command, and end with its exit code."""
    gc.set_threshold(OBJECTS_BETWEEN_LOOKS)
    raise_what_is_dropped()
    try:
        from server.cli.main import main as run
    except KeyboardInterrupt:
        sys.stderr.write("Stopped.\n")
        sys.exit(INTERRUPTED)
    run()


if __name__ == "__main__":
    main()
