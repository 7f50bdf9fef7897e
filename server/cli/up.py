"""`clarion up`: everything on one machine, until Ctrl-C."""

import errno
import os
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import ExitStack
from typing import Annotated, Final

import typer

from server.cli.environment import environment, say_data_folder
from server.cli.only_one import Running, only_one
from server.cli.output import say, stderr
from server.cli.parts import CannotListen, WithParent, end_with
from server.cli.supervisor import Supervisor, servers_kept_alive, supervised
from server.config import Settings, export, settings
from server.domain.errors import ClarionError, Unreachable

LOOK_EVERY_SECONDS: Final = 0.25
START_SECONDS: Final = 60.0  # a busy machine takes its time; what failed says so at once
SIMULATOR_PORT: Final = 8025
# The parts of an `up` that was killed notice it within a moment, and give their ports back.
PORT_WAIT_SECONDS: Final = 1.5


class PortTaken(Unreachable):
    """Somebody else listens where the web process should."""


def up(
    demo: Annotated[bool, typer.Option("--demo", help="With the simulator and a broadcast to 10,000 people.")] = False,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Port of the web process.")] = None,
    with_parent: WithParent = None,
) -> None:
    """Start everything: servers, web, workers, steward. Ctrl-C stops all of it."""
    end_with(with_parent)
    configuration = settings()  # before the environment of this command hides which servers are its own
    with ExitStack() as stack:
        write_down = stack.enter_context(only_one(configuration.data_dir))
        found = stack.enter_context(environment())
        look_at_servers = stack.enter_context(servers_kept_alive(configuration))
        supervisor = stack.enter_context(supervised(configuration))
        web_port = _web_port(configuration, port, demo=demo)
        say_data_folder(configuration)
        address = _address(configuration.host, web_port)
        if demo:
            _start_simulator(supervisor, address)
        write_down(Running(address, settings().graph_api_url))
        _start_parts(supervisor, configuration, web_port, address)
        broadcast_id = _prepare_demo(found.database_url, configuration, address) if demo else None
        say("Ctrl-C stops everything.")
        try:
            _go_on(supervisor, look_at_servers, found.database_url, broadcast_id)
        except KeyboardInterrupt:
            say("\nStopping: what is in flight is finished, the rest is kept for the next start.")


def _web_port(configuration: Settings, wanted: int | None, *, demo: bool) -> int:
    """The port that was asked for; a demo that did not ask takes the next free one."""
    port = configuration.port if wanted is None else wanted
    if port == 0 or _comes_free(configuration.host, port):
        return port or _next_free(configuration.host, 0)
    if demo and wanted is None:
        free = _next_free(configuration.host, port)
        say(f"Port {port} is taken; the demo uses {free}.")
        return free
    raise PortTaken(f"Port {port} of {configuration.host} is taken. Choose another: clarion up --port N.")


def _comes_free(host: str, port: int) -> bool:
    deadline = time.monotonic() + PORT_WAIT_SECONDS
    while not _is_free(host, port):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def _is_free(host: str, port: int) -> bool:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return False
            raise CannotListen(host, port, error) from error
        return True


def _next_free(host: str, port: int) -> int:
    for candidate in range(port + 1, port + 100) if port else ():
        if _is_free(host, candidate):
            return candidate
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def _start_simulator(supervisor: Supervisor, address: str) -> None:
    """The simulator keeps its ledger in the data folder, so that a restart remembers who got what.

    address: of the web process, which it tells what becomes of every message.
    """
    from server.cli.demo import HABITS, UNKNOWN_GRACE_SECONDS, WEBHOOKS, app_secret

    port = SIMULATOR_PORT if _comes_free("127.0.0.1", SIMULATOR_PORT) else _next_free("127.0.0.1", SIMULATOR_PORT)
    folder = supervisor.configuration.data_dir / "simulator"
    folder.mkdir(parents=True, exist_ok=True)
    ledger = str(folder / "ledger.jsonl")
    supervisor.add(
        "simulator",
        *("simulator", "--port", str(port), "--ledger", ledger, "--habits", HABITS, "--webhooks", WEBHOOKS),
        *("--webhook-url", f"{address}/webhooks/whatsapp"),
        *("--app-secret", app_secret(supervisor.configuration.data_dir)),
        ends_last=True,  # a request that it has not answered would be of an unknown end
    )
    export(CLARION_GRAPH_API_URL=f"http://127.0.0.1:{port}")
    if "unknown_grace_seconds" not in supervisor.configuration.model_fields_set:
        export(CLARION_UNKNOWN_GRACE_SECONDS=str(UNKNOWN_GRACE_SECONDS))
    _until_answers(supervisor, f"http://127.0.0.1:{port}/", "simulator", port)
    say(f"WhatsApp is played by the simulator at http://127.0.0.1:{port}.")
    say(f"Who got how many, by its own books: curl http://127.0.0.1:{port}/_sim/ledger/summary")


def _start_parts(supervisor: Supervisor, configuration: Settings, web_port: int, address: str) -> None:
    """Web, workers and steward. The page first: all at once they would keep it waiting for the processors."""
    supervisor.add("web", "web", "--port", str(web_port))
    _until_answers(supervisor, f"{address}/healthz", "web", web_port)
    for number in range(1, configuration.workers + 1):
        supervisor.add(f"worker-{number}", "worker")
    supervisor.add("steward", "steward")
    say(f"The dashboard is at {address} (API documentation: {address}/docs).")


def _address(host: str, port: int) -> str:
    """Where a browser on this machine finds what listens on `host`."""
    if host in {"0.0.0.0", "::"}:  # noqa: S104 - compared, not listened on
        host = "127.0.0.1" if host == "0.0.0.0" else "::1"  # noqa: S104
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _until_answers(supervisor: Supervisor, url: str, name: str, port: int) -> None:
    """Wait until a part answers over HTTP, whatever it answers; somebody else's at its port is not that part."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        supervisor.look()
        if supervisor.listens(name, port) and _answers(url):
            return
        time.sleep(0.05)
    log = supervisor.configuration.data_dir / "logs" / f"{name}.log"
    raise Unreachable(f"The {name} did not start within {START_SECONDS:.0f} s. Its log is {log}.")


def _answers(url: str) -> bool:
    try:
        urllib.request.urlopen(url, timeout=1).close()  # noqa: S310 - our own address
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


def _prepare_demo(database_url: str, configuration: Settings, address: str) -> int:
    from server.cli.demo import prepare
    from server.cli.send import hint

    access, broadcast_id = prepare(database_url, configuration.data_dir)
    say(f"Sign-in: {access.email}, password {access.password}")
    say(f"API key: {access.api_key}")
    say(f"Try: curl -H 'Authorization: Bearer {access.api_key}' {address}/api/whatsapp/broadcasts/{broadcast_id}")
    hint(os.environ["REDIS_URL"], broadcast_id)
    return broadcast_id


def _go_on(
    supervisor: Supervisor, look_at_servers: Callable[[], None], database_url: str, broadcast_id: int | None
) -> None:
    """Keep everything alive until Ctrl-C, and show the demo's broadcast while it goes."""
    from server.cli.watch import live

    def look() -> None:
        supervisor.look()
        look_at_servers()

    while True:
        try:
            if broadcast_id is not None:
                live(database_url, broadcast_id, look)
                broadcast_id = None
                say("The broadcast is over. Start the demo again for another one.")
            look()
        except ClarionError as error:
            stderr.print(f"{error}", markup=False)  # the database is being started again
        time.sleep(LOOK_EVERY_SECONDS)
