"""What to do with somebody of whom nobody knows whether WhatsApp accepted their message. Pure.

WhatsApp reports a status for every message that it accepts, so silence is evidence: when nearly all messages that were
accepted in the same minute have been heard of, one that was not heard of was never accepted. That holds while the line
of webhooks is open, and this is the one assumption: a status that WhatsApp never sends, for a message it did accept,
while it sends those of 199 in 200 others of that minute, would be a message sent twice.
"""

from enum import StrEnum
from typing import Final, NamedTuple

LEAST_NEIGHBOURS: Final = 20
# In thousandths, so that the comparison is exact.
LEAST_HEARD_PER_MILLE: Final = 995
LINE_IS_OPEN_SECONDS: Final = 86_400.0


class UnknownPolicy(StrEnum):
    """What a business wants done with its unknowns, once the grace period is over."""

    EVIDENCE = "evidence"
    ASSUME_FAILED = "assume_failed"
    RESEND = "resend"


class Remedy(StrEnum):
    """What becomes of an unknown recipient."""

    WAIT = "wait"
    RESEND = "resend"
    FAIL = "fail"


class Neighbours(NamedTuple):
    """The messages known to be accepted in the same minute, and how many of them were heard of by webhook."""

    accepted_count: int
    heard_count: int

    @property
    def are_heard(self) -> bool:
        """Whether silence about another one means that it was never accepted."""
        enough = self.accepted_count >= LEAST_NEIGHBOURS
        return enough and self.heard_count * 1000 >= self.accepted_count * LEAST_HEARD_PER_MILLE


class Silence(NamedTuple):
    """How long somebody has been unknown, and how things stood around them. Durations in seconds.

    since_last_status_seconds: since any status came for the channel; None: never. attempts: requests made so far.
    """

    age_seconds: float
    since_last_status_seconds: float | None
    neighbours: Neighbours
    attempts: int = 1


class Judgement(NamedTuple):
    """A remedy with its reason, in plain words."""

    remedy: Remedy
    reason: str = ""


_NOT_SENT_AGAIN: Final = "It was not sent again, so that nobody gets it twice."
NO_LINE: Final = (
    "Nobody knows whether WhatsApp accepted this message: its answer never came, and no statuses come by webhook that "
    f"could tell. {_NOT_SENT_AGAIN}"
)
TOO_LONG: Final = (
    "Nobody knows whether WhatsApp accepted this message: its answer never came, and no status told in time. "
    f"{_NOT_SENT_AGAIN}"
)
ASSUMED: Final = (
    "Nobody knows whether WhatsApp accepted this message: its answer never came. This business has such messages "
    f"counted as failed. {_NOT_SENT_AGAIN}"
)
STOPPED: Final = (
    "Nobody knows whether WhatsApp accepted this message: its answer never came, and the broadcast has ended since."
)
TRIED_OFTEN: Final = "No answer came to any of the attempts, and there are no more of them."
NEVER_ACCEPTED: Final = "WhatsApp never accepted it: the messages around it were all heard of, and this one was not."
ASKED_FOR: Final = "Its answer never came, and this business has such messages sent again."


def judge(
    policy: UnknownPolicy,
    silence: Silence,
    *,
    can_send: bool,
    grace_seconds: float,
    max_wait_seconds: float,
    max_attempts: int,
) -> Judgement:
    """What to do now. can_send: whether the broadcast may still send to anybody."""
    judgement = _judge(
        policy, silence, can_send=can_send, grace_seconds=grace_seconds, max_wait_seconds=max_wait_seconds
    )
    if judgement.remedy is Remedy.RESEND and silence.attempts >= max_attempts:
        return Judgement(Remedy.FAIL, TRIED_OFTEN)
    return judgement


def _judge(
    policy: UnknownPolicy, silence: Silence, *, can_send: bool, grace_seconds: float, max_wait_seconds: float
) -> Judgement:
    if silence.age_seconds < grace_seconds:
        return Judgement(Remedy.WAIT)
    if policy is UnknownPolicy.ASSUME_FAILED:
        return Judgement(Remedy.FAIL, ASSUMED)
    if not can_send:
        return Judgement(Remedy.FAIL, STOPPED)
    if policy is UnknownPolicy.RESEND:
        return Judgement(Remedy.RESEND, ASKED_FOR)
    return _by_evidence(silence, max_wait_seconds)


def _by_evidence(silence: Silence, max_wait_seconds: float) -> Judgement:
    if silence.since_last_status_seconds is None or silence.since_last_status_seconds > LINE_IS_OPEN_SECONDS:
        return Judgement(Remedy.FAIL, NO_LINE)
    if silence.neighbours.are_heard:
        return Judgement(Remedy.RESEND, NEVER_ACCEPTED)
    return Judgement(Remedy.FAIL, TOO_LONG) if silence.age_seconds >= max_wait_seconds else Judgement(Remedy.WAIT)
