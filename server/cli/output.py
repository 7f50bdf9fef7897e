"""How the command line speaks: errors and progress on stderr, answers on stdout, JSON for scripts."""

import sys
import traceback
from collections.abc import Iterable, Sequence
from enum import IntEnum
from typing import Any

from rich.console import Console
from rich.table import Table

from server.config import settings
from server.domain.errors import BadInput, ClarionError, Denied, NotFound, NotNow, Unreachable

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
            if problem.detail != str(error):
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

    print(json.dumps(answer, ensure_ascii=False, default=str), flush=True)


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
        table.add_column(title, justify="right" if right else "left", no_wrap=column in {"id", "status", "created_at"})
    for item in items:
        table.add_row(*(_cell(item.get(column)) for column in columns))
    stdout.print(table)


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, int) and value > 9_999:
        return f"{value:,}"
    text = str(value)
    # An instant to the minute; --json has the rest.
    return f"{text[:10]} {text[11:16]}" if len(text) > 19 and text[10:11] == "T" and text.endswith("Z") else text


def is_terminal() -> bool:
    """Whether a person can be asked."""
    return sys.stdin.isatty() and sys.stderr.isatty()
