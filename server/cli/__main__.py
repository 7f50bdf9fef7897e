"""The entry point: `clarion` and `python -m server.cli` are the same."""

import gc
from typing import Final

from server.cli.dropped import raise_what_is_dropped

# Imports make some hundred thousand objects, and no garbage among them. Looking for it as often as Python 3.11 does by
# itself (every 700 objects) takes a fifth of a short command, and of the start of every part. A part's own garbage
# waits as long, which costs some megabytes.
OBJECTS_BETWEEN_LOOKS: Final = 50_000


def main() -> None:
    """Run a command, and end with its exit code."""
    gc.set_threshold(OBJECTS_BETWEEN_LOOKS)
    raise_what_is_dropped()
    from server.cli.main import main as run

    run()


if __name__ == "__main__":
    main()
