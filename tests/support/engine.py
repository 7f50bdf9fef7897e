"""A whole engine for one test: a simulator, and RQ workers and stewards in processes of their own."""

import asyncio
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, Self, TypeVar

import psutil
import psycopg

from server.database import async_engine
from server.domain.receipts import differences
from server.domain.states import FINAL
from server.embedded.ports import a_free_port
from server.services import receipts
from tests.support.books import Books, assert_counters_equal_rows, read_books
from tests.support.builders import VAULT
from tests.support.forks import Cold, Forked
from tests.support.simulator import Simulator

T = TypeVar("T")

SECRET_KEY = "a key of the tests"
DEADLINE_SECONDS = 60.0
# A run opens its gate right after it has given its lease back; well before the gate would run out.
GATE_SECONDS = 1.0
LOOK_EVERY_SECONDS = 0.02

# Short enough for a test to wait for a dead runner, long enough for a busy machine to renew in time.
QUICK = {
    "CLARION_LEASE_SECONDS": "2",
    "CLARION_STEWARD_INTERVAL_SECONDS": "1",
    "CLARION_UNKNOWN_GRACE_SECONDS": "0",
}


def until(look: Callable[[], T], *, seconds: float = DEADLINE_SECONDS, what: str = "") -> T:
    """Look again and again until there is something to see; fails after so many seconds."""
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds:.0f} s in vain: {what or look}")
        pause.wait(LOOK_EVERY_SECONDS)


class Part:
    """One process of Clarion, with its forked children."""

    def __init__(self, process: Forked | Cold, log: Path) -> None:
        self.process = process
        self.log = log
        self._top = psutil.Process(process.pid)  # it knows when the number is another process's

    def until_started(self) -> None:
        """Wait until it has found its database and its queue."""
        until(lambda: "Data folder:" in self.log.read_text() or not self.tree(), what="the start of a part")
        assert "Data folder:" in self.log.read_text(), self.log.read_text()

    def tree(self) -> list[psutil.Process]:
        """The process and everything below it, the youngest last."""
        try:
            return [self._top, *self._top.children(recursive=True)] if self._top.is_running() else []
        except psutil.NoSuchProcess:
            return []

    def kill_job(self) -> bool:
        """SIGKILL the forked job alone, as the kernel would for want of memory. False: there is none at work."""
        return _kill(self.tree()[1:])

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process and everything below it."""
        for process in self.tree():
            process.send_signal(number)

    def kill(self) -> None:
        """SIGKILL the process and everything below it, and wait until it is gone."""
        _kill(self.tree())
        self.process.wait()

    def stop(self, seconds: float = 20) -> int:
        """Ask it to end as a supervisor would, and wait for it. Returns its exit code."""
        self.process.terminate()
        try:
            return self.process.wait(seconds)
        except TimeoutError:
            self.kill()
            raise AssertionError(f"it did not end in {seconds} s:\n{self.log.read_text()}") from None


def _is_listening(port: int) -> bool:
    with socket.socket() as found:
        return found.connect_ex(("127.0.0.1", port)) == 0


def _kill(processes: list[psutil.Process]) -> bool:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    return bool(processes)


class Engine:
    """Workers and stewards over one database, one queue and one simulator; everything ends with the test."""

    def __init__(self, database_url: str, redis_url: str, simulator: Simulator, folder: Path, **settings: str) -> None:
        """database_url, redis_url: empty for the embedded servers of the folder."""
        self.database_url = database_url
        self.simulator = simulator
        self._folder = folder
        self._parts: list[Part] = []
        self.environment = {
            **os.environ,
            **QUICK,
            "DATABASE_URL": database_url,
            "REDIS_URL": redis_url,
            "CLARION_SECRET_KEY": SECRET_KEY,
            "CLARION_DATA_DIR": str(folder),
            "CLARION_GRAPH_API_URL": simulator.url,
            "CLARION_LOG_FORMAT": "json",
            **settings,
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for part in self._parts:
            part.kill()

    def start(self, *arguments: str, is_cold: bool = False) -> Part:
        """Start `clarion …` in a process of its own. is_cold: with an interpreter of its own, as a person does."""
        log = self._folder / f"{len(self._parts)}-{arguments[0]}.log"
        with Path(os.devnull).open("rb") as nothing, log.open("wb") as output:
            start = Cold if is_cold else Forked
            process = start(arguments, self.environment, self._folder, nothing, output, output)
        self._parts.append(Part(process, log))
        return self._parts[-1]

    def start_web(self) -> tuple[Part, str]:
        """Start a web process and wait until it listens. The process, and its address."""
        port = a_free_port()
        part = self.start("web", "--port", str(port))
        until(lambda: _is_listening(port), what="the web process")
        return part, f"http://127.0.0.1:{port}"

    def logs(self) -> str:
        """Everything that all parts have logged."""
        return "\n".join(f"--- {part.log.name}\n{part.log.read_text()}" for part in self._parts)

    def row(self, broadcast_id: int) -> dict[str, Any]:
        """The broadcast row."""
        return read_books(self.database_url, broadcast_id).row

    def clock(self) -> float:
        """The seconds of the clock that the simulator's ledger goes by."""
        return time.time()

    def execute(self, statement: str, **values: object) -> None:
        """Run one statement of the test's own."""
        with psycopg.connect(self.database_url, autocommit=True) as connection:
            connection.execute(statement, values)

    def until_row(
        self, broadcast_id: int, is_so: Callable[[dict[str, Any]], bool], *, seconds: float = DEADLINE_SECONDS
    ) -> dict[str, Any]:
        """Wait for the row to be so."""

        def is_so_now() -> bool:
            try:
                return is_so(self.row(broadcast_id))
            except psycopg.OperationalError:
                return False  # its server was killed a moment ago

        try:
            until(is_so_now, seconds=seconds, what="the row")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.row(broadcast_id)}\n{self.logs()}") from error
        return self.row(broadcast_id)

    def until_ended(self, broadcast_id: int, seconds: float = DEADLINE_SECONDS) -> dict[str, Any]:
        """Wait until the broadcast has ended and no unknown is left."""
        return self.until_row(
            broadcast_id,
            lambda row: row["status"] in FINAL and row["unknown_count"] == 0,
            seconds=seconds,
        )

    def _are_gates_open(self) -> bool:
        with psycopg.connect(self.database_url) as connection:
            return connection.execute("SELECT FROM bulk_gates WHERE holder IS NOT NULL").fetchone() is None

    def assert_books_balance(self, broadcast_id: int) -> Books:
        """Counters = rows = the simulator's ledger; nobody twice; no lease and no gate left behind."""
        books = assert_counters_equal_rows(self.database_url, broadcast_id)
        accepted = [entry["to"] for entry in self.simulator.accepted()]
        assert len(accepted) == len(set(accepted)), "somebody got it twice"
        with psycopg.connect(self.database_url) as connection:
            sent = {
                phone
                for (phone,) in connection.execute(
                    "SELECT phone FROM whatsapp_broadcast_recipients"
                    " WHERE broadcast_id = %s AND status IN ('sent', 'delivered', 'read')",
                    (broadcast_id,),
                )
            }
            unexplained = connection.execute(
                "SELECT phone FROM whatsapp_broadcast_recipients WHERE broadcast_id = %s"
                " AND status = 'failed' AND error_message IS NULL",
                (broadcast_id,),
            ).fetchall()
        assert sent <= set(accepted), "somebody is `sent` whom WhatsApp never accepted"
        assert not unexplained, "somebody failed without a word"
        assert books.row["lease_holder"] is None
        until(self._are_gates_open, seconds=GATE_SECONDS, what="a gate was left behind")
        self.assert_receipt_holds(broadcast_id)
        return books

    def assert_receipt_holds(self, broadcast_id: int) -> None:
        """Audience, rows, attempts, message ids, statuses and the history agree, whatever has happened."""

        async def issue() -> dict[str, Any]:
            async with async_engine(self.database_url) as engine:
                return await receipts.issue(engine, VAULT, None, broadcast_id)

        with ThreadPoolExecutor(1) as apart:  # the test may have a loop of its own that runs
            receipt = apart.submit(asyncio.run, issue()).result()
        assert differences(receipt) == []
