"""`clarion web`, `worker`, `steward`, `simulator`: one part each, for many machines or under `clarion up`."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Final, TypeVar

import typer

from server.cli.environment import environment, say_data_folder
from server.cli.output import Exit, say
from server.config import settings
from server.domain.errors import BadInput, Unreachable
from server.logs import configure_logs

T = TypeVar("T")

# The process that started this one: a part ends with it, also where it was killed and could ask nobody to end.
WithParent = Annotated[int | None, typer.Option("--with-parent", metavar="PID", hidden=True)]
PARENT_LOOK_SECONDS: Final = 0.2


class CannotListen(Unreachable):
    """The address is taken, or is none of this machine."""

    def __init__(self, host: str, port: int, error: OSError) -> None:
        # What has no errno of the system's is about the name: nobody knows it.
        why = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror or str(error)
        super().__init__(f"Cannot listen on {host} port {port}: {why[:1].lower()}{why[1:]}.")


def web(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")] = None,
    with_parent: WithParent = None,
) -> None:
    """Serve the API (and its documentation at /docs)."""
    configuration = settings()
    end_with(with_parent)
    configure_logs(configuration.log_format)
    with environment(), _listen(host or configuration.host, configuration.port if port is None else port) as listening:
        import uvicorn

        if with_parent is None:
            say_data_folder(configuration)
        chosen = uvicorn.Config(
            "server.app:create_app",
            factory=True,
            loop="uvloop",
            http="httptools",
            log_level="warning",
            access_log=False,
            timeout_graceful_shutdown=5,
        )
        served = uvicorn.Server(chosen)
        served.run(sockets=[listening])
    if not served.started:
        raise typer.Exit(Exit.ENVIRONMENT)  # its log says why


def _listen(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise CannotListen(host, port, error) from error


def worker(
    burst: Annotated[bool, typer.Option(help="Do what is in the queue, and end.")] = False,
    with_parent: WithParent = None,
) -> None:
    """Run broadcasts as the queue asks for them: one at a time. Start as many as you like, on any machine."""
    from server.jobs.queues import BROADCASTS

    _work(BROADCASTS, burst=burst, parent=with_parent)


def _work(queue_name: str, *, burst: bool, parent: int | None) -> None:
    # The jobs are imported here, before RQ forks: each job would pay for it again.
    from server.jobs import broadcast_job, steward_job  # noqa: F401
    from server.jobs.queues import connect
    from server.jobs.worker import ClarionWorker

    configuration = settings()
    configure_logs(configuration.log_format)
    with environment() as found:
        if parent is None:
            say_data_folder(configuration)
        while True:
            runner = ClarionWorker([queue_name], connect(found.redis_url), parent=parent)
            runner.log.setLevel("WARNING")
            runner.work(burst=burst, logging_level="WARNING")
            # RQ's loop also ends when the queue's server goes away for longer; then it is found again.
            if burst or runner.was_asked_to_stop:
                return


def steward(
    rounds: Annotated[bool, typer.Option("--rounds", hidden=True)] = False, with_parent: WithParent = None
) -> None:
    """Look every few seconds for what is due: start, resume, take over, settle. One is enough; more do no harm."""
    from server.jobs.queues import STEWARD

    if rounds:
        _work(STEWARD, burst=False, parent=with_parent)
        return
    configuration = settings()
    configure_logs(configuration.log_format)
    with environment() as found:
        if with_parent is None:
            say_data_folder(configuration)
        _keep_time(found.redis_url, with_parent)


def _keep_time(redis_url: str, parent: int | None) -> None:
    """Ask for rounds, and keep the process that goes them alive. The two are apart: RQ forks, and must not wait."""
    import redis

    from server.jobs.queues import connect
    from server.jobs.steward_clock import StewardClock

    rounds = _start_rounds()

    def look_after() -> None:
        nonlocal rounds
        if rounds.poll() is not None:
            rounds = _start_rounds()
        if parent is not None and os.getppid() != parent:
            raise SystemExit(Exit.OK)

    try:
        while True:
            # `connect` waits for the queue's server, or says that it is away.
            clock = StewardClock(connect(redis_url), settings().steward_interval_seconds, look_after)
            clock.log.setLevel("WARNING")
            with contextlib.suppress(redis.RedisError):
                clock.go_on()
                return
    finally:
        rounds.terminate()
        rounds.wait()


def _start_rounds() -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "server.cli", "steward", "--rounds", "--with-parent", str(os.getpid())]
    return subprocess.Popen(command)  # noqa: S603 - our own command


def simulator(
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8025,
    seed: Annotated[int, typer.Option(help="Who is who, and what goes wrong: the same seed, the same world.")] = 1,
    rate: Annotated[float, typer.Option(min=0, help="Messages a second for each number; 0: no limit.")] = 80,
    no_pair_limit: Annotated[
        bool, typer.Option("--no-pair-limit", help="Let one person get any number of messages at once.")
    ] = False,
    phone_number_id: Annotated[
        str | None, typer.Option(help="The only number there is; without it, any id is one.")
    ] = None,
    waba_id: Annotated[str | None, typer.Option(help="The only account there is; without it, any id is it.")] = None,
    token: Annotated[str | None, typer.Option(help="The only bearer token that is taken.")] = None,
    ledger: Annotated[Path | None, typer.Option(help="Keep what was accepted in this file.")] = None,
    templates: Annotated[Path | None, typer.Option(help="A JSON list of more templates.")] = None,
    webhook_url: Annotated[
        list[str] | None, typer.Option(help="Where webhooks go; may be given more than once.")
    ] = None,
    app_secret: Annotated[str, typer.Option(help="What webhooks are signed with.")] = "simulator",  # noqa: S107 - of a simulator
    webhooks: Annotated[str, typer.Option(help="How they are delivered, such as batch=100,read_ms=3000.")] = "",
    habits: Annotated[str, typer.Option(help="Shares of people, such as off=0.02,stop=0.01.")] = "",
    not_on_whatsapp: Annotated[float, typer.Option(min=0, max=1, help="Share of people who are not there.")] = 0.0,
    limits: Annotated[str, typer.Option(help="More limits, such as messaging=TIER_2K,beyond=131048.")] = "",
    faults: Annotated[str, typer.Option(help="What goes wrong, such as drop=0.01,latency_ms=300.")] = "",
    time_scale: Annotated[float, typer.Option(help="3600 makes an hour of Meta's a second.")] = 1.0,
    with_parent: WithParent = None,
) -> None:
    """A WhatsApp Cloud API on this machine, to develop, demonstrate and test against.

    \b
    Its page at http://127.0.0.1:8025 shows what a person received, and lets you
    answer as that person. Send to it:
      CLARION_GRAPH_API_URL=http://127.0.0.1:8025 clarion send people.csv ...
    Tell Clarion by webhook what becomes of each message:
      clarion simulator --app-secret S \\
        --webhook-url http://127.0.0.1:8000/webhooks/whatsapp
    Webhooks doubled, lost, out of order, or there before the answer:
      --webhooks doubled=0.1,lost=0.01,shuffled=0.2,early=0.1
    As slow as life, at most ten in a POST, in the older shape:
      --webhooks delivered_ms=2000,read_ms=60000,spread=1,batch=10,version=v23
    People with habits: off capped stopped experiment reply stop comes_back tap
    tap_bare opt_out block only_read slow silent unread hidden
      --habits off=0.02,stop=0.01,reply=0.05,block=0.002
    (A number that ends in 9990202 says STOP in any case; others: the docs.)
    250 people a day and no more, and two marketing messages for each:
      --limits messaging=TIER_250,beyond=131048,marketing_cap=2
    The first 100 messages of a new template are held until there is a verdict:
      --limits pace_hold=100,pace_minutes=30 --time-scale 600
    Templates that people block are paused for 3 hours, here 11 seconds:
      --habits block=0.1 --time-scale 1000
    A bad network:
      --faults drop=0.01,hang=0.001,server_error=0.01,latency_ms=300
    All of it can be changed while it runs and ordered for one message or one
    person: docs/simulator.md.
    """
    from server.simulator.app import run
    from server.simulator.faults import faults_from_text
    from server.simulator.limit_options import limits_from_text
    from server.simulator.people import shares_from_text
    from server.simulator.settings import CannotStart, SimulatorSettings, callbacks_to
    from server.simulator.webhook_manners import manners_from_text

    end_with(with_parent)
    try:
        run(
            SimulatorSettings(
                port=port,
                seed=seed,
                rate=rate,
                pair_limit=not no_pair_limit,
                phone_number_id=phone_number_id,
                waba_id=waba_id,
                token=token,
                ledger=ledger,
                templates=templates,
                callbacks=callbacks_to(webhook_url or (), app_secret),
                webhooks=_read("--webhooks", webhooks, manners_from_text),
                habits=_read("--habits", habits, shares_from_text),
                not_on_whatsapp=not_on_whatsapp,
                limits=_read("--limits", limits, limits_from_text),
                faults=_read("--faults", faults, faults_from_text),
                time_scale=time_scale,
            )
        )
    except CannotStart as error:
        say(f"Error: {error}")
        raise typer.Exit(Exit.ENVIRONMENT) from error


def _read(option: str, text: str, reader: Callable[[str], T]) -> T:
    """The value of an option that is many in one. Raises BadInput with what is wrong."""
    try:
        return reader(text)
    except ValueError as error:
        raise BadInput(f"{option}: {error}") from error


def end_with(parent: int | None) -> None:
    """Ask this process to end once the one that started it is gone, by SIGKILL too.

    A thread, because a server's loop belongs to the server; only for parts that never fork.
    """

    def look() -> None:
        pause = threading.Event()
        while os.getppid() == parent:
            pause.wait(PARENT_LOOK_SECONDS)
        os.kill(os.getpid(), signal.SIGTERM)

    if parent is not None:
        threading.Thread(target=look, name="parent", daemon=True).start()


def end(process: "subprocess.Popen[bytes]", seconds: float) -> None:
    """Ask a part to end; one that has not ended after so many seconds is killed."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
