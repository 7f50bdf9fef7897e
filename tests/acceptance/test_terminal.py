"""At a terminal: a person is asked, sees it go, and may leave."""

import contextlib
import fcntl
import os
import pty
import subprocess
import termios
from collections.abc import Iterator
from contextlib import contextmanager

from tests.support.clarion import ORDER, PEOPLE, Clarion
from tests.support.engine import until
from tests.support.forks import CLARION
from tests.support.simulator import Simulator


class Terminal:
    """A command at a terminal of its own: what is typed, and what is to be seen."""

    def __init__(self, clarion: Clarion, *arguments: str) -> None:
        self._keyboard, its_side = pty.openpty()
        os.set_blocking(self._keyboard, False)
        self.seen = ""
        self.process = subprocess.Popen(
            [CLARION, *arguments],
            env={**clarion.environment, "TERM": "xterm", "COLUMNS": "120"},
            cwd=clarion.folder,
            stdin=its_side,
            stdout=its_side,
            stderr=its_side,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509 - so that Ctrl-C is a key
        )
        os.close(its_side)

    def type(self, keys: str) -> None:
        """Press these keys."""
        os.write(self._keyboard, keys.encode())

    def shows(self, text: str) -> None:
        """Wait until the terminal has shown this."""
        until(lambda: text in self._look(), what=text)

    def end(self) -> int:
        """Wait for the command's end. Returns its exit code."""
        until(self._has_ended, what="the end of the command")
        self._look()
        return self.process.wait()

    def close(self) -> None:
        """Take the terminal away; a command that still runs is killed."""
        self.process.kill()
        self.process.wait()
        os.close(self._keyboard)

    def _has_ended(self) -> bool:
        self._look()  # or it would wait for somebody to read what it says
        return self.process.poll() is not None

    def _look(self) -> str:
        # The terminal of a command that has ended answers with an error; one that has nothing new would block.
        with contextlib.suppress(OSError):
            while seen := os.read(self._keyboard, 65_536):
                self.seen += seen.decode(errors="replace")
        return self.seen


@contextmanager
def at_a_terminal(clarion: Clarion, file: str, *more: str) -> Iterator[Terminal]:
    """`clarion send` as a person types it."""
    terminal = Terminal(clarion, "send", file, "--business", "Acme", *ORDER, *more)
    try:
        yield terminal
    finally:
        terminal.close()


def test_a_person_is_asked_and_no_leaves_nothing_behind(clarion: Clarion) -> None:
    with at_a_terminal(clarion, clarion.file(PEOPLE)) as terminal:
        terminal.shows("Send to 20 people? [y/N]")
        terminal.type("\n")
        assert terminal.end() == 0
        assert "Nothing was sent." in terminal.seen
    assert clarion.broadcasts() == []


def test_a_person_who_says_yes_sees_it_go(clarion: Clarion) -> None:
    people = "phone,first_name,order_id\n" + "".join(f"+97256{n:07d},Name,A-{n}\n" for n in range(60))
    with at_a_terminal(clarion, clarion.file(people, "live.csv"), "--rate", "40") as terminal:
        terminal.shows("At 40 messages a second it takes 2 s.")
        terminal.shows("Send to 60 people?")
        terminal.type("y\n")
        terminal.shows("of 60")
        terminal.shows("running")
        assert terminal.end() == 0
        assert "completed: 60 sent of 60." in terminal.seen


def test_ctrl_c_while_it_is_asked_leaves_nothing_behind(clarion: Clarion) -> None:
    before = clarion.broadcasts()
    with at_a_terminal(clarion, clarion.file(PEOPLE)) as terminal:
        terminal.shows("Send to 20 people?")
        terminal.type("\x03")
        assert terminal.end() == 130
    assert clarion.broadcasts() == before


def test_ctrl_c_while_it_goes_says_how_to_go_on(clarion: Clarion, simulator: Simulator) -> None:
    simulator.reset()
    people = "phone,first_name,order_id\n" + "".join(f"+97257{n:07d},Name,A-{n}\n" for n in range(400))
    with at_a_terminal(clarion, clarion.file(people, "left.csv"), "--rate", "40", "--yes") as terminal:
        simulator.wait_for_accepted(10)
        terminal.type("\x03")
        assert terminal.end() == 130
        assert "clarion broadcasts watch" in terminal.seen
    (shown,) = [shown for shown in clarion.broadcasts() if shown["name"] == "left"]
    assert (shown["status"], shown["unknown_count"]) == ("queued", 0)
    assert clarion.run("broadcasts", "cancel", str(shown["id"])).code == 0
