"""Everything on one machine: it starts, it ends, and it goes on where it was."""

import json
import signal
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest

from server.drill.victims import kill
from server.embedded.ports import a_free_port
from tests.support.clarion import Clarion
from tests.support.engine import until

PEOPLE = 10_000


class Up:
    """One `clarion up --demo`, what it printed, and everything below it."""

    def __init__(self, clarion: Clarion, port: int) -> None:
        self.clarion = clarion
        self.log = clarion.folder / "up.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [clarion.command, "up", "--demo", "--port", str(port)],
                env=clarion.environment,
                cwd=clarion.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    @property
    def said(self) -> str:
        """What it printed so far."""
        return self.log.read_text()

    def line(self, start: str) -> str:
        """The rest of the line that starts so, once it is there."""
        lines = until(lambda: [line for line in self.said.splitlines() if line.startswith(start)], what=start)
        return lines[0].removeprefix(start).strip()

    def until_sent(self, more_than: int) -> dict[str, Any]:
        """Wait until the demo's broadcast has gone to more than so many."""
        self.line("Ctrl-C stops")
        with psycopg.connect(self.clarion.database_url, autocommit=True) as connection:
            return until(lambda: _newest(connection, more_than), what=f"more than {more_than} sent")

    def parts(self) -> list[psutil.Process]:
        """Its processes, itself first."""
        top = psutil.Process(self.process.pid)
        return [top, *top.children(recursive=True)]

    def end(self, number: signal.Signals) -> int:
        """Send it a signal, and wait until it and all its parts are gone. Returns its exit code."""
        servers = {"postgres", "valkey-server"}
        parts = [part for part in self.parts()[1:] if part.name() not in servers]
        self.process.send_signal(number)
        try:
            code = self.process.wait(timeout=30)
            _, alive = psutil.wait_procs(parts, timeout=20)
            assert not alive
        finally:  # a demo that does not end would go on beside all tests that follow
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()
            kill(parts)
        return code


def _newest(connection: "psycopg.Connection[Any]", more_than: int) -> dict[str, Any]:
    row = connection.execute(
        "SELECT id, sent_count, unknown_count FROM whatsapp_broadcasts WHERE sent_count > %s ORDER BY id DESC LIMIT 1",
        (more_than,),
    ).fetchone()
    return {} if row is None else {"id": row[0], "sent_count": row[1], "unknown_count": row[2]}


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Clarion]:
    """A data folder that nobody has set up; its servers are kept running to look at the rows."""
    with Clarion(tmp_path) as made:
        yield made


def _accepted(folder: Clarion) -> list[str]:
    """Who got a message, by the simulator's own ledger."""
    lines = (folder.folder / "data" / "simulator" / "ledger.jsonl").read_text().splitlines()
    return [entry["to"] for entry in map(json.loads, lines) if "to" in entry]


def test_the_demo_goes_on_where_it_was_however_it_ended(folder: Clarion) -> None:
    port, sent_count = a_free_port(), 0
    keys = set()
    for number, code in ((signal.SIGINT, 0), (signal.SIGKILL, -9), (signal.SIGTERM, 143)):
        up = Up(folder, port)
        keys.add(up.line("API key: "))
        seen = up.until_sent(sent_count + 20)
        assert seen["id"] == 1
        assert up.end(number) == code
        sent_count = seen["sent_count"]
    (shown,) = folder.broadcasts()
    assert shown["total_recipients"] == PEOPLE
    assert len(keys) == 1  # the demo's key stays what it was
    accepted = _accepted(folder)
    assert len(accepted) == len(set(accepted)), "somebody got it twice"
    # The killed one may have sent what it could not write down any more; whoever that concerns is unknown, not lost.
    assert shown["sent_count"] <= len(accepted) <= shown["sent_count"] + shown["unknown_count"] + shown["failed_count"]
    assert folder.run("verify").code == 0


def test_ctrl_c_while_it_starts_says_so_in_a_word(folder: Clarion) -> None:
    up = Up(folder, a_free_port())
    up.line("Data folder: ")
    assert up.end(signal.SIGINT) == 130
    assert up.said.splitlines()[-1] == "Stopped."


def test_ctrl_c_amid_the_sending_leaves_nobody_in_doubt(folder: Clarion) -> None:
    up = Up(folder, a_free_port())
    up.until_sent(100)
    assert up.end(signal.SIGINT) == 0
    (shown,) = folder.broadcasts()
    assert (shown["status"], shown["unknown_count"]) == ("queued", 0)
    assert shown["sent_count"] == len(_accepted(folder))


def test_the_api_answers_with_the_key_that_is_shown(folder: Clarion) -> None:
    port = a_free_port()
    up = Up(folder, port)
    try:
        key = up.line("API key: ")
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/api/whatsapp/broadcasts", headers={"Authorization": f"Bearer {key}"}
        )
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - our own address
            (item,) = json.load(answer)["items"]
        assert (item["name"], item["total_recipients"]) == ("Spring order updates", PEOPLE)
    finally:
        up.end(signal.SIGINT)


def test_a_part_that_dies_is_started_again(folder: Clarion) -> None:
    up = Up(folder, a_free_port())
    try:
        up.until_sent(0)
        workers = [part for part in up.parts()[1:] if "worker" in part.cmdline()]
        assert workers
        for worker in workers:
            if worker.is_running():
                worker.kill()
        up.line("worker-1 ended with code -9; it is started again")
        sent_count = up.until_sent(0)["sent_count"]
        up.until_sent(sent_count + 20)
    finally:
        up.end(signal.SIGINT)


def test_a_second_one_in_a_data_folder_says_where_the_first_is(folder: Clarion) -> None:
    port = a_free_port()
    first = Up(folder, port)
    try:
        first.line("Ctrl-C stops")
        assert first.line("Data folder: ") == f"{folder.folder / 'data'}."
        for arguments in ((), ("--demo", "--port", str(a_free_port()))):
            second = folder.run("up", *arguments)
            assert second.code == 1
            assert f"already running at http://127.0.0.1:{port}, in the data folder {folder.folder / 'data'}." in (
                second.stderr
            )
            assert second.stderr.count("\n") == 1
        assert len(folder.broadcasts()) == 1
    finally:
        first.process.kill()
        first.process.wait()
    again = Up(folder, port)  # a killed one keeps nobody out
    again.line("Ctrl-C stops")
    again.end(signal.SIGINT)


def test_a_command_beside_it_goes_where_its_workers_send(folder: Clarion) -> None:
    up = Up(folder, a_free_port())
    try:
        up.line("Ctrl-C stops")
        simulator = up.line("WhatsApp is played by the simulator at ").removesuffix(".")
        assert folder.run("templates", "sync", "--business", "Demo").code == 0  # asks the demo's simulator
        elsewhere = "http://127.0.0.1:9"
        refused = folder.run("templates", "sync", "--business", "Demo", CLARION_GRAPH_API_URL=elsewhere)
        assert (refused.code, refused.stdout) == (2, "")
        assert f"is {elsewhere} here" in refused.stderr
        assert f"sends to {simulator}." in refused.stderr
    finally:
        up.end(signal.SIGINT)


def test_the_simulators_books_are_where_it_says(folder: Clarion) -> None:
    up = Up(folder, a_free_port())
    try:
        sent_count = up.until_sent(0)["sent_count"]
        url = up.line("Who got how many, by its own books: curl ")
        with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - our own address
            summary = json.load(answer)
        assert summary["accepted"] >= sent_count
        assert summary["most_to_one_person"] == 1
    finally:
        up.end(signal.SIGINT)


@pytest.mark.parametrize("part", ["web", "simulator"])
def test_a_part_whose_port_is_taken_says_so_in_one_line(folder: Clarion, part: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = folder.run(part, "--port", str(port))
    assert (done.code, done.stdout) == (1, "")
    first, *more = done.stderr.lower().splitlines()
    assert first == f"error: cannot listen on 127.0.0.1 port {port}: address already in use."
    hint = "a simulator may be running there: `clarion up --demo` has one. --port n takes another port."
    assert more == ([hint] if part == "simulator" else [])


def test_a_port_that_is_taken_is_said_in_one_line(folder: Clarion) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        done = folder.run("up", "--port", str(port))
    assert done.code == 1
    assert f"Port {port} of 127.0.0.1 is taken" in done.stderr
    assert done.stderr.count("\n") == 1
