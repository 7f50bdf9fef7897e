"""Ctrl-C at the very moment at which Python drops exceptions."""

import signal
import subprocess
import sys

import pytest

# A signal that comes while the callback of a weak reference is at work: what its handler raises, Python drops.
SCRIPT = """
import signal, time, weakref
from server.cli.dropped import raise_what_is_dropped

def leave(number, frame):
    raise SystemExit(128 + number)

class Thing:
    pass

def work_on(_):
    print("at work", flush=True)
    time.sleep(60)

raise_what_is_dropped()
signal.signal(signal.SIGTERM, leave)
thing = Thing()
reference = weakref.ref(thing, work_on)
del thing
print("goes on", flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, -signal.SIGINT), (signal.SIGTERM, 143)])
def test_whoever_asks_to_end_amid_a_callback_is_heard(number: signal.Signals, code: int) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "at work\n"
    process.send_signal(number)
    said, complaint = process.communicate(timeout=30)
    assert process.returncode == code, complaint
    assert said in {"", "goes on\n"}
    assert "ignored" not in complaint


def test_anything_else_that_is_dropped_is_told_as_ever() -> None:
    script = SCRIPT.replace("time.sleep(60)", "raise ValueError('something else')", 1).replace("time.sleep(60)", "")
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=30)
    assert "something else" in done.stderr
    assert "goes on" in done.stdout
