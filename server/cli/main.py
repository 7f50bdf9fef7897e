"""The entry point: every command, and what becomes of an error."""

import contextlib
import os
import sys
from importlib.metadata import version

import typer
from typer.exceptions import TyperException

from server.cli import (
    bench,
    broadcasts,
    business,
    checks,
    contacts,
    drill,
    parts,
    rates,
    send,
    setup,
    simulator,
    truth,
    up,
    webhooks,
)
from server.cli.output import Exit, explain, explain_unexpected, say
from server.domain.errors import ClarionError

app = typer.Typer(
    name="clarion",
    help="One WhatsApp message to many people, safely.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("send")(send.send)
app.command("up")(up.up)
for part in (parts.web, parts.worker, parts.steward):
    app.command()(part)
app.command(help=simulator.HELP)(simulator.simulator)
app.command()(setup.migrate)
app.command()(setup.init)
app.command("database-url")(setup.database_url)
app.add_typer(setup.api_key, name="api-key")
app.add_typer(setup.channel, name="channel")
app.add_typer(setup.templates, name="templates")
app.add_typer(broadcasts.group, name="broadcasts")
app.add_typer(contacts.group, name="contacts")
app.add_typer(business.group, name="business")
app.add_typer(rates.group, name="rates")
app.add_typer(webhooks.group, name="webhooks")
app.command()(checks.verify)
app.command("receipt-key")(truth.receipt_key)
app.command()(checks.doctor)
app.command()(bench.bench)
app.command("drill")(drill.drill)


@app.callback(invoke_without_command=True)
def options(
    show_version: bool = typer.Option(False, "--version", help="Print the version and stop.", is_eager=True),
) -> None:
    """One WhatsApp message to many people, safely."""
    if show_version:
        print(version("clarion"))
        raise typer.Exit


def main() -> None:
    """Run a command. Errors are one or two plain lines on stderr, never a traceback."""
    code = _run()
    with contextlib.suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
    # Everything is closed by now. Taking the interpreter apart would cost a quarter of a second more.
    os._exit(code)


def _run() -> int:
    try:
        code: int | None = app(standalone_mode=False)
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else Exit.ENVIRONMENT
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - the end of the process: nobody shall see a traceback
        return _explained(error)
    if code == Exit.INTERRUPTED:  # what typer makes of Ctrl-C
        say("Stopped.")
    return code or Exit.OK


def _explained(error: BaseException) -> Exit:
    """Say what happened, in a line or two, and how the command ends."""
    match error:
        case ClarionError():
            code = explain(error)
        case TyperException():
            message = error.format_message().replace(": Value error, ", ": ")
            say(message if message.startswith("Usage:") else f"Error: {message}")  # typed alone, a group shows its help
            code = Exit.BAD_INPUT
        case UnicodeEncodeError() if words := [word for word in sys.argv if not _is_text(word)]:
            # The name of a file may be any bytes; what goes to the database or to WhatsApp is text.
            say(f"Error: {words[0]!a} is not text in UTF-8.")
            code = Exit.BAD_INPUT
        case KeyboardInterrupt() | typer.Abort():
            say("Stopped.")
            code = Exit.INTERRUPTED
        case BrokenPipeError():
            code = Exit.ENVIRONMENT  # whoever read our output has gone
        case OSError():
            say(f"Error: {error.filename or ''} {error.strerror or error}".replace("  ", " "))
            code = Exit.ENVIRONMENT
        case _:
            code = explain_unexpected(error)
    return code


def _is_text(word: str) -> bool:
    """Whether a word of the command line is text; bytes that are not come as lone surrogates."""
    try:
        word.encode()
    except UnicodeEncodeError:
        return False
    return True
