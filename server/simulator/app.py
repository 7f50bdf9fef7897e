"""The simulator, put together: one process, one loop, one listening socket.

`run` is the whole life of one. Everything it keeps is in its ledger (ledger.py); nothing is shared with the engine.
"""

import asyncio
import contextlib
import os
import re
import signal
import sys
from collections.abc import Callable
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec
import uvloop

from server.simulator.control import Control
from server.simulator.errors import Refusal, error_response
from server.simulator.faults import Fault, Weather
from server.simulator.graph import Graph
from server.simulator.happenings import Happenings
from server.simulator.http import Connection, Exchange, response
from server.simulator.ledger import Ledger
from server.simulator.page import page_at
from server.simulator.sending import Sending
from server.simulator.settings import CannotStart, SimulatorSettings
from server.simulator.waits import Holds, Waits
from server.simulator.world import World

_VERSION: Final = re.compile(r"v\d+\.\d+")
_A_SEND: Final = re.compile(rb"POST [^ ?]*/messages[ ?]")
BACKLOG: Final = 4096


class Simulator:
    """Routes every request to its room. Raises CannotStart where the settings name files that cannot be used."""

    def __init__(self, settings: SimulatorSettings, loop: asyncio.AbstractEventLoop, stop: Callable[[], None]) -> None:
        self.address = ""
        self.connections: set[Connection] = set()
        self._stop = stop
        self._world = World(settings)
        self._ledger = _open_ledger(settings, lambda write: loop.call_soon(self._keep_books, write))
        self._weather = Weather(settings.faults, settings.seed)
        holds, waits = Holds(), Waits(loop)
        self._happenings = Happenings(settings, loop, self._world, self._ledger, waits)
        if self._happenings.webhooks.wanted:
            self._happenings.life.go_on()
        self._sending = Sending(loop, self._world, self._ledger, self._weather, holds, waits, self._happenings)
        self._graph = Graph(self._world, lambda: self.address)
        self._control = Control(settings, self._world, self._ledger, self._weather, holds, waits, self._happenings)
        self._numbers_by_url: dict[bytes, str] = {}
        self.trouble: str | None = None

    def connect(self) -> Connection:
        """A protocol for a new connection."""
        return Connection(self._handle, self._admit, self.connections)

    def close(self) -> None:
        """Close every connection, answered or not, and the books."""
        for connection in list(self.connections):
            connection.close()
        self._happenings.close()
        if self.trouble is None:
            self._ledger.close()

    def _keep_books(self, write: Callable[[], None]) -> None:
        """Without books there is no simulator: where the disk takes nothing more, it ends, and nobody is answered."""
        try:
            write()
        except OSError as error:
            self.trouble = f"cannot write the ledger: {error.strerror or error}"
            self._stop()

    def _admit(self, first_bytes: bytes) -> bool:
        if self._weather.calm or not _A_SEND.match(first_bytes) or not self._weather.refuses():
            return True
        self._ledger.faults[Fault.REFUSE] += 1
        return False

    def _handle(self, exchange: Exchange) -> None:
        if exchange.method == b"POST":
            number_id = self._numbers_by_url.get(exchange.url)
            if number_id is not None:
                self._sending.send(exchange, self._world.number(number_id))
                return
        self._route(exchange)

    def _route(self, exchange: Exchange) -> None:
        """Find the room by the path. The URL of a number that sends is remembered, for the next million."""
        method = exchange.method.decode("ascii", "replace")
        try:
            target = urlsplit(exchange.url.decode("latin-1"))
        except ValueError:  # such as http://[, which the parser of HTTP lets pass
            exchange.answer(error_response(Refusal(2500, message="Unknown path components")))
            return
        page = page_at(target.path) if method == "GET" else None
        if page is not None:
            exchange.answer(page)
            return
        path = [unquote(piece) for piece in target.path.split("/") if piece]
        query = dict(parse_qsl(target.query, keep_blank_values=True))
        if path[:1] == ["_sim"]:
            self._control.answer(exchange, method, path[1:], query)
            return
        if path and _VERSION.fullmatch(path[0]):
            del path[0]
        try:
            if method == "POST" and path[1:] == ["messages"]:
                self._send(exchange, path[0])
                return
            self._world.check_token(exchange.authorization)
            self._happenings.usage.call()
            answer = self._graph.answer(method, path, query, exchange.body)
            more_headers = self._happenings.usage.headers
            exchange.answer(response(200, msgspec.json.encode(answer), more_headers=more_headers))
        except Refusal as refusal:
            exchange.answer(error_response(refusal, self._happenings.usage.headers))

    def _send(self, exchange: Exchange, number_id: str) -> None:
        try:
            number = self._world.number(number_id)
        except Refusal as refusal:
            self._sending.turn_away(exchange, refusal, number_id)
            return
        self._numbers_by_url[exchange.url] = number_id
        self._sending.send(exchange, number)


def _open_ledger(settings: SimulatorSettings, schedule: Callable[[Callable[[], None]], object]) -> Ledger:
    try:
        return Ledger(settings.ledger, schedule)
    except OSError as error:
        raise CannotStart(f"cannot open the ledger {settings.ledger}: {error.strerror or error}") from error
    except msgspec.DecodeError as error:
        raise CannotStart(f"{settings.ledger} is not a ledger of the simulator: {error}") from error


async def _serve(settings: SimulatorSettings) -> None:
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    simulator = Simulator(settings, loop, stopping.set)
    try:
        server = await loop.create_server(simulator.connect, settings.host, settings.port, backlog=BACKLOG)
    except OSError as error:
        # The loop wraps the system's words in its own; those of a host name that is not found have no errno.
        why = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror or error
        raise CannotStart(f"cannot listen on {settings.host} port {settings.port}: {why}.") from error
    port = server.sockets[0].getsockname()[1]
    simulator.address = f"http://{settings.host}:{port}"
    sys.stdout.write(f"simulator listening on {simulator.address}\n")
    sys.stdout.flush()
    if settings.until_stdin_closes:
        await loop.connect_read_pipe(lambda: _EndOfInput(stopping.set), sys.stdin)
    await stopping.wait()
    server.close()
    simulator.close()
    if simulator.trouble is not None:
        raise CannotStart(simulator.trouble)


class _EndOfInput(asyncio.Protocol):
    """Calls back when standard input ends."""

    def __init__(self, ended: Callable[[], None]) -> None:
        self._ended = ended

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended()


def run(settings: SimulatorSettings) -> None:
    """Be a Cloud API until SIGTERM or SIGINT; then close everything and return.

    Prints one line, `simulator listening on http://127.0.0.1:PORT`, once it can be reached. Raises CannotStart with
    a reason for people: the port is taken, a file cannot be read, or (later) the ledger cannot be written.
    """
    with contextlib.suppress(KeyboardInterrupt):
        uvloop.run(_serve(settings))
