"""What Meta does about a business as a whole: how many people it may reach, how fast, and whether it may at all."""

import asyncio
import time
from collections.abc import Callable
from typing import Final

from server.simulator import notices
from server.simulator.errors import Refusal
from server.simulator.ledger import Accepted, Ledger
from server.simulator.limits import MESSAGING_LIMIT_SECONDS, MESSAGING_LIMITS, Cap, Lately
from server.simulator.timetable import Timetable
from server.simulator.webhooks import Webhooks
from server.simulator.world import Number, World

UPGRADED_RATE: Final = 1_000.0
UPGRADE_SECONDS: Final = 60.0
"""While a number is upgraded, it is in maintenance (131057), for up to a minute."""
GROWING_SECONDS: Final = 6 * 3600.0
CAPPED: Final = 131049
RESTRICTED: Final = 368
DISABLED: Final = 131031


class Account:
    """Keeps the limits of the business. One for each simulator."""

    def __init__(self, loop: asyncio.AbstractEventLoop, world: World, ledger: Ledger, webhooks: Webhooks) -> None:
        self._world = world
        self._ledger = ledger
        self._webhooks = webhooks
        self._calendar: Timetable[Callable[[], None]] = Timetable(loop, _do_all)
        self.forget()

    def forget(self) -> None:
        """Everything as at the start."""
        self._calendar.clear()
        day = MESSAGING_LIMIT_SECONDS / self._world.time_scale
        self._reached = Lately(day)
        self._counted = 0
        self._cap = Cap(day)
        self._growing = False

    def check(self, person: str) -> None:
        """Whether the business may begin with this person now. Raises Refusal where that is told in the answer."""
        limits = self._world.limits
        if limits.beyond and not limits.beyond_by_webhook and self._is_beyond(person, len(self._ledger.accepted)):
            raise Refusal(limits.beyond, "The messaging limit of the business was reached.")

    def failure(self, entry: Accepted) -> int | None:
        """The code that this message fails with after it was accepted, because of a limit; None where it does not.

        Counts the message: it is to be asked once for each.
        """
        limits, person, now = self._world.limits, entry.wa_id, time.time()
        outside = not self._world.people.has_window(person, now)
        if limits.beyond_by_webhook and limits.beyond and self._is_beyond(person, entry.n - 1):
            return limits.beyond
        if limits.marketing_cap and outside and self._world.is_marketing(entry.template, entry.language):
            if not self._cap.allows(person, limits.marketing_cap, now):
                return CAPPED
            self._cap.take(person, now)
        self._reach(entry.phone_number_id, person, now)
        return None

    def used(self) -> int:
        """Unique people that the business began with in the last 24 hours."""
        now = time.time()
        self._count(now, len(self._ledger.accepted))
        return self._reached.count(now)

    def _count(self, now: float, end: int) -> None:
        """Those of the messages up to `end` that were reached since we last looked.

        Who has a service window open does not count, nor who will not get the message.
        """
        accepted, people, codes = self._ledger.accepted, self._world.people, self._ledger.statuses.codes
        for position in range(self._counted, end):
            entry = accepted[position]
            if entry.n not in codes and not people.has_window(entry.wa_id, now):
                self._reached.note(entry.wa_id, entry.unix_seconds)
        self._counted = max(self._counted, end)

    def _is_beyond(self, person: str, end: int) -> bool:
        """Whether this person is one too many after the messages up to `end`."""
        limit = MESSAGING_LIMITS.get(self._world.messaging_limit)
        now = time.time()
        if limit is None or self._world.people.has_window(person, now):
            return False
        self._count(now, end)
        return not self._reached.has(person, now) and self._reached.count(now) >= limit

    def _reach(self, number_id: str, person: str, now: float) -> None:
        limits = self._world.limits
        if not (limits.grows or limits.upgrade_after):
            return
        used = self.used()
        limit = MESSAGING_LIMITS.get(self._world.messaging_limit)
        good = self._world.quality_rating != "RED"
        if limits.grows and limit is not None and 2 * used >= limit and good and not self._growing:
            self._growing = True
            self._calendar.add(GROWING_SECONDS / self._world.time_scale, self._grow)
        number = self._world.number(number_id)
        if limits.upgrade_after and used >= limits.upgrade_after and limit is None and good and not number.upgraded:
            self.upgrade(number, UPGRADE_SECONDS)

    def _grow(self) -> None:
        self._growing = False
        tiers = list(MESSAGING_LIMITS)
        place = tiers.index(self._world.messaging_limit)
        if place + 1 < len(tiers):
            self.allow(tiers[place + 1])

    # On demand, or because it is time

    def allow(self, tier: str) -> None:
        """From now on so many people in 24 hours. Raises ValueError where there is no such tier."""
        if tier not in MESSAGING_LIMITS:
            raise ValueError(f"tier must be one of {', '.join(MESSAGING_LIMITS)}, not {tier!r}")
        self._world.messaging_limit = tier
        self._webhooks.tell(notices.capability(tier))

    def upgrade(self, number: Number, seconds: float = 0.0) -> None:
        """The number may send 1,000 a second, after so many seconds of maintenance by Meta's clock."""
        number.upgraded = True
        if not seconds:
            self._finish_upgrade(number)
            return
        number.in_maintenance = True
        self._calendar.add(seconds / self._world.time_scale, lambda: self._finish_upgrade(number))

    def _finish_upgrade(self, number: Number) -> None:
        number.in_maintenance = False
        number.throughput.rate = UPGRADED_RATE if number.throughput.rate else 0.0
        self._webhooks.tell(notices.throughput_upgrade(number.digits, self._world.messaging_limit))

    def restrict(self, seconds: float) -> None:
        """The business may begin no conversations for so long, by Meta's clock."""
        self._world.restriction = RESTRICTED
        self._webhooks.tell(notices.restriction(seconds / self._world.time_scale))
        self._calendar.add(seconds / self._world.time_scale, self._lift_if_restricted)

    def _lift_if_restricted(self) -> None:
        if self._world.restriction == RESTRICTED:
            self._world.restriction = None

    def disable(self) -> None:
        """The account is disabled: it sends nothing."""
        self._world.restriction = DISABLED
        self._webhooks.tell(notices.account("DISABLED_UPDATE", "DISABLE"))

    def reinstate(self) -> None:
        """Whatever was wrong with the account is over."""
        self._world.restriction = None
        self._webhooks.tell(notices.account("DISABLED_UPDATE", "REINSTATE"))


def _do_all(deeds: list[Callable[[], None]]) -> None:
    for deed in deeds:
        deed()
