"""The webhook's door while PostgreSQL takes connections and says nothing: refused in time, nothing half kept."""

import signal
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import psutil
import psycopg
import pytest

from server.database import async_engine
from server.embedded import EmbeddedServers
from server.migrations import upgrade
from server.services.inbox import MOST_WAITING_BYTES
from tests.api.conftest import Answer, Api, a_tenant
from tests.api.line import Line
from tests.support.engine import Engine, until
from tests.support.simulator import Simulator
from tests.support.web import serve
from tests.support.webhooks import a_body, a_text

MEGABYTE = 1024 * 1024
LARGE = 5 * MEGABYTE // 2


@pytest.fixture
async def line(simulator: Simulator, tmp_path: Path) -> AsyncIterator[Line]:
    """The door of a web process whose PostgreSQL is this test's own."""
    with EmbeddedServers(tmp_path / "servers") as found:
        assert found.database_url
        assert found.redis_url
        upgrade(found.database_url)
        async with async_engine(found.database_url) as engine:
            tenant, key = await a_tenant(engine, "Acme")
        with (
            Engine(found.database_url, found.redis_url, simulator, tmp_path) as clarion,
            serve(clarion, tmp_path) as address,
        ):
            yield Line(Api(address, key, tenant.business_id), found.database_url)


@contextmanager
def stopped(database_url: str) -> Iterator[None]:
    """Every process of PostgreSQL held still: it takes connections, and never says a word."""
    with psycopg.connect(database_url) as connection:
        backend = psutil.Process(connection.info.backend_pid)
        postmaster = backend.parent()
    assert postmaster is not None
    everybody = [postmaster, *postmaster.children(recursive=True)]
    for process in everybody:
        process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        for process in everybody:
            if process.is_running():
                process.send_signal(signal.SIGCONT)


def say(line: Line, message_id: str, text: str = "Hi") -> Answer:
    return line.post(a_body(line.number, messages=[a_text(text, message_id=message_id)]))


def kept(line: Line) -> set[str]:
    with psycopg.connect(line.database_url) as connection:
        return {message_id for (message_id,) in connection.execute("SELECT message_id FROM inbound_messages")}


def test_a_database_that_hangs_is_503_and_everything_works_again_after_it(line: Line) -> None:
    assert say(line, "wamid.before").status == 200
    with stopped(line.database_url):
        # From here on the clock of the line's own client runs: it gives up after 30 seconds.
        with ThreadPoolExecutor(40) as callers:
            answers = list(callers.map(lambda n: say(line, f"wamid.{n}"), range(40)))
        # And with the numbers, of which the process has known for seconds, to be read again.
        late = say(line, "wamid.late")
    assert Counter(answer.status for answer in (*answers, late)) == {503: 41}
    assert {answer.headers["content-type"] for answer in answers} == {"application/problem+json"}
    assert all(answer.headers["retry-after"] for answer in (*answers, late))
    until(lambda: say(line, "wamid.late").status == 200, what="an answer after the pause")
    assert {say(line, f"wamid.{n}").status for n in range(40)} == {200}  # as WhatsApp does, again
    until(lambda: line.count("webhook_inbox") == 0, what="an empty inbox")
    assert kept(line) == {"wamid.before", "wamid.late", *(f"wamid.{n}" for n in range(40))}
    assert line.count("inbound_messages") == 42


def test_what_waits_for_the_database_is_bounded(line: Line) -> None:
    """A locked table holds every commit back; nothing that was refused is kept, and all that was taken is."""
    count = 2 * MOST_WAITING_BYTES // LARGE
    with psycopg.connect(line.database_url) as connection:
        connection.execute("LOCK TABLE webhook_inbox IN SHARE MODE")
        with ThreadPoolExecutor(count) as callers:
            answers = list(callers.map(lambda n: say(line, f"wamid.{n}", "x" * LARGE), range(count)))
    statuses = Counter(answer.status for answer in answers)
    assert statuses == {503: count}
    said = Counter(answer.json["detail"].partition(":")[0] for answer in answers)
    assert said["More webhooks wait for the database than there is room for. Send it again in a moment."] >= 1
    assert all(answer.headers["retry-after"] for answer in answers)
    assert line.count("webhook_inbox") == 0
    assert say(line, "wamid.after", "x" * LARGE).status == 200
    until(lambda: kept(line) == {"wamid.after"}, what="the one that was taken")
