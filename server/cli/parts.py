"""`clarion web`, `worker`, `steward`: one part each, for many machines or under `clarion up`."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from typing import Annotated, Final

import typer

from server.cli.dropped import raise_what_is_dropped
from server.cli.environment import environment, say_data_folder
from server.cli.output import Exit
from server.config import settings
from server.domain.errors import Unreachable
from server.logs import configure_logs

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
    from rq.exceptions import StopRequested

    # The jobs are imported here, before RQ forks: each job would pay for it again.
    from server.jobs import broadcast_job, steward_job, webhooks_job  # noqa: F401
    from server.jobs.queues import connect
    from server.jobs.worker import ClarionWorker

    configuration = settings()
    configure_logs(configuration.log_format)
    raise_what_is_dropped(StopRequested)
    with environment() as found:
        if parent is None:
            say_data_folder(configuration)
        while True:
            runner = ClarionWorker(
                [queue_name], connect(found.redis_url), parent=parent, only_business=configuration.only_business
            )
            runner.log.setLevel("WARNING")
            runner.work(burst=burst, logging_level="WARNING")
            # RQ's loop also ends when the queue's server goes away for longer; then it is found again.
            if burst or runner.was_asked_to_stop:
                return


def steward(
    rounds: Annotated[bool, typer.Option("--rounds", hidden=True)] = False,
    webhooks: Annotated[bool, typer.Option("--webhooks", hidden=True)] = False,
    with_parent: WithParent = None,
) -> None:
    """Look every few seconds for what is due: start, resume, take over, settle; and tell the webhooks of a business.

    One is enough; more do no harm.
    """
    from server.jobs.queues import STEWARD, WEBHOOKS

    if rounds or webhooks:
        _work(STEWARD if rounds else WEBHOOKS, burst=False, parent=with_parent)
        return
    configuration = settings()
    configure_logs(configuration.log_format)
    with environment() as found:
        if with_parent is None:
            say_data_folder(configuration)
        _keep_time(found.redis_url, with_parent)


def _keep_time(redis_url: str, parent: int | None) -> None:
    """Ask for rounds, and keep the processes alive that go them and that deliver events.

    They are apart: RQ forks and must not wait, and somebody's slow server must hold up no round.
    """
    import redis
    from rq.exceptions import StopRequested

    from server.jobs.queues import connect
    from server.jobs.steward_clock import StewardClock

    raise_what_is_dropped(StopRequested)
    hands = {option: _start_hand(option) for option in ("--rounds", "--webhooks")}

    def look_after() -> None:
        for option, hand in hands.items():
            if hand.poll() is not None:
                hands[option] = _start_hand(option)
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
        for hand in hands.values():
            hand.terminate()
        for hand in hands.values():
            hand.wait()


def _start_hand(option: str) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "server.cli", "steward", option, "--with-parent", str(os.getpid())]
    return subprocess.Popen(command)  # noqa: S603 - our own command


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
