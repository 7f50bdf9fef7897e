"""What to do with somebody of whom nobody knows whether WhatsApp accepted their message. Pure.

WhatsApp reports a status for every message that it accepts, so silence is evidence: when nearly all messages that were
accepted in the same minute have been heard of, one that was not heard of was never accepted. That holds while the line
of webhooks is open, and this is the one assumption: a status that WhatsApp never sends, for a message it did accept,
while it sends those of 199 in 200 others of that minute, would be a message sent twice.
"""

from enum import StrEnum
from typing import Final, NamedTuple

from server.domain.sentences import said

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


_NOT_SENT_AGAIN: Final = said("It was not sent again, so that nobody gets it twice.")
_NOBODY_KNOWS: Final = said("Nobody knows whether WhatsApp accepted this message: its answer never came.")
_NO_STATUSES: Final = said(
    "Nobody knows whether WhatsApp accepted this message: its answer never came, and no statuses come by webhook that "
    "could tell."
)
_NOT_IN_TIME: Final = said(
    "Nobody knows whether WhatsApp accepted this message: its answer never came, and no status told in time."
)
_AS_AGREED: Final = said("This business has such messages counted as failed.")
NO_LINE: Final = f"{_NO_STATUSES} {_NOT_SENT_AGAIN}"
TOO_LONG: Final = f"{_NOT_IN_TIME} {_NOT_SENT_AGAIN}"
ASSUMED: Final = f"{_NOBODY_KNOWS} {_AS_AGREED} {_NOT_SENT_AGAIN}"
STOPPED: Final = said(
    "Nobody knows whether WhatsApp accepted this message: its answer never came, and the broadcast has ended since."
)
TRIED_OFTEN: Final = said("No answer came to any of the attempts, and there are no more of them.")
NEVER_ACCEPTED: Final = said(
    "WhatsApp never accepted it: the messages around it were all heard of, and this one was not."
)
ASKED_FOR: Final = said("Its answer never came, and this business has such messages sent again.")


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
    if not _is_line_open(silence.since_last_status_seconds):
        return Judgement(Remedy.FAIL, NO_LINE)
    if silence.neighbours.are_heard:
        return Judgement(Remedy.RESEND, NEVER_ACCEPTED)
    return Judgement(Remedy.FAIL, TOO_LONG) if silence.age_seconds >= max_wait_seconds else Judgement(Remedy.WAIT)


def longest_wait_seconds(
    policy: UnknownPolicy,
    since_last_status_seconds: float | None,
    *,
    can_send: bool,
    grace_seconds: float,
    max_wait_seconds: float,
) -> float:
    """How long somebody stays unknown at most, whatever the messages around them tell."""
    silence = Silence(grace_seconds, since_last_status_seconds, Neighbours(0, 0))
    at_grace = _judge(
        policy, silence, can_send=can_send, grace_seconds=grace_seconds, max_wait_seconds=max_wait_seconds
    )
    return max_wait_seconds if at_grace.remedy is Remedy.WAIT else grace_seconds


def needs_a_person(policy: UnknownPolicy, since_last_status_seconds: float | None, *, can_send: bool) -> bool:
    """Whether no evidence can come although it is to decide, so that only a person may know better than to give up."""
    return policy is UnknownPolicy.EVIDENCE and can_send and not _is_line_open(since_last_status_seconds)


def _is_line_open(since_last_status_seconds: float | None) -> bool:
    return since_last_status_seconds is not None and since_last_status_seconds <= LINE_IS_OPEN_SECONDS


class Outlook(NamedTuple):
    """How things stand with somebody unknown. Instants as seconds from now.

    judgement: what would be done at this moment. says: what the evidence says, in plain words. seconds_left: until it
    is decided at the latest; 0 where it is due.
    """

    judgement: Judgement
    says: str
    seconds_left: float


def outlook(
    policy: UnknownPolicy,
    silence: Silence,
    *,
    can_send: bool,
    grace_seconds: float,
    max_wait_seconds: float,
    max_attempts: int,
) -> Outlook:
    """What is known of an unknown one now, for a person who wonders whether to wait."""
    now = judge(
        policy,
        silence,
        can_send=can_send,
        grace_seconds=grace_seconds,
        max_wait_seconds=max_wait_seconds,
        max_attempts=max_attempts,
    )
    at_grace = _judge(
        policy,
        silence._replace(age_seconds=max(silence.age_seconds, grace_seconds)),
        can_send=can_send,
        grace_seconds=grace_seconds,
        max_wait_seconds=max_wait_seconds,
    )
    # Where the grace period alone does not decide it, the longest wait does.
    decided_at = grace_seconds if at_grace.remedy is not Remedy.WAIT else max_wait_seconds
    return Outlook(now, _in_words(silence), max(decided_at - silence.age_seconds, 0.0))


def _in_words(silence: Silence) -> str:
    accepted, heard = silence.neighbours
    if silence.since_last_status_seconds is None:
        return said("No status has ever come by webhook for this number, so that silence says nothing.")
    if silence.since_last_status_seconds > LINE_IS_OPEN_SECONDS:
        return said("No status has come by webhook for this number in the last day, so that silence says nothing.")
    if accepted < LEAST_NEIGHBOURS:
        return said(
            "%(accepted)s of the messages around it are known to be accepted in the same minute, which is too few to "
            "judge by: it takes %(least)s.",
            accepted=accepted,
            least=LEAST_NEIGHBOURS,
        )
    if silence.neighbours.are_heard:
        return said(
            "Of %(accepted)s messages around it that were accepted in the same minute %(heard)s were heard of by "
            "webhook, and this one was not: WhatsApp never accepted it, by all that is known.",
            accepted=accepted,
            heard=heard,
        )
    return said(
        "Of %(accepted)s messages around it that were accepted in the same minute %(heard)s were heard of by webhook. "
        "That is not nearly all of them, so that silence says nothing yet.",
        accepted=accepted,
        heard=heard,
    )
