"""The hours of one run: nobody is sent to in their quiet hours, nor before their local time, from first to last.

Three looks, from the coarse to the exact. When a run begins, and whenever an instant changes who is left alone, the
list is asked whether anybody is left alone now: where everybody is, the run stops until the first may be sent to; where
some are, they are put off before they are claimed, a few thousand at a time beside the sending. Whoever was claimed all
the same is put off then. And right before a message leaves its person's clock is looked at once more.
"""

import time
from datetime import UTC, datetime
from typing import Any, Final

from server.domain.local_time import LOCAL, LocalTime, waiting_times
from server.domain.quiet_hours import EVERYBODY_AWAKE, Hours, Timetable, parse
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
EVERYBODY_EARLY: Final = said(
    "For nobody who is left the time has come by their own clock. It goes on by itself when it has for the first."
)


class RunHours:
    """Who is left alone at this moment, by the wall clock."""

    def __init__(self, *, is_marketing: bool, local_time: datetime | None = None) -> None:
        """is_marketing: whether the message is; nothing else has quiet hours. local_time: None: it goes by none."""
        self._is_marketing = is_marketing
        self._local_time = local_time
        self._said: tuple[Any, Any] | None = None
        self._hours: Hours | None = None
        self._local: LocalTime | None = None
        self._good_until = 0.0  # how long the table says what is so, in seconds since 1970
        self._table = EVERYBODY_AWAKE
        self._is_new = False  # the table changed, and the list was not asked yet
        self._looked_through_id: int | None = None  # of the list; None: nothing is left to look through
        self._has_begun = False  # whether those who wait do so for these hours was asked
        self._looks_again_at: set[float] = set()  # from when on whoever the old hours put off is looked at by the new
        self._to_look_at: list[int] = []  # ids of those, a million at most
        self._found_through_id: int | None = None  # up to which they were found; None: all of them

    def follow(self, standing: Standing) -> None:
        """Go by what the business says now."""
        told = (standing.quiet_hours, standing.time_zone)
        if (self._is_marketing or self._local_time) and told != self._said:
            if self._said is not None:
                # Now, and once more: what was put off a moment ago is yet to be recorded.
                self._looks_again_at |= {0.0, _next_minute(time.time())}
            self._said = told
            has_hours = self._is_marketing and standing.quiet_hours
            self._hours = Hours(parse(has_hours), standing.time_zone) if has_hours else None
            self._local = LocalTime(self._local_time, standing.time_zone) if self._local_time else None
            self._good_until = 0.0

    def put_off(self, recipient: Claimed) -> Result | None:
        """What becomes of somebody who is left alone now: back into the queue until their time. None: send."""
        table = self._now()
        until = table.until(recipient.phone)
        if until is None:
            return None
        return Result(
            recipient.id,
            recipient.claim_number,
            RecipientStatus.QUEUED,
            error_message=table.why(recipient.phone),
            unused=1,
            delay_seconds=max(until.timestamp() - time.time(), 0.0),
        )

    async def arrange(self, ledger: RunLedger) -> Stop | None:
        """Put off who is left alone now, before they are claimed; costs nothing while nothing changes.

        A stop: nobody who is left may be sent to. Raises `RunLost`.
        """
        table = self._now()
        if not self._has_begun and (self._is_marketing or self._local_time):
            self._has_begun = True
            if await ledger.until_lost(lambda use: put_offs.is_timed_otherwise(use, table)):
                self._looks_again_at.add(0.0)
        await self._look_anew(ledger, table)
        if self._is_new:
            self._is_new = False  # before the look: an instant that comes meanwhile makes it new again
            found = await ledger.until_lost(lambda use: put_offs.census(use, table))
            self._looked_through_id = None
            if found.first_until is not None:
                if not found.is_anybody_awake:
                    is_early = any(
                        why == LOCAL and until is not None and until.timestamp() == found.first_until
                        for until, why in zip(table.untils, table.whys, strict=True)
                    )
                    return self.everybody_waits(found.first_until - time.time(), is_early=is_early)
                self._looked_through_id = 0
        if self._looked_through_id is not None:
            after_id = self._looked_through_id
            self._looked_through_id = await ledger.until_lost(lambda use: put_offs.put_off(use, table, after_id))
        return None

    async def _look_anew(self, ledger: RunLedger, table: Timetable) -> None:
        """After a change of the hours: whoever waits does so for the times that hold now, a few thousand a call."""
        due = self._looks_due
        if due:
            self._looks_again_at -= due  # before the look, as in `arrange`
            self._is_new = True
            self._to_look_at, self._found_through_id = [], 0
        if self._found_through_id is not None and not self._to_look_at:
            after_id = self._found_through_id
            found = await ledger.until_lost(lambda use: put_offs.waiting_ids(use, after_id))
            self._to_look_at = found
            self._found_through_id = found[-1] if len(found) == put_offs.IDS_AT_ONCE else None
        some, self._to_look_at = self._to_look_at[: put_offs.ROWS_AT_ONCE], self._to_look_at[put_offs.ROWS_AT_ONCE :]
        if some:
            await ledger.until_lost(lambda use: put_offs.time_own_anew(use, table, some))
            if not self.is_looking:
                await ledger.until_lost(put_offs.recount)

    @property
    def is_looking(self) -> bool:
        """Whether somebody who waits is still to be looked at: then nobody knows yet who is left."""
        return bool(self._looks_due or self._to_look_at) or self._found_through_id is not None

    @property
    def _looks_due(self) -> set[float]:
        return {at for at in self._looks_again_at if at <= time.time()}

    def everybody_waits(self, seconds: float, *, is_early: bool) -> Stop:
        """How a run stops that has nobody left but people who are left alone, for so many seconds the first of them.

        is_early: because their local time has not come, and not for quiet hours.
        """
        reason, detail = (
            (PauseReason.LOCAL_TIME, EVERYBODY_EARLY) if is_early else (PauseReason.QUIET_HOURS, EVERYBODY_QUIET)
        )
        return Stop(Cause.HELD, reason, detail, max(seconds, 0.001), hours=self._said)

    def _now(self) -> Timetable:
        """The timetable of this instant."""
        now = time.time()
        if now >= self._good_until:
            at = datetime.fromtimestamp(now, UTC)
            is_any = self._hours is not None or self._local is not None
            table = waiting_times(self._local, self._hours, at) if is_any else EVERYBODY_AWAKE
            # What is quiet changes as a minute begins, and somebody's time may come within one.
            soon = [until.timestamp() for until in table.untils if until is not None]
            self._good_until = min([_next_minute(now), *soon])
            self._is_new = self._is_new or table != self._table
            self._table = table
        return self._table


def _next_minute(now: float) -> float:
    return (now // MINUTE_SECONDS + 1) * MINUTE_SECONDS
