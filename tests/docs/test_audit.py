"""A known vulnerability of what the lock files name fails `make lint`; a database that is away does not."""

import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

AUDIT = Path(__file__).parents[2] / ".ci" / "audit.py"
LOCK = f"jinja2==3.1.0 \\\n    --hash=sha256:{'0' * 64}\nrich==15.0.0 \\\n    --hash=sha256:{'1' * 64}\n"
FLAW = {
    "id": "PYSEC-0000-1",
    "summary": "A sandbox that can be left.",
    "affected": [
        {
            "package": {"name": "jinja2", "ecosystem": "PyPI"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "3.1.6"}]}],
        }
    ],
}


class Database(BaseHTTPRequestHandler):
    """Answers as OSV does: jinja2 has a flaw, everything else has none."""

    flawed = "jinja2"

    def do_POST(self) -> None:
        """One package and version."""
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        body = json.dumps({"vulns": [FLAW]} if asked["package"]["name"] == self.flawed else {}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Clean(Database):
    """Knows of no flaw at all."""

    flawed = ""


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    """A lock file of two packages."""
    path = tmp_path / "some.lock"
    path.write_text(LOCK)
    return path


@pytest.fixture
def database(request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of a database; the kind is the fixture's parameter."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), request.param)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1/query"
    server.shutdown()
    server.server_close()


def audit(lock: Path, url: str, *more: str) -> "subprocess.CompletedProcess[str]":
    """The Python packages alone: no npm is on this path."""
    command = [sys.executable, str(AUDIT), str(lock), "--osv-url", url, *more]
    environment = {"PATH": "", "HOME": str(lock.parent)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("database", [Database], indirect=True)
def test_a_known_vulnerability_fails_and_is_named(lock: Path, database: str) -> None:
    done = audit(lock, database)
    assert (done.returncode, done.stderr) == (1, "")
    assert "jinja2 3.1.0: PYSEC-0000-1, mended in 3.1.6" in done.stdout


@pytest.mark.parametrize("database", [Clean], indirect=True)
def test_where_nothing_is_known_it_says_so(lock: Path, database: str) -> None:
    done = audit(lock, database)
    assert (done.returncode, done.stdout) == (0, "Vulnerabilities of Python packages: none known.\n")


def test_a_database_that_is_away_is_told_in_a_line(lock: Path) -> None:
    done = audit(lock, "http://127.0.0.1:1/v1/query")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("not looked at, their database cannot be reached.\n")


def test_a_database_that_never_answers_is_not_waited_for(lock: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        done = audit(lock, f"http://127.0.0.1:{silent.getsockname()[1]}/v1/query", "--most-seconds", "2")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("not looked at, their database cannot be reached.\n")


def test_a_lock_file_that_cannot_be_read_is_a_fault(lock: Path) -> None:
    lock.write_text("jinja2 is one of them\n")
    assert audit(lock, "http://127.0.0.1:1/v1/query").returncode == 1
