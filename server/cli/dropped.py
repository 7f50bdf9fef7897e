"""Whoever asks a command to end is heard, also at the moment at which Python would drop it.

The handler of a signal raises in whatever code is at work. Where that is a finalizer or the callback of a weak
reference, Python prints the exception and goes on as if nobody had asked: a Ctrl-C without effect.
"""

import signal
import sys
import threading
from types import FrameType
from typing import TYPE_CHECKING, Final, NoReturn

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

# Long enough for the code at work, in which it would be dropped once more, to come to its end.
AGAIN_AFTER_SECONDS: Final = 0.01


def raise_what_is_dropped() -> None:
    """From now on raise a dropped KeyboardInterrupt or SystemExit once more, in the code that is at work then."""
    sys.unraisablehook = _look


def _look(dropped: "UnraisableHookArgs") -> None:
    asked = dropped.exc_value
    is_main = threading.current_thread() is threading.main_thread()  # signals are its business alone
    if not isinstance(asked, KeyboardInterrupt | SystemExit) or not is_main:
        sys.__unraisablehook__(dropped)
        return

    def raise_again(_number: int, _frame: FrameType | None) -> NoReturn:
        signal.signal(signal.SIGALRM, before)
        raise asked

    before = signal.signal(signal.SIGALRM, raise_again)
    signal.setitimer(signal.ITIMER_REAL, AGAIN_AFTER_SECONDS)
