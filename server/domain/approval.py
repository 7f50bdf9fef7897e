"""Whether a broadcast may start at once, or needs a second person: what a business may ask of itself.

A person's start of a broadcast to more than `approval_over` people becomes a request, and starts when another person
who may approve starts it as well. What was asked for is what is approved: a draft that changed since is asked for anew.
"""

from enum import StrEnum

from server.domain.audit import Who


class Verdict(StrEnum):
    """What becomes of a start."""

    START = "start"
    APPROVE = "approve"  # a second person lets it go: it starts
    ASK = "ask"
    WAIT = "wait"  # it was asked for already, and whoever starts it now may not answer
    REFUSE = "refuse"  # a program cannot ask


def needs_second_person(approval_over: int | None, people: int, *, may_grow: bool) -> bool:
    """Whether one person's word is too little.

    approval_over: None where the business asks for no second person. people: who would be sent to.
    may_grow: its people are only taken later, so nobody knows how many they will be.
    """
    return approval_over is not None and (may_grow or people > approval_over)


def judge(who: Who, *, may_approve: bool, asked_by: int | None, is_asked: bool) -> Verdict:
    """What becomes of a start that needs a second person.

    is_asked: the draft, as it is now, was asked for; asked_by: by whom, None where they are gone. A key with the scope
    `admin`, and somebody at the command line, could switch the rule off: it does not bind them.
    """
    if who.is_admin or (who.user_id is None and who.key_id is None):
        return Verdict.START
    if who.user_id is None:
        return Verdict.REFUSE
    if not is_asked:
        return Verdict.ASK
    return Verdict.APPROVE if may_approve and who.user_id != asked_by else Verdict.WAIT
