"""Web processes for tests, each forked from one that has everything imported and built: a cold start takes seconds."""

import gc
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final

import uvicorn

from server.app import build_routes, create_app
from server.dashboard import rendering
from server.logs import configure_logs
from tests.support.engine import Engine
from tests.support.forks import CONTEXT

DEADLINE_SECONDS: Final = 60
_APP: Final = create_app()
build_routes(_APP)
for _name in rendering.environment().list_templates(extensions=["html"]):
    rendering.environment().get_template(_name)
gc.freeze()  # whoever is forked from here need not look through all of it for garbage


@contextmanager
def serve(clarion: Engine, folder: Path, **settings: str) -> Iterator[str]:
    """A web process. Gives its address; ends with a look at its log: whatever was asked, nothing went wrong inside."""
    log = folder / "web.log"
    here, there = CONTEXT.Pipe(duplex=False)
    process = CONTEXT.Process(target=_serve, args=({**clarion.environment, **settings}, log, there), daemon=True)
    process.start()
    there.close()
    try:
        assert here.poll(DEADLINE_SECONDS), "the web process did not start"
        yield f"http://127.0.0.1:{here.recv()}"
    finally:
        process.terminate()
        process.join(DEADLINE_SECONDS)
        process.kill()
        process.close()
        here.close()
    assert "Traceback" not in log.read_text(), log.read_text()


def _serve(environment: Mapping[str, str], log: Path, told: Connection) -> None:
    """What the process does. A free port is chosen by the kernel, and told before anybody can ask for it."""
    os.environ.clear()
    os.environ.update(environment)
    with log.open("w") as output:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    configure_logs("json")
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    told.send(listener.getsockname()[1])
    uvicorn.Server(uvicorn.Config(_APP, log_level="warning", loop="uvloop")).run(sockets=[listener])
