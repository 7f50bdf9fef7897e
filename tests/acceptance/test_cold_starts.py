"""Each group of commands in an interpreter of its own: what a command imports late is there.

Most other tests fork their commands from a process that has everything imported.
"""

import subprocess

import pytest

from tests.support.clarion import Clarion

OF_ACME = ("--business", "Acme")


@pytest.mark.parametrize(
    "arguments",
    [
        ("--version",),
        ("api-key", "list", *OF_ACME),
        ("broadcasts", "list"),
        ("business", "show", *OF_ACME),
        ("channel", "list", *OF_ACME),
        ("contacts", "list", *OF_ACME),
        ("database-url",),
        ("migrate",),
        ("rates", "list", *OF_ACME),
        ("receipt-key",),
        ("templates", "sync", *OF_ACME),
        ("verify",),
        ("webhooks", "list", *OF_ACME),
        ("worker", "--burst"),
    ],
    ids=" ".join,
)
def test_a_command_finds_all_that_it_imports(clarion: Clarion, arguments: tuple[str, ...]) -> None:
    done = subprocess.run(
        [clarion.command, *arguments],
        env=clarion.environment,
        cwd=clarion.folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
