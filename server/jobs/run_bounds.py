"""What ends a run from outside: its time, a signal, the death of the worker above it."""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator

from server.services.run_control import Cause, RunControl, Stop

PARENT_CHECK_SECONDS = 1.0


@contextlib.asynccontextmanager
async def bounded(control: RunControl, max_runtime_seconds: float) -> AsyncIterator[None]:
    """End the run well before RQ would kill it, and when the process or the worker above it is asked to go."""
    loop = asyncio.get_running_loop()
    alarm = loop.call_later(max_runtime_seconds, control.request, Stop(Cause.OUT_OF_TIME))
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, control.request, Stop(Cause.SHUT_DOWN))
    parent = asyncio.create_task(_watch_parent(control))
    try:
        yield
    finally:
        parent.cancel()
        alarm.cancel()


async def _watch_parent(control: RunControl) -> None:
    """A worker that was killed leaves its job behind as an orphan: the job then ends as if it had been asked to."""
    parent = os.getppid()
    while os.getppid() == parent:  # noqa: ASYNC110 - nothing tells a process that its parent died
        await asyncio.sleep(PARENT_CHECK_SECONDS)
    control.request(Stop(Cause.SHUT_DOWN))
