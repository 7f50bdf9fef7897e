"""Commands as typed: `clarion …` in a data folder of its own, its servers kept running for the test's length."""

import json
import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any, Self

from server.embedded import EmbeddedServers
from tests.support.engine import QUICK
from tests.support.forks import CLARION, Forked
from tests.support.simulator import Simulator

ORDER = ("--template", "order_update", "--language", "en_US", "--var", "1=first_name", "--var", "2=order_id")
PEOPLE = "phone,first_name,order_id\n" + "".join(f"+97250{n:07d},Name {n},A-{n}\n" for n in range(1, 21))


@dataclass(frozen=True, slots=True)
class Completed:
    """How a command ended, and what it said."""

    code: int
    stdout: str
    stderr: str

    @property
    def json(self) -> dict[str, Any]:
        """The JSON object on the last line of stdout."""
        answer: dict[str, Any] = json.loads(self.stdout.splitlines()[-1])
        return answer


@contextmanager
def _piped(given: bytes) -> Iterator[IO[bytes]]:
    """The end of a pipe to read from, as a shell gives it: whoever reads it cannot go back in it."""
    there, here = os.pipe()

    def write() -> None:
        with suppress(BrokenPipeError), os.fdopen(here, "wb") as pipe:
            pipe.write(given)

    threading.Thread(target=write, daemon=True).start()
    with os.fdopen(there, "rb") as end:
        yield end


class Clarion:
    """A data folder and the commands run in it. patience_seconds: how long one of them may take."""

    command = str(CLARION)
    patience_seconds = 120.0

    def __init__(self, folder: Path, simulator: Simulator | None = None, **settings: str) -> None:
        self.folder = folder
        own = {name: value for name, value in os.environ.items() if not name.startswith(("CLARION_", "DATABASE_URL"))}
        self.environment = {**own, **QUICK, "CLARION_DATA_DIR": str(folder / "data"), **settings}
        if simulator is not None:
            self.environment["CLARION_GRAPH_API_URL"] = simulator.url
        self._servers = EmbeddedServers(folder / "data")

    def __enter__(self) -> Self:
        self.database_url = self._servers.__enter__().database_url or ""
        return self

    def __exit__(self, *error: object) -> None:
        self._servers.__exit__(*error)

    def run(self, *arguments: str, stdin: str | bytes = "", **settings: str) -> Completed:
        """Run a command to its end."""
        given = stdin.encode() if isinstance(stdin, str) else stdin
        with TemporaryFile() as stdout, TemporaryFile() as stderr:
            with _piped(given) as stdin_end:
                command = Forked(arguments, {**self.environment, **settings}, self.folder, stdin_end, stdout, stderr)
            try:
                code = command.wait(self.patience_seconds)
            finally:
                command.kill()
            stdout.seek(0)
            stderr.seek(0)
            return Completed(code, stdout.read().decode(), stderr.read().decode())

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        """Start a command and go on."""
        return subprocess.Popen(
            [CLARION, *arguments],
            env=self.environment,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def set_up(self, business: str = "Acme") -> str:
        """A business with a number and its templates. Returns its API key."""
        made = self.run("init", "--business", business, "--email", f"{business}@example.com", "--json")
        assert made.code == 0, made.stderr
        added = self.run(
            "channel", "add", "--business", business, "--phone-number-id", "106540352242922",
            "--waba-id", "102290129340398", "--token", "t", "--app-secret", "s", "--verify-token", "v", "--rate", "200",
        )  # fmt: skip
        assert added.code == 0, added.stderr
        synced = self.run("templates", "sync", "--business", business)
        assert synced.code == 0, synced.stderr
        return str(made.json["api_key"])

    def file(self, content: str | bytes, name: str = "people.csv") -> str:
        """A file in the folder; returns its name."""
        path = self.folder / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return name

    def send(self, file: str, *more: str, stdin: str | bytes = "", **settings: str) -> Completed:
        """`clarion send` with the order template, its answer as JSON."""
        return self.run("send", file, "--business", "Acme", *ORDER, "--json", *more, stdin=stdin, **settings)

    def broadcasts(self) -> list[dict[str, Any]]:
        """Every broadcast there is."""
        found: list[dict[str, Any]] = json.loads(self.run("broadcasts", "list", "--json").stdout)
        return found
