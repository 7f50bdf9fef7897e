"""Whatever is typed after a command: a line or two that say what is wrong, never a traceback."""

import os
import random
import re
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from typer.main import get_command

from server.cli.main import app
from tests.support.clarion import Clarion

# What people, scripts and spreadsheets put where a name, a number or a file should be.
WORDS = (
    "", " ", "-", "--", "--json", "-1", "0", "1.5", "1e9", "9" * 400, "0x10", "NaN", "true", "null", "٣", "²", "\uff11",
    "a=b", "=", "1=", "=1", "{{", "{{x}}", "}}{{", "%s", "%n%n", "$(id)",
    "`id`", "'; DROP TABLE businesses; --", '"', "\\",
    "../../etc/passwd", "/dev/null", "/", ".", "*", "http://[", "a\nb", "a\tb", "\x1b[31m", "\u202eabc", "דנה",
    "💥" * 50,
    "e\u0301", "\ud800".encode("utf-8", "surrogatepass"), b"\xff\xfe", b"caf\xe9", "x" * 20_000,
)  # fmt: skip
NOT_PLAIN = re.compile("Traceback|an error of its own")
# These go on until they are stopped, or for long, or look at the machine: something stray stops them before they begin.
THAT_GO_ON = {"up", "web", "worker", "steward", "simulator", "drill", "bench", "doctor"}


def commands(group: Any, *names: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command with its name, groups walked through."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, *names, name)
        else:
            yield (*names, name), command


COMMANDS = dict(commands(get_command(app)))


def some_words(command: Any, dice: random.Random) -> list[str | bytes]:
    """Something for each of its arguments, and for most of its options."""
    words: list[str | bytes] = []
    for parameter in command.params:
        if parameter.param_type_name == "argument":
            words.append(dice.choice(WORDS))
        elif parameter.name != "help" and dice.random() < 0.8:
            words.append(parameter.opts[0])
            words += [] if parameter.is_flag else [dice.choice(WORDS)]
    return words


@pytest.mark.parametrize("name", COMMANDS, ids=" ".join)
def test_any_words_at_all_are_answered_in_plain_words(clarion: Clarion, name: tuple[str, ...]) -> None:
    seed = random.SystemRandom().randrange(1_000_000)
    dice = random.Random(seed)
    words = some_words(COMMANDS[name], dice)
    words += ["stray"] if name[-1] in THAT_GO_ON or not words else []
    done = clarion.run(*name, *map(os.fsdecode, words))
    assert done.code in {0, 2}, (seed, words, done)
    assert not NOT_PLAIN.search(done.stderr), (seed, words, done)


@pytest.mark.parametrize(
    "words",
    [
        ("api-key", "revoke", "9" * 30, "--business", "Acme"),
        ("broadcasts", "rate", "1", "9" * 30),
        ("broadcasts", "show", "9" * 30),
        ("send", "x.csv", "--business", "Acme", "--template", "t", "--language", "en", "--channel", "9" * 30),
        ("send", "x.csv", "--business", "Acme", "--template", "t", "--language", "en", "--rate", "9" * 30),
        ("init", "--business", b"caf\xe9", "--email", "a@b"),
        ("api-key", "create", "--business", "Acme", "--name", b"\xff"),
        ("send", b"caf\xe9.csv", "--business", "Acme", "--template", "t", "--language", "en"),
        ("verify", "--receipt", "nosuch"),
        ("verify", "--receipt", "."),
    ],
)
def test_what_no_database_or_disk_can_hold_is_bad_input(clarion: Clarion, words: tuple[str | bytes, ...]) -> None:
    done = answered(clarion, *words)
    assert (done.returncode, done.stdout) == (2, b""), done


def answered(clarion: Clarion, *words: str | bytes) -> "subprocess.CompletedProcess[bytes]":
    """Run a command with an interpreter of its own, which reads what it is given as bytes."""
    done = subprocess.run(
        [clarion.command, *words],
        env=clarion.environment,
        cwd=clarion.folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert not NOT_PLAIN.search(done.stderr.decode()), (words, done)
    return done
