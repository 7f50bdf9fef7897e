"""The quiet hours of one run: nobody whose hours they are is sent to, from the first minute to the last.

Three looks, from the coarse to the exact. When a run begins, and whenever a minute changes what is quiet, the list is
asked whether anybody is left alone now: where everybody is, the run stops until the first may be sent to; where some
are, they are put off before they are claimed, a few thousand at a time beside the sending. Whoever was claimed all the
same is put off then. And right before a message leaves its person's clock is looked at once more.
"""

import time
from datetime import UTC, datetime
from typing import Any, Final

from server.domain.quiet_hours import EVERYBODY_AWAKE, QUIET, Hours, Timetable, parse, timetable
from server.domain.sentences import said
from server.domain.states import PauseReason, RecipientStatus
from server.services import put_offs
from server.services.ledger import Claimed, Result, Standing
from server.services.run_control import Cause, Stop
from server.services.run_ledger import RunLedger

MINUTE_SECONDS: Final = 60
EVERYBODY_QUIET: Final = said(
    "It is quiet hours for everybody who is left. It goes on by itself when the first may be sent to."
)


class RunHours:
    """Who is left alone at this moment, by the wall clock."""

    def __init__(self, *, is_marketing: bool) -> None:
        """is_marketing: whether the message is; nothing else has quiet hours."""
        self._is_marketing = is_marketing
        self._said: tuple[Any, Any] | None = None
        self._hours: Hours | None = None
        self._minute = -1
        self._table = EVERYBODY_AWAKE
        self._is_new = False  # the table changed, and the list was not asked yet
        self._looked_through_id: int | None = None  # of the list; None: nothing is left to look through
        self._releases_in: set[int] = set()  # minutes from which on whoever the old hours put off is let go

    def follow(self, standing: Standing) -> None:
        """Go by what the business says now."""
        said = (standing.quiet_hours, standing.time_zone)
        if self._is_marketing and said != self._said:
            if self._said is not None:
                # Now, and once more: what was put off a moment ago is yet to be recorded.
                self._releases_in |= {0, int(time.time()) // MINUTE_SECONDS + 1}
            self._said = said
            self._hours = Hours(parse(standing.quiet_hours), standing.time_zone) if standing.quiet_hours else None
            self._minute = -1

    def put_off(self, recipient: Claimed) -> Result | None:
        """What becomes of somebody who is left alone now: back into the queue until their morning. None: send."""
        until = self._now().until(recipient.phone)
        if until is None:
            return None
        delay_seconds = max(until.timestamp() - time.time(), 0.0)
        queued = RecipientStatus.QUEUED
        claim = recipient.claim_number
        return Result(recipient.id, claim, queued, error_message=QUIET, unused=1, delay_seconds=delay_seconds)

    async def arrange(self, ledger: RunLedger) -> Stop | None:
        """Put off who is left alone now, before they are claimed; costs nothing while nothing changes.

        A stop: nobody who is left may be sent to. Raises `RunLost`.
        """
        table = self._now()
        due = {minute for minute in self._releases_in if minute <= self._minute}
        if due:
            self._releases_in -= due  # before, as below: hours that change meanwhile are to be gone by as well
            self._is_new = True
            await ledger.until_lost(lambda use: put_offs.release_own(use, everybody=0 in due))
        if self._is_new:
            self._is_new = False  # before the look: a minute that begins meanwhile makes it new again
            found = await ledger.until_lost(lambda use: put_offs.census(use, table))
            self._looked_through_id = None
            if found.first_until is not None:
                if not found.is_anybody_awake:
                    return self.everybody_quiet(found.first_until - time.time())
                self._looked_through_id = 0
        if self._looked_through_id is not None:
            after_id = self._looked_through_id
            self._looked_through_id = await ledger.until_lost(lambda use: put_offs.put_off(use, table, after_id))
        return None

    def everybody_quiet(self, seconds: float) -> Stop:
        """How a run stops that has nobody left but people who are left alone, for so many seconds the first of them."""
        resume_seconds = max(seconds, 0.001)
        return Stop(Cause.HELD, PauseReason.QUIET_HOURS, EVERYBODY_QUIET, resume_seconds, hours=self._said)

    def _now(self) -> Timetable:
        """The timetable of this minute."""
        minute = int(time.time()) // MINUTE_SECONDS
        if minute != self._minute:
            self._minute = minute
            hours = self._hours
            begins = datetime.fromtimestamp(minute * MINUTE_SECONDS, UTC)
            table = EVERYBODY_AWAKE if hours is None else timetable(lambda zones: hours.until(zones, begins))
            self._is_new = self._is_new or table != self._table
            self._table = table
        return self._table
