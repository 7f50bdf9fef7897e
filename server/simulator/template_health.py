"""What Meta does about templates: new ones are paced, unpopular ones are paused for 3 hours, for 6, and then disabled.

A template's quality follows from how many of those who got it block the business. What is held back by pacing lives
on when it is released, and fails with 132015 when it is dropped.
"""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from server.simulator import notices
from server.simulator.ledger import Accepted, Ledger
from server.simulator.life import Life
from server.simulator.people import Habit
from server.simulator.templates import Template
from server.simulator.timetable import Timetable
from server.simulator.webhooks import Webhooks
from server.simulator.world import World

HOUR_SECONDS: Final = 3600.0
PAUSES: Final = ((3 * HOUR_SECONDS, "FIRST_PAUSE"), (6 * HOUR_SECONDS, "SECOND_PAUSE"))
DROPPED: Final = 132015

Key = tuple[str, str]


@dataclass(slots=True)
class _Health:
    messages: int = 0
    """Accepted since the template was last paused."""
    blocks: int = 0
    pauses: int = 0
    paced: int = 0
    free: bool = False
    """Whether pacing has come to its verdict."""
    held: list[tuple[Accepted, Habit]] = field(default_factory=list)


class TemplateHealth:
    """Watches over all templates. One for each simulator."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, world: World, ledger: Ledger, webhooks: Webhooks, life: Life
    ) -> None:
        self._world = world
        self._ledger = ledger
        self._webhooks = webhooks
        self._life = life
        # Not of the life of messages: nobody who waits for that waits for hours.
        self._calendar: Timetable[Callable[[], None]] = Timetable(loop, _do_all)
        self._health: dict[Key, _Health] = {}
        self._counted = self._messages = self._blocks = 0

    def forget(self) -> None:
        """Everything as at the start; the templates themselves are the world's."""
        self._calendar.clear()
        self._health.clear()
        self._counted = self._messages = self._blocks = 0

    def named(self, name: str, language: str | None) -> list[Template]:
        """The templates of this name, in one language or all. Raises ValueError where there is none."""
        found = [one for one in self._world.templates if one.name == name and language in {None, one.language}]
        if not found:
            raise ValueError(f"there is no template {name} in {language or 'any language'}")
        return found

    # Pacing

    def holds(self, entry: Accepted, habit: Habit) -> bool:
        """Whether this message is held back, and from then on in our hands."""
        limits = self._world.limits
        if not limits.pace_hold or not self._world.is_marketing(entry.template, entry.language):
            return False
        health = self._of(entry)
        if health.free:
            return False
        health.paced += 1
        if not limits.pace_after < health.paced <= limits.pace_after + limits.pace_hold:
            return False
        if not health.held:
            self._calendar.add(self._scaled(limits.pace_minutes * 60), lambda: self._come_to_a_verdict(entry))
        health.held.append((entry, habit))
        return True

    def release(self, template: Template) -> int:
        """Let go what is held. Returns how many messages that were."""
        held = self._let_go(template)
        for entry, habit in held:
            self._life.begin(entry, habit, self._world.failure(entry, habit))
        return len(held)

    def drop(self, template: Template) -> int:
        """Fail what is held, and pause the template until somebody unpauses it. Returns how many messages that were."""
        held = self._let_go(template)
        self._become(template, "PAUSED", "RATE_LIMITING_PAUSE")
        for entry, habit in held:
            self._life.begin(entry, habit, DROPPED)
        return len(held)

    def _let_go(self, template: Template) -> list[tuple[Accepted, Habit]]:
        health = self._of(template)
        health.free = True
        held, health.held = health.held, []
        return held

    def _come_to_a_verdict(self, entry: Accepted) -> None:
        for template in self._template_of(entry):
            if not self._of(template).held:
                return  # somebody ordered it before
            if template.quality == "RED":
                self.drop(template)
            else:
                self.release(template)

    # Quality

    def blocked(self, entry: Accepted) -> None:
        """Somebody blocks the business because of this message."""
        self._count_messages()
        self._blocks += 1
        self._world.quality_rating = self._score(self._blocks, self._messages)
        for template in self._template_of(entry):
            health = self._of(template)
            health.blocks += 1
            self.rate(template, self._score(health.blocks, health.messages))

    def rate(self, template: Template, score: str) -> None:
        """The template has this quality from now on; one that becomes RED is paused."""
        previous, template.quality = template.quality, score
        if previous == score:
            return
        self._webhooks.tell(notices.template_quality(template, previous))
        if score == "RED" and template.status == "APPROVED":
            self.pause(template)

    def pause(self, template: Template) -> None:
        """Pause it: for 3 hours, the second time for 6, the third time for ever."""
        health = self._of(template)
        if health.pauses == len(PAUSES):
            self.disable(template)
            return
        seconds, title = PAUSES[health.pauses]
        health.pauses += 1
        turn = health.pauses
        self._become(template, "PAUSED", title)
        self._calendar.add(self._scaled(seconds), lambda: self._end_pause(template, turn))

    def unpause(self, template: Template) -> None:
        """It may be sent again, and its quality is judged anew."""
        health = self._of(template)
        self._count_messages()
        health.messages = health.blocks = 0
        self._become(template, "APPROVED", "UNPAUSE")
        self.rate(template, "GREEN")

    def disable(self, template: Template) -> None:
        """It is never sent again."""
        self._become(template, "DISABLED", "DISABLED")

    def _end_pause(self, template: Template, turn: int) -> None:
        if template.status == "PAUSED" and self._of(template).pauses == turn:
            self.unpause(template)

    def _become(self, template: Template, status: str, title: str) -> None:
        template.status = status
        self._webhooks.tell(notices.template_status(template, status, title))

    def _score(self, blocks: int, messages: int) -> str:
        limits = self._world.limits
        if messages < limits.judged_after:
            return "GREEN"
        share = blocks / messages
        return "RED" if share >= limits.red else "YELLOW" if share >= limits.yellow else "GREEN"

    def _count_messages(self) -> None:
        """Count what was accepted since we last looked. Only now, so that sending itself pays nothing for it."""
        accepted = self._ledger.accepted
        for position in range(self._counted, len(accepted)):
            entry = accepted[position]
            self._messages += 1
            if entry.template is not None:
                self._of(entry).messages += 1
        self._counted = len(accepted)

    def _of(self, what: Accepted | Template) -> _Health:
        key = (what.name, what.language) if isinstance(what, Template) else (what.template or "", what.language or "")
        return self._health.setdefault(key, _Health())

    def _template_of(self, entry: Accepted) -> Iterator[Template]:
        """The template of a message, if it has one."""
        if entry.template is not None and entry.language is not None:
            template = self._world.templates.get(entry.template, entry.language)
            if template is not None:
                yield template

    def _scaled(self, seconds: float) -> float:
        return seconds / self._world.time_scale


def _do_all(deeds: list[Callable[[], None]]) -> None:
    for deed in deeds:
        deed()
