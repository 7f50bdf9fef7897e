"""How the command line speaks: errors and progress on stderr, answers on stdout, JSON for scripts."""

import sys
import traceback
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from enum import IntEnum
from typing import Any

from rich.console import Console
from rich.table import Table

from server.config import settings
from server.domain.errors import BadInput, ClarionError, Denied, NotFound, NotNow, Unreachable

# What the database can hold, and what the API takes.
HIGHEST_ID = 2**63 - 1
HIGHEST_RATE = 1_000_000

stderr = Console(stderr=True, highlight=False)
stdout = Console(highlight=False)


class Exit(IntEnum):
    """How a command ends. docs/cli.md explains each."""

    OK = 0
    ENVIRONMENT = 1
    BAD_INPUT = 2
    PARTIAL = 3
    FAILED = 4
    CANCELLED = 5
    INTERRUPTED = 130


_EXITS: dict[type[ClarionError], Exit] = {
    BadInput: Exit.BAD_INPUT,
    NotFound: Exit.BAD_INPUT,
    NotNow: Exit.BAD_INPUT,
    Denied: Exit.BAD_INPUT,
    Unreachable: Exit.ENVIRONMENT,
}


def say(text: str) -> None:
    """A plain line to whoever watches; not part of the answer."""
    stderr.print(text, markup=False, soft_wrap=True)


def explain(error: ClarionError) -> Exit:
    """Say in one or two plain lines what is wrong, and return how the command ends."""
    say(f"Error: {error}")
    if isinstance(error, BadInput):
        for problem in error.problems:
            if str(error) not in {problem.detail, f"{problem.pointer}: {problem.detail}"}:
                say(f"  {problem.pointer}: {problem.detail}" if problem.pointer else f"  {problem.detail}")
    return next(code for kind, code in _EXITS.items() if isinstance(error, kind))


def explain_unexpected(error: BaseException) -> Exit:
    """An error of our own: one line, and the trace in a file for whoever mends it."""
    name, trace = type(error).__name__, "".join(traceback.format_exception(error))
    try:
        path = settings().data_dir / "logs" / "error.log"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as log:
            log.write(trace + "\n")
    except (OSError, ClarionError):
        say(f"Error: Clarion met an error of its own, and could not write it down ({name}: {error}).")
    else:
        say(f"Error: Clarion met an error of its own ({name}). The details are in {path}.")
    return Exit.ENVIRONMENT


def answer_json(answer: Any) -> None:
    """The answer as JSON, on one line of stdout."""
    import json

    print(json.dumps(answer, ensure_ascii=False, default=_plain), flush=True)


def _plain(value: object) -> str:
    """What JSON has no type for. Instants are RFC 3339 in UTC, as the API has them."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return str(value)


_ONE_LINE = frozenset(("id", "status", "created_at", "phone"))


def answer_list(items: Sequence[dict[str, Any]], columns: Iterable[str], *, as_json: bool) -> None:
    """A list: a table for people, JSON for scripts.

    columns: the fields shown to people; `sent_count` is headed "sent", `created_at` "created".
    """
    if as_json:
        answer_json(list(items))
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        right = bool(items) and isinstance(items[0].get(column), int)
        title = column.removesuffix("_count").removesuffix("_at").replace("_", " ")
        table.add_column(title, justify="right" if right else "left", no_wrap=column in _ONE_LINE)
    for item in items:
        table.add_row(*(_cell(item.get(column)) for column in columns))
    stdout.print(table)


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, int) and value > 9_999:
        return f"{value:,}"
    text = _plain(value)
    return _to_the_minute(text) if len(text) > 19 and text[10:11] == "T" and text.endswith("Z") else text


def _to_the_minute(instant_text: str) -> str:
    """An instant for people; --json has the rest."""
    return f"{instant_text[:10]} {instant_text[11:16]}"


def instant(text: str) -> str:
    """An instant (RFC 3339, in UTC) as people write it, to the minute."""
    return f"{_to_the_minute(text)} UTC"


def counted(count: int, one: str, many: str | None = None) -> str:
    """So many of something: "1 row", "2 rows". many: where it is not `one` with an s."""
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"


def is_terminal() -> bool:
    """Whether a person can be asked."""
    return sys.stdin.isatty() and sys.stderr.isatty()
