"""What came of a drill, and whether the promise held. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

# By the statuses of Clarion's own rows.
ACCEPTED = frozenset(("sent", "delivered", "read"))


class Verdict(StrEnum):
    """How a drill ended."""

    HELD = "held"  # nobody twice, nobody missed
    GIVEN_UP = "given_up"  # nobody twice; who was missed has failed, with a reason
    BROKEN = "broken"  # somebody twice, somebody lost without a word, or books that do not balance


@dataclass(frozen=True, slots=True)
class Unknowns:
    """How often nobody knew whether WhatsApp had accepted a message, and what settled it.

    told_count: a status told that it had. sent_again_count: silence told that it had not. given_up_count: nothing did.
    open_count: not settled yet.
    """

    told_count: int = 0
    sent_again_count: int = 0
    given_up_count: int = 0
    open_count: int = 0

    @property
    def count(self) -> int:
        """All of them."""
        return self.told_count + self.sent_again_count + self.given_up_count + self.open_count


@dataclass(frozen=True, slots=True)
class Reach:
    """How many people got it how often, by the simulator's ledger; and where Clarion's rows say something else.

    lost_count: never got it, though their row says neither that it failed nor that it was cancelled or skipped.
    uncounted_count: got it, though their row does not say so. stranger_count: got it, and are on no list.
    """

    once_count: int
    twice_count: int
    never_count: int
    lost_count: int
    uncounted_count: int
    stranger_count: int


def reach_of(rows: Iterable[tuple[str, str]], messages_by_phone: Mapping[str, int]) -> Reach:
    """Hold the rows of a broadcast, (phone, status), against what the simulator accepted."""
    counts = {"once": 0, "twice": 0, "never": 0, "lost": 0, "uncounted": 0}
    people_count = 0
    for phone, status in rows:
        got = messages_by_phone.get(phone, 0)
        people_count += got > 0
        counts["never" if got == 0 else "once" if got == 1 else "twice"] += 1
        counts["lost"] += got == 0 and status not in {"failed", "cancelled", "skipped"}
        counts["uncounted"] += got > 0 and status not in ACCEPTED
    strangers = len(messages_by_phone) - people_count
    return Reach(
        once_count=counts["once"],
        twice_count=counts["twice"],
        never_count=counts["never"],
        lost_count=counts["lost"],
        uncounted_count=counts["uncounted"],
        stranger_count=strangers,
    )


@dataclass(frozen=True, slots=True)
class Result:
    """The whole of a drill.

    kills: by victim. wanted_kills: what was asked for; a broadcast may be over before. wrong: what does not balance, in
    plain words. seconds: from the start of the broadcast to its end.
    """

    seed: int
    people: int
    accepted: int
    reach: Reach
    unknowns: Unknowns
    kills: Mapping[str, int]
    wanted_kills: int
    wrong: tuple[str, ...]
    status: str
    seconds: float

    @property
    def verdict(self) -> Verdict:
        """Whether the promise held."""
        reach = self.reach
        if reach.twice_count or reach.lost_count or reach.uncounted_count or reach.stranger_count or self.wrong:
            return Verdict.BROKEN
        return Verdict.GIVEN_UP if reach.never_count else Verdict.HELD
