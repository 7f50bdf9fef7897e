"""Ctrl-C at the very moment at which Python drops exceptions."""

import signal
import subprocess
import sys

import pytest

# A signal that comes while the callback of a weak reference is at work: what its handler raises, Python drops.
SCRIPT = """
import signal, sys, time, weakref
from rq.exceptions import StopRequested
from server.cli.dropped import raise_what_is_dropped

def leave(number, frame):
    raise SystemExit(128 + number)

def stop(number, frame):
    raise StopRequested

def ring(number, frame):
    print("the alarm of before", flush=True)
    sys.exit(9)

class Thing:
    pass

def work_on(_):
    print("at work", flush=True)
    time.sleep(60)

raise_what_is_dropped(StopRequested)
signal.signal(signal.SIGTERM, leave)
signal.signal(signal.SIGHUP, stop)
thing = Thing()
reference = weakref.ref(thing, work_on)
del thing
print("goes on", flush=True)
try:
    time.sleep(60)
except StopRequested:
    print("stops as RQ does", flush=True)
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


def test_what_rq_raises_for_a_signal_is_heard_as_well() -> None:
    process = subprocess.Popen([sys.executable, "-c", SCRIPT], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "at work\n"
    process.send_signal(signal.SIGHUP)
    said, _ = process.communicate(timeout=30)
    assert said == "goes on\nstops as RQ does\n"


def test_an_alarm_that_was_set_before_rings_all_the_same() -> None:
    armed = "signal.signal(signal.SIGALRM, ring)\nsignal.setitimer(signal.ITIMER_REAL, 1.5)\nthing = Thing()"
    script = SCRIPT.replace("thing = Thing()", armed).replace('print("stops as RQ does", flush=True)', "time.sleep(60)")
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "at work\n"
    process.send_signal(signal.SIGHUP)
    said, _ = process.communicate(timeout=30)
    assert (said, process.returncode) == ("goes on\nthe alarm of before\n", 9)


def test_anything_else_that_is_dropped_is_told_as_ever() -> None:
    script = SCRIPT.replace("time.sleep(60)", "raise ValueError('something else')", 1).replace("time.sleep(60)", "pass")
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=30)
    assert "something else" in done.stderr
    assert "goes on" in done.stdout
