"""The canary: the first people of a broadcast, and whether what became of them lets everybody else be sent to.

The decision knows no clock and no rows. docs/canary.md tells it to people.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias

from msgspec import Struct

from server.domain.durations import in_words
from server.domain.sentences import said

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
        return StopHere(_too_many(_FAILED, seen.failed, bounds.failed_percent, seen.people))
    if _is_over(seen.opted_out, bounds.opted_out_percent, seen.people):
        return StopHere(_too_many(_OPTED_OUT, seen.opted_out, bounds.opted_out_percent, seen.people))
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
        why = said("Nobody of the canary could be sent to within %(time)s.", time=waited)
        return StopHere(f"{why} {_NOBODY_ELSE} {_RESUME}")
    if _is_mostly_put_off(seen):
        why = said(
            "%(count)s of the first %(all)s people have no message yet, because WhatsApp puts them off until later.",
            count=f"{seen.put_off:,}",
            all=f"{seen.people:,}",
        )
        return StopHere(f"{why} {said('The others are too few to judge by.')} {_RESUME}")
    if not seen.heard:
        why = said(
            "WhatsApp has reported on none of the first %(all)s within %(time)s, so nobody knows how they took it.",
            all=f"{seen.people:,}",
            time=waited,
        )
        return StopHere(f"{why} {said('Look whether its webhook reaches Clarion.')} {_RESUME}")
    if seen.heard * 100 < (seen.people - seen.put_off) * LEAST_HEARD_PERCENT:
        why = said(
            "WhatsApp has reported on only %(count)s of the first %(all)s within %(time)s, which is too few to judge "
            "by.",
            count=f"{seen.heard:,}",
            all=f"{seen.people:,}",
            time=waited,
        )
        return StopHere(f"{why} {_RESUME}")
    return GoOn(_went_well(seen))


_RESUME: Final = said("Resume to go on all the same, or cancel.")
_NOBODY_ELSE: Final = said("Nobody else was sent to.")


def _is_mostly_put_off(seen: Seen) -> bool:
    return seen.put_off * 2 > seen.people


def _is_over(count: int, percent: float, people: int) -> bool:
    return count * 100 > percent * people


_FAILED: Final = "failed"
_OPTED_OUT: Final = "opted out"


def _too_many(what: str, count: int, percent: float, people: int) -> str:
    values = {
        "count": f"{count:,}",
        "all": f"{people:,}",
        "share": f"{100 * count / people if people else 100.0:.1f}",
        "most": f"{percent:g}",
    }
    if what == _FAILED:
        why = said("%(count)s of the first %(all)s people failed: %(share)s %%, and at most %(most)s %% may.", **values)
    else:
        why = said(
            "%(count)s of the first %(all)s people opted out: %(share)s %%, and at most %(most)s %% may.", **values
        )
    return f"{why} {_NOBODY_ELSE} {_RESUME}"


def _went_well(seen: Seen) -> str:
    told = said(
        "The canary went well: of %(all)s people %(failed)s failed and %(opted_out)s opted out.",
        all=f"{seen.people:,}",
        failed=f"{seen.failed:,}",
        opted_out=f"{seen.opted_out:,}",
    )
    return f"{told} {said('Everybody else follows.')}"


def waiting_for(size: int, bounds: Bounds) -> str:
    """What the row says while the canary is watched."""
    then = said(
        "Clarion waits for what WhatsApp reports of them, at most %(time)s, and then goes on or says why not.",
        time=in_words(bounds.wait_seconds),
    )
    return f"{said('The first %(count)s people were sent to.', count=f'{size:,}')} {then}"
