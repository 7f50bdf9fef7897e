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


class _Alarm:
    """What is to be raised once more, by the process's alarm, and whose the alarm was until then.

    The alarm is RQ's while it watches over a job: it gets it back, with the time that was left.
    """

    def __init__(self) -> None:
        self._dropped: BaseException | None = None

    def set_for(self, dropped: BaseException) -> None:
        """Raise it in a moment. Of two that are dropped within that moment it is the later one."""
        if self._dropped is None:
            self._handler_before = signal.signal(signal.SIGALRM, self._ring) or signal.SIG_DFL
            self._seconds_before, _ = signal.setitimer(signal.ITIMER_REAL, AGAIN_AFTER_SECONDS)
        self._dropped = dropped

    def _ring(self, _number: int, _frame: FrameType | None) -> NoReturn:
        dropped, self._dropped = self._dropped, None
        signal.signal(signal.SIGALRM, self._handler_before)
        if self._seconds_before:
            signal.setitimer(signal.ITIMER_REAL, max(self._seconds_before - AGAIN_AFTER_SECONDS, 0.001))
        assert dropped is not None
        raise dropped.with_traceback(None)  # its frames would keep alive what was being cleared away


_ALARM: Final = _Alarm()


def raise_what_is_dropped(*kinds: type[Exception]) -> None:
    """From now on raise a dropped KeyboardInterrupt or SystemExit once more, in the code that is at work then.

    kinds: what else the handlers of this process's signals raise.
    """

    def raise_soon(dropped: "UnraisableHookArgs") -> None:
        asked = dropped.exc_value
        is_main = threading.current_thread() is threading.main_thread()  # signals are its business alone
        if asked is not None and isinstance(asked, (KeyboardInterrupt, SystemExit, *kinds)) and is_main:
            _ALARM.set_for(asked)
        else:
            sys.__unraisablehook__(dropped)

    sys.unraisablehook = raise_soon
