"""When what many recipients meet stops the sending: the same failure again and again, an outage, a limit.

Each of these is a small memory of one run, fed with one outcome after another in the order in which they came. They
know no clock: instants come in as seconds of one clock that never runs back.
"""

from typing import Final, NamedTuple

from server.domain.decisions import BreakerCandidate, Others, PauseSending, StopBroadcast
from server.domain.outcomes import Accepted, Ambiguous, NeverLeft, Outcome, Refused
from server.domain.reactions import Scope, is_outage
from server.domain.sentences import counted, said
from server.domain.states import PauseReason

EARLY_RECIPIENTS: Final = 100
EARLY_FAILURES: Final = 20


class Breaker:
    """Stops a broadcast that would fail its whole audience for one and the same reason.

    It trips when `limit` recipients in a row failed with the same code, or a fifth of the first hundred did. Only
    failures that may be everybody's count (`BreakerCandidate`); any other end of a recipient breaks the row.

    limit: 1 or more (MAX_BATCH_FAILURES). seen_count: recipients of the broadcast that ended before this run, so that
    a broadcast that was resumed is not judged by "the first hundred" again.
    """

    def __init__(self, limit: int, seen_count: int = 0) -> None:
        if limit < 1:
            raise ValueError("limit must be 1 failure or more")
        self._limit = limit
        self._seen_count = seen_count
        self._last_code: int | None = None
        self._in_a_row = 0
        self._early: dict[int | None, int] = {}

    def note_ended(self, count: int = 1) -> None:
        """So many recipients ended otherwise: sent, unknown, or failed for a reason of their own."""
        self._seen_count += count
        self._in_a_row = 0

    def note_failed(self, failure: BreakerCandidate) -> StopBroadcast | None:
        """One recipient failed so. Each recipient is noted once: a retry is not a second recipient."""
        code = failure.code
        self._in_a_row = self._in_a_row + 1 if code == self._last_code else 1
        self._last_code = code
        self._seen_count += 1
        if self._seen_count <= EARLY_RECIPIENTS:
            self._early[code] = self._early.get(code, 0) + 1
        if self._in_a_row >= self._limit:
            what = counted(
                "1 recipient failed alike.",
                "%(n)s recipients in a row failed alike.",
                self._in_a_row,
                n=self._in_a_row,
            )
        elif self._seen_count <= EARLY_RECIPIENTS and self._early[code] >= EARLY_FAILURES:
            what = said(
                "%(count)s of the first %(all)s recipients failed alike.",
                count=self._early[code],
                all=self._seen_count,
            )
        else:
            return None
        return StopBroadcast(PauseReason.FAILURES, f"{what} {failure.message}")


class Reported(NamedTuple):
    """What webhooks said of the last one or two thousand of a broadcast's people, since it was last resumed.

    people: who had their last word: delivered, read or failed. failed: of them, for good. alike: of those, for a reason
    that may be everybody's (`BreakerCandidate`).
    """

    people: int
    failed: int
    alike: int


# Beyond so many the counts are halved, so that what happens now is not lost among a million that went well.
REMEMBERED_PEOPLE: Final = 2_000
REPORTED_ALIKE: Final = 20
REPORTED_FAILURES: Final = 50


def judge_reports(reported: Reported, last_failure: str) -> StopBroadcast | None:
    """Whether failures that WhatsApp reported afterwards stop a broadcast that is still sending.

    Faults of the message: 20 people, and a fifth of all whom WhatsApp spoke of. Reasons of the people themselves (not
    on WhatsApp, 131026): 50, and more than half; one list in two is bad when that happens. last_failure: why, in words.
    """
    people, failed, alike = reported
    if alike >= REPORTED_ALIKE and alike * 5 >= people:
        count = alike
    elif failed >= REPORTED_FAILURES and failed * 2 > people:
        count = failed
    else:
        return None
    return StopBroadcast(
        PauseReason.FAILURES,
        said(
            "WhatsApp took the messages, and then reported %(count)s of the last %(all)s as failed. The latest: "
            "%(why)s",
            count=f"{count:,}",
            all=f"{max(people, count):,}",
            why=last_failure,
        ),
    )


_AGAIN: Final = said("Clarion tries again by itself.")


class Outage:
    """Notices that WhatsApp is away, so that a broadcast waits for it instead of failing or losing track of people.

    A streak begins with the first outcome that is no answer (`NeverLeft`, `Ambiguous`) or speaks of WhatsApp's own
    trouble (a fault of the server), and ends with the first that is an answer. It stops the broadcast when it

    - has 20 outcomes over at least 10 seconds, or lasts a minute however few they are; or
    - has 20 ambiguous ones, at once: each of them is a person who may or may not have got the message.

    The broadcast goes on by itself a minute later, and meets the same again or not.
    """

    LEAST_OUTCOMES: Final = 20
    LEAST_SECONDS: Final = 10.0
    LONGEST_SECONDS: Final = 60.0
    MOST_AMBIGUOUS: Final = 20
    RESUME_AFTER_SECONDS: Final = 60.0
    A_MOMENT_SECONDS: Final = 5.0
    LAST_PEOPLE: Final = 2

    def __init__(self) -> None:
        self._since: float | None = None
        self._answered_at: float | None = None
        self._count = 0
        self._ambiguous_count = 0

    def away_seconds(self, now: float) -> float:
        """For how long no answer has come; 0.0 while they come."""
        return 0.0 if self._since is None else now - self._since

    def others(self, now: float, left_count: int) -> Others:
        """How it stands with the other people of the broadcast. left_count: who have not ended, this one included."""
        if self._answered_at is not None and now - self._answered_at < self.A_MOMENT_SECONDS:
            return Others.ANSWERED
        return Others.NONE if left_count <= self.LAST_PEOPLE else Others.UNHEARD

    def note(self, outcome: Outcome, now: float) -> StopBroadcast | None:
        """One request ended so at `now`. Call it before `decide`, which asks for `away_seconds` and `others`."""
        if isinstance(outcome, Accepted) or (isinstance(outcome, Refused) and not is_outage(outcome)):
            self._since = None
            self._answered_at = now
            return None
        if self._since is None:
            self._since, self._count, self._ambiguous_count = now, 0, 0
        self._count += 1
        self._ambiguous_count += isinstance(outcome, Ambiguous)
        away_seconds = now - self._since
        if (
            self._ambiguous_count >= self.MOST_AMBIGUOUS
            or away_seconds >= self.LONGEST_SECONDS
            or (self._count >= self.LEAST_OUTCOMES and away_seconds >= self.LEAST_SECONDS)
        ):
            return self._stop(outcome)
        return None

    def _stop(self, outcome: Refused | NeverLeft | Ambiguous) -> StopBroadcast:
        why = outcome.message if isinstance(outcome, Refused) else outcome.reason
        return StopBroadcast(
            PauseReason.PROVIDER_OUTAGE,
            f"{said('WhatsApp does not answer as it should (%(why)s).', why=why)} {_AGAIN}",
            scope=Scope.ACCOUNT,
            resume_after_seconds=self.RESUME_AFTER_SECONDS,
        )


class Pauses:
    """How long a limit keeps the sending waiting: pauses that follow one another double.

    A hundred requests that were in flight when the limit struck all say the same, so what comes while a pause lasts
    belongs to it. A pause follows another when it begins no later after the other's end than that one lasted.
    """

    def __init__(self) -> None:
        self._until = float("-inf")
        self._lasted_seconds = 0.0

    def note(self, pause: PauseSending, now: float) -> float:
        """A request met the limit at `now`. Returns the instant until which nothing may leave."""
        if now >= self._until:
            follows = now - self._until <= self._lasted_seconds
            seconds = max(pause.pause_seconds, self._lasted_seconds * 2 if follows else 0.0)
            self._lasted_seconds = min(seconds, pause.longest_pause_seconds)
            self._until = now + self._lasted_seconds
        return self._until
