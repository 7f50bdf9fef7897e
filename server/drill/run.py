"""One drill from its beginning to its end: a broadcast, its plug pulled again and again, and what came of it.

A kill is due by how many messages the simulator has accepted, so the kills are spread over the whole broadcast however
fast the machine is. Which victim is next follows from the seed alone.
"""

import random
import secrets
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from server.drill import victims
from server.drill.books import Books, Standing, make_broadcast
from server.drill.plug import QUICK, Plug, StandsStill, own_environment
from server.drill.result import Result
from server.drill.simulated import Simulated
from server.drill.victims import Victim

LOOK_EVERY_SECONDS: Final = 0.1
# Nothing at all happened for so long: that is a fault, not a wait. Longer than unknowns wait at most.
STILL_SECONDS: Final = 420.0
# After the end: gates, leases and webhooks are let go of within moments, unless something is wrong.
LET_GO_SECONDS: Final = 60.0
# As many people between two kills as leave in about a second; a claim takes a quarter of a second's at most.
LEAST_RATE: Final = 20
HIGHEST_RATE: Final = 2_000
LEAST_SHARE_OF_GAP: Final = 1 / 3


@dataclass(frozen=True, slots=True)
class Order:
    """What was asked for."""

    people: int
    kills: int
    seed: int

    @property
    def rate(self) -> int:
        """Messages a second, so that people go out between two kills, and not all of them."""
        return max(LEAST_RATE, min(HIGHEST_RATE, round(self.gap)))

    @property
    def gap(self) -> float:
        """People between two kills."""
        return self.people / (self.kills + 1)

    def victims(self) -> list[Victim]:
        """Whom to kill, in this order."""
        dice = random.Random(self.seed)  # noqa: S311 - it is to be repeated
        return [victims.choose(dice) for _ in range(self.kills)]


@dataclass(slots=True)
class Progress:
    """How far a drill is, for whoever watches. doing: in a few words. killed: in the order it was done."""

    people: int
    accepted: int = 0
    doing: str = "starting"
    standing: Standing | None = None
    killed: list[Victim] = field(default_factory=list)


Tell = Callable[[Progress], None]


class Drill:
    """A drill in a folder of its own, which is there already. tell: is shown how far it is, ten times a second."""

    def __init__(self, folder: Path, order: Order, tell: Tell) -> None:
        self._folder = folder
        self._order = order
        self._tell = tell
        self._progress = Progress(order.people)
        self._plug = Plug(folder / "data", {**own_environment(), **QUICK}, folder / "up.log")
        self._changed_at = time.monotonic()
        self._seen: object = None

    def run(self) -> Result:
        """Do all of it. Nothing of it runs when this returns or raises.

        Raises `Unreachable` where it cannot start, or nothing goes on any more.
        """
        secret = secrets.token_urlsafe(24)
        webhook_url = f"{self._plug.address}/webhooks/whatsapp"
        with (
            Simulated(self._folder, own_environment(), webhook_url, secret, self._order.seed) as simulated,
            self._plug.aimed_at(simulated.url),
        ):
            self._plug.start(self._show)
            self._progress.doing = "reading in the list"
            self._show()
            books = make_broadcast(
                self._plug.database_url,
                self._plug.data_dir,
                simulated.url,
                app_secret=secret,
                people=self._order.people,
                rate=self._order.rate,
            )
            began = time.monotonic()
            self._kill_all(books, simulated)
            self._until_over(books, simulated)
            return self._result(books, simulated, time.monotonic() - began)

    def _kill_all(self, books: Books, simulated: Simulated) -> None:
        due, gap = 0.0, self._order.gap
        for number, victim in enumerate(self._order.victims(), 1):
            due = max(number * gap, self._progress.accepted + gap * LEAST_SHARE_OF_GAP)
            while not self._is_over(books, simulated):
                is_due = self._progress.accepted >= due or self._is_idle()
                if is_due and self._pull(victim):
                    break
                time.sleep(LOOK_EVERY_SECONDS)
            else:
                return

    def _pull(self, victim: Victim) -> bool:
        self._progress.doing = f"the plug of {victim} is pulled"
        if not self._plug.pull(victim, self._show):
            return False
        self._progress.killed.append(victim)
        self._show()
        return True

    def _until_over(self, books: Books, simulated: Simulated) -> None:
        while not self._is_over(books, simulated):
            time.sleep(LOOK_EVERY_SECONDS)

    def _is_idle(self) -> bool:
        return self._progress.standing is not None and self._progress.standing.is_idle

    def _is_over(self, books: Books, simulated: Simulated) -> bool:
        """Look once. Raises `StandsStill` where nothing has changed for too long."""
        progress = self._progress
        progress.standing = books.standing()
        progress.accepted = simulated.accepted_count()
        progress.doing = progress.standing.status if progress.standing is not None else "the database comes back"
        seen = (progress.standing, progress.accepted, len(progress.killed))
        if seen != self._seen:
            self._seen, self._changed_at = seen, time.monotonic()
        elif time.monotonic() - self._changed_at > STILL_SECONDS:
            raise StandsStill(
                f"Nothing has happened for {STILL_SECONDS:.0f} s. With --keep the drill's logs stay in its folder."
            )
        self._show()
        return progress.standing is not None and progress.standing.has_ended

    def _show(self) -> None:
        self._tell(self._progress)

    def _result(self, books: Books, simulated: Simulated, seconds: float) -> Result:
        wrong = [*books.disagreements(), *self._not_let_go(books)]
        messages = simulated.messages_by_phone()
        assert self._progress.standing is not None
        return Result(
            seed=self._order.seed,
            people=self._order.people,
            accepted=messages.total(),
            reach=books.reach(messages),
            unknowns=books.unknowns(),
            kills=Counter(self._progress.killed),
            wanted_kills=self._order.kills,
            wrong=tuple(wrong),
            status=self._progress.standing.status,
            seconds=seconds,
        )

    def _not_let_go(self, books: Books) -> list[str]:
        """What is still held after the end, in plain words; the last of it is let go of in a moment."""
        self._progress.doing = "reading the books"
        deadline = time.monotonic() + LET_GO_SECONDS
        while any(left := books.left()) and time.monotonic() < deadline:
            self._show()
            time.sleep(LOOK_EVERY_SECONDS)
        return [f"{name} left behind: {count}" for name, count in left._asdict().items() if count]
