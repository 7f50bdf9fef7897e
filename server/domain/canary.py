"""The canary: the first people of a broadcast, and whether what became of them lets everybody else be sent to.

The decision knows no clock and no rows. docs/canary.md tells it to people.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias

from msgspec import Struct

from server.domain.durations import in_words

LEAST_PEOPLE: Final = 50
MOST_PEOPLE: Final = 1_000
# People have at least so long to say STOP, however quickly their phones report.
LEAST_WAIT_SECONDS: Final = 60.0
# So many of a hundred must have their last word (delivered, read, failed) for the wait to end early: a phone that is
# switched off would hold up everybody else for nothing.
ENOUGH_PERCENT: Final = 95
# WhatsApp reports every message it takes within seconds, as `sent` at the least. Where it has not done so for half of
# them at the end of the wait, nobody knows how the canary went.
LEAST_HEARD_PERCENT: Final = 50


@dataclass(frozen=True, slots=True)
class Bounds:
    """What the canary may show for the broadcast to go on. Percent of the canary, at most; and the longest wait."""

    failed_percent: float = 5
    opted_out_percent: float = 2
    wait_minutes: int = 15

    @property
    def wait_seconds(self) -> float:
        """The longest wait in seconds."""
        return self.wait_minutes * 60.0


class Seen(NamedTuple):
    """What is known of the canary. waited_seconds: since the last of it left.

    people: whom a message was tried for. failed: of them, for good. opted_out: since their message. settled: delivered,
    read or failed. put_off: until after the wait, so that nothing will be known of them. heard: of those who are not,
    WhatsApp reported something, or refused. due_count: may be tried (once more) now.
    """

    people: int
    failed: int
    opted_out: int
    settled: int
    put_off: int
    heard: int
    due_count: int
    waited_seconds: float


class GoOn(Struct, frozen=True):
    """Everybody else may be sent to."""

    detail: str


class SendRest(Struct, frozen=True):
    """Somebody of the canary is still to be sent to: that first, and then it is judged."""


class KeepWaiting(Struct, frozen=True):
    """Too little is known yet."""


class StopHere(Struct, frozen=True):
    """A person has to decide. detail: what was seen, in plain words."""

    detail: str


Verdict: TypeAlias = GoOn | SendRest | KeepWaiting | StopHere


def size_of(people: int) -> int:
    """How many of so many people are the canary: 1 %, at least 50 and at most 1,000; 0 where that is everybody."""
    size = min(max(-(-people // 100), LEAST_PEOPLE), MOST_PEOPLE)
    return size if size < people else 0


def judge(bounds: Bounds, seen: Seen) -> Verdict:
    """Whether the broadcast goes on after its canary.

    Too many who failed or opted out stop it at once. It never goes on before a minute has passed, and the wait is
    bounded: at its end it goes on or stops, whatever is still missing.
    """
    is_over = seen.waited_seconds >= bounds.wait_seconds
    if _is_over(seen.failed, bounds.failed_percent, seen.people):
        return StopHere(_too_many(seen.failed, "failed", bounds.failed_percent, seen.people))
    if _is_over(seen.opted_out, bounds.opted_out_percent, seen.people):
        return StopHere(_too_many(seen.opted_out, "opted out", bounds.opted_out_percent, seen.people))
    if seen.due_count and not is_over:
        return SendRest()
    if is_over:
        return _at_the_end(bounds, seen)
    is_enough = (seen.settled + seen.put_off) * 100 >= seen.people * ENOUGH_PERCENT and not _is_mostly_put_off(seen)
    if is_enough and seen.people and seen.waited_seconds >= LEAST_WAIT_SECONDS:
        return GoOn(_went_well(seen))
    return KeepWaiting()


def _at_the_end(bounds: Bounds, seen: Seen) -> Verdict:
    waited = in_words(bounds.wait_seconds)
    if not seen.people:
        return StopHere(f"Nobody of the canary could be sent to within {waited}. Nobody else was sent to. {_RESUME}")
    if _is_mostly_put_off(seen):
        return StopHere(
            f"{seen.put_off:,} of the first {seen.people:,} people have no message yet, because WhatsApp puts them off "
            f"until later. The others are too few to judge by. {_RESUME}"
        )
    if not seen.heard:
        return StopHere(
            f"WhatsApp has reported on none of the first {seen.people:,} within {waited}, so nobody knows how they "
            f"took it. Look whether its webhook reaches Clarion. {_RESUME}"
        )
    if seen.heard * 100 < (seen.people - seen.put_off) * LEAST_HEARD_PERCENT:
        return StopHere(
            f"WhatsApp has reported on only {seen.heard:,} of the first {seen.people:,} within {waited}, which is too "
            f"few to judge by. {_RESUME}"
        )
    return GoOn(_went_well(seen))


_RESUME: Final = "Resume to go on all the same, or cancel."


def _is_mostly_put_off(seen: Seen) -> bool:
    return seen.put_off * 2 > seen.people


def _is_over(count: int, percent: float, people: int) -> bool:
    return count * 100 > percent * people


def _too_many(count: int, what: str, percent: float, people: int) -> str:
    share = 100 * count / people if people else 100.0
    return (
        f"{count:,} of the first {people:,} people {what}: {share:.1f} %, and at most {percent:g} % may. Nobody else "
        f"was sent to. {_RESUME}"
    )


def _went_well(seen: Seen) -> str:
    return (
        f"The canary went well: of {seen.people:,} people {seen.failed:,} failed and {seen.opted_out:,} opted out. "
        "Everybody else follows."
    )


def waiting_for(size: int, bounds: Bounds) -> str:
    """What the row says while the canary is watched."""
    return (
        f"The first {size:,} people were sent to. Clarion waits for what WhatsApp reports of them, at most "
        f"{in_words(bounds.wait_seconds)}, and then goes on or says why not."
    )
