"""What becomes of a message that was accepted: it is sent, delivered, read and answered, or it fails.

Who does what is in people.py, when it happens and how it is told in webhook_manners.py. An ordinary message of an
orderly world costs three entries in a timetable and nothing else.
"""

import asyncio
import random
import time
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from server.simulator.chance import Chance
from server.simulator.contents import Contents
from server.simulator.faces import reply_of, start_word_of, stop_word_of
from server.simulator.ledger import Accepted, Ledger
from server.simulator.people import ORDINARY, Habit, Reaction
from server.simulator.statuses import Status, pack
from server.simulator.timetable import Timetable
from server.simulator.voices import Voices
from server.simulator.webhooks import Webhooks
from server.simulator.world import World

SECOND_COPY_SECONDS = 0.5
"""The second copy of a status follows within this time."""
REMEMBERED_SECONDS = 86_400.0
"""A simulator that is started again leads to its end what was accepted within this time."""


class _Step(NamedTuple):
    status: Status
    seconds: float
    """After the message was accepted."""


class Life:
    """Leads every message to its end. One for each simulator."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        world: World,
        ledger: Ledger,
        webhooks: Webhooks,
        voices: Voices,
        contents: Contents,
    ) -> None:
        self._world = world
        self._ledger = ledger
        self._webhooks = webhooks
        self._voices = voices
        self._contents = contents
        self._statuses: Timetable[int] = Timetable(loop, webhooks.tell_statuses)
        self._deeds: Timetable[Callable[[], None]] = Timetable(loop, self._do)
        self._stopped: set[str] = set()
        self.blocked: Callable[[Accepted], None] = lambda _: None
        """Called where a person blocks the business because of this message."""

    @property
    def waiting(self) -> int:
        """What is still to happen."""
        return self._statuses.waiting + self._deeds.waiting

    def forget(self) -> None:
        """Nothing more happens to any message so far."""
        self._statuses.clear()
        self._deeds.clear()
        self._stopped.clear()

    def later(self, seconds: float, deed: Callable[[], None]) -> None:
        """Do something after so many seconds, unless everything is forgotten before."""
        self._deeds.add(seconds, deed)

    def begin(self, entry: Accepted, habit: Habit, code: int | None, *, may_be_early: bool = False) -> int | None:
        """A message was accepted. code: what it will fail with.

        Returns its first status, packed, where that is to be told before the answer to the send; else None.
        """
        manners = self._webhooks.manners
        if code is not None:
            self._ledger.statuses.codes[entry.n] = code
        elif habit is ORDINARY and manners.orderly:
            self._begin_as_usual(entry.n)
            return None
        return self._lead(entry, habit, code, may_be_early=may_be_early)

    def go_on(self) -> None:
        """Lead to their end the messages of the ledger's file that a simulator before this one was killed over.

        What its one callback has acknowledged is not told again. Nobody reacts: they may have done so before. A world
        with limits goes on with nothing: what it held back, and whom it had counted, is not in the file.
        """
        if self._world.strict:
            return
        now, statuses = time.time(), self._ledger.statuses
        for entry in self._ledger.accepted:
            if now - entry.unix_seconds < REMEMBERED_SECONDS and not statuses.is_over(entry.n):
                habit = self._world.people.habit_of(entry.wa_id)
                code = self._world.failure(entry, habit)
                if code is not None:
                    statuses.codes[entry.n] = code
                self._lead(entry, msgspec.structs.replace(habit, reaction=None), code)

    def _lead(self, entry: Accepted, habit: Habit, code: int | None, *, may_be_early: bool = False) -> int | None:
        manners = self._webhooks.manners
        name = f"{entry.wa_id}:{self._ledger.people.get(entry.wa_id, 0)}"
        chance = Chance(self._world.seed, name)
        steps = self._steps(habit, code, chance)
        early = self._schedule(entry.n, steps, chance, may_be_early=may_be_early)
        if habit.reaction is not None and steps[-1].status is Status.READ:
            seconds = steps[-1].seconds + chance.around(manners.reply_ms, manners.spread) / 1000
            self._deeds.add(seconds, lambda: self._react(entry, habit))
        return early

    def _begin_as_usual(self, n: int) -> None:
        manners, now, add = self._webhooks.manners, time.time(), self._statuses.add
        seconds = manners.sent_ms / 1000
        add(seconds, pack(n, Status.SENT, int(now + seconds)))
        seconds += manners.delivered_ms / 1000
        add(seconds, pack(n, Status.DELIVERED, int(now + seconds)))
        seconds += manners.read_ms / 1000
        add(seconds, pack(n, Status.READ, int(now + seconds)))

    def _steps(self, habit: Habit, code: int | None, chance: Chance) -> list[_Step]:
        """What happens to the message and when, in the order in which it happens."""
        manners = self._webhooks.manners
        if code is not None:
            return [_Step(Status.FAILED, chance.around(manners.delivered_ms, manners.spread) / 1000)]
        slow = manners.slow_ms if habit.slow else 0.0
        seconds = chance.around(manners.sent_ms, manners.spread) / 1000
        steps = [_Step(Status.SENT, seconds)]
        seconds += chance.around(manners.delivered_ms + slow, manners.spread) / 1000
        if habit.delivered:
            steps.append(_Step(Status.DELIVERED, seconds))
        seconds += chance.around(manners.read_ms, manners.spread) / 1000
        if habit.read:
            steps.append(_Step(Status.READ, seconds))
        return steps

    def _schedule(self, n: int, steps: list[_Step], chance: Chance, *, may_be_early: bool) -> int | None:
        manners, now = self._webhooks.manners, time.time()
        arrivals = [step.seconds for step in steps]
        if chance.happens(manners.shuffled):
            arrivals = _in_another_order(arrivals, chance)
        early: int | None = None
        for position, (step, arrival) in enumerate(zip(steps, arrivals, strict=True)):
            happens = int(now + step.seconds)
            if position == 0 and may_be_early and chance.happens(manners.early):
                early = pack(n, step.status, int(now))
                continue
            lost = chance.happens(manners.lost)
            if self._ledger.statuses.is_acknowledged(n, step.status):
                continue
            self._statuses.add(arrival, pack(n, step.status, happens, lost=lost))
            if not lost and chance.happens(manners.doubled):
                again = arrival + chance.draw() * SECOND_COPY_SECONDS
                self._statuses.add(again, pack(n, step.status, happens, again=True))
        return early

    def _do(self, deeds: list[Callable[[], None]]) -> None:
        for deed in deeds:
            deed()
        self._webhooks.look()

    # What people do after reading

    def _react(self, entry: Accepted, habit: Habit) -> None:
        person, number_id = entry.wa_id, entry.phone_number_id
        match habit.reaction:
            case Reaction.REPLY:
                self._voices.write(person, number_id, reply_of(person), context_id=entry.message_id)
            case Reaction.STOP:
                self._stop(entry, habit)
            case Reaction.TAP:
                self._tap(entry, with_context=True)
            case Reaction.TAP_BARE:
                self._tap(entry, with_context=False)
            case Reaction.OPT_OUT:
                if self._world.is_marketing(entry.template, entry.language) and person not in self._world.people.left:
                    self._voices.choose(person, number_id, "stop")
            case Reaction.BLOCK:
                self._world.people.blocking.add(person)
                self.blocked(entry)
            case None:
                pass

    def _stop(self, entry: Accepted, habit: Habit) -> None:
        """Once is enough: who has said STOP does not say it again, unless it was taken back."""
        person, number_id = entry.wa_id, entry.phone_number_id
        if person in self._stopped:
            return
        self._stopped.add(person)
        word = stop_word_of(person)
        self._voices.write(person, number_id, word, context_id=entry.message_id, hidden=habit.hidden)
        if habit.comes_back:
            self.later(self._webhooks.manners.return_ms / 1000, lambda: self._come_back(person, number_id))

    def _come_back(self, person: str, number_id: str) -> None:
        self._stopped.discard(person)
        self._voices.write(person, number_id, start_word_of(person))

    def _tap(self, entry: Accepted, *, with_context: bool) -> None:
        letter = self._contents.letter(entry.n)
        button = next((button for button in letter.buttons if button.payload is not None), None) if letter else None
        if button is not None:
            self._voices.tap(entry, button, with_context=with_context)


def _in_another_order(arrivals: list[float], chance: Chance) -> list[float]:
    """The same times, for others: never the order they had, where there is another."""
    shuffled = arrivals.copy()
    random.Random(chance.draw()).shuffle(shuffled)  # noqa: S311  chance that can be repeated, no secret
    return shuffled if shuffled != arrivals else arrivals[::-1]
