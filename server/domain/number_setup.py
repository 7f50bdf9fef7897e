"""The five checks of a number that is being set up: which of them pass, and what is wrong with the others. Pure.

What a refusal of WhatsApp means is decided by its code (Meta's list of Cloud API error codes).
"""

from dataclasses import dataclass
from enum import StrEnum, auto
from typing import Final

from server.domain.outcomes import Refused

_TOKEN_CODES: Final = frozenset((0, 102, 104, 190))
_MISSING_CODES: Final = frozenset((33, 100, 803))
_PERMISSION_CODES: Final = frozenset((3, 10, 200, 131005))
_CONNECTED: Final = "CONNECTED"


class Subject(StrEnum):
    """What a check is about, in the order in which it is set up."""

    TOKEN = auto()
    NUMBER = auto()
    ACCOUNT = auto()
    WEBHOOK = auto()
    APP_SECRET = auto()


class State(StrEnum):
    """Where a check stands."""

    PASSED = auto()
    WAITING = auto()  # for a check before it, or for something that is yet to come
    WRONG = auto()
    UNSURE = auto()  # WhatsApp did not say


class Why(StrEnum):
    """What is behind a state, one sentence of a page each."""

    WELL = auto()
    AWAY = auto()
    OTHER_REFUSAL = auto()
    TOKEN_UNREADABLE = auto()
    TOKEN_REFUSED = auto()
    TOKEN_FIRST = auto()
    NUMBER_UNKNOWN = auto()
    NUMBER_NOT_CONNECTED = auto()
    NO_PERMISSION = auto()
    ACCOUNT_UNKNOWN = auto()
    NUMBER_ELSEWHERE = auto()
    ACCOUNT_BLOCKED = auto()
    NOT_SUBSCRIBED = auto()
    NOT_VERIFIED = auto()
    NO_EVENT = auto()


@dataclass(frozen=True, slots=True)
class Check:
    """One check. quote: WhatsApp's own words, where they say more."""

    subject: Subject
    state: State
    why: Why
    quote: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """What WhatsApp answered to one question: nothing wrong, a refusal, or nothing at all (away: why)."""

    refusal: Refused | None = None
    away: str = ""

    @property
    def is_well(self) -> bool:
        """Whether it answered what it was asked."""
        return self.refusal is None and not self.away


_WELL: Final = Answer()


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen of a number, at WhatsApp and here.

    is_token_readable: false where our own key no longer opens it. status: of the number, empty where it is not told.
    is_on_account: None where the account's list was not read. block: why the account lets nothing out. is_subscribed:
    whether the account tells any app of events, None where it did not say. is_verified: Meta asked with our verify
    token. has_event: something came that the app secret proved; has_event_lately: within the last hour.
    """

    is_token_readable: bool = True
    number: Answer = _WELL
    status: str = ""
    account: Answer = _WELL
    is_on_account: bool | None = None
    block: str = ""
    is_subscribed: bool | None = None
    is_verified: bool = False
    has_event: bool = False
    has_event_lately: bool = False


def checks(seen: Seen) -> tuple[Check, ...]:
    """The five, in their order."""
    token = _of_token(seen)
    is_open = token.state is State.PASSED
    return (
        token,
        _of_number(seen) if is_open else _after_token(Subject.NUMBER, token),
        _of_account(seen) if is_open else _after_token(Subject.ACCOUNT, token),
        _of_webhook(seen),
        _of_app_secret(seen),
    )


def _after_token(subject: Subject, token: Check) -> Check:
    if token.state is State.UNSURE:
        return Check(subject, State.UNSURE, token.why, token.quote)
    return Check(subject, State.WAITING, Why.TOKEN_FIRST)


def _of_token(seen: Seen) -> Check:
    if not seen.is_token_readable:
        return Check(Subject.TOKEN, State.WRONG, Why.TOKEN_UNREADABLE)
    refusals = [answer.refusal for answer in (seen.number, seen.account) if answer.refusal is not None]
    for refusal in refusals:
        if refusal.code in _TOKEN_CODES:
            return Check(Subject.TOKEN, State.WRONG, Why.TOKEN_REFUSED, refusal.message)
    if seen.number.away:
        return Check(Subject.TOKEN, State.UNSURE, Why.AWAY, seen.number.away)
    if refusals and not any(refusal.code in _MISSING_CODES | _PERMISSION_CODES for refusal in refusals):
        return Check(Subject.TOKEN, State.UNSURE, Why.OTHER_REFUSAL, refusals[0].message)
    return Check(Subject.TOKEN, State.PASSED, Why.WELL)


def _of_number(seen: Seen) -> Check:
    refusal = seen.number.refusal
    if refusal is None:
        if seen.status and seen.status.upper() != _CONNECTED:
            return Check(Subject.NUMBER, State.WRONG, Why.NUMBER_NOT_CONNECTED, seen.status)
        return Check(Subject.NUMBER, State.PASSED, Why.WELL)
    if refusal.code in _MISSING_CODES:
        return Check(Subject.NUMBER, State.WRONG, Why.NUMBER_UNKNOWN, refusal.message)
    return _refused(Subject.NUMBER, refusal)


def _of_account(seen: Seen) -> Check:
    refusal = seen.account.refusal
    if refusal is not None:
        if refusal.code in _MISSING_CODES:
            return Check(Subject.ACCOUNT, State.WRONG, Why.ACCOUNT_UNKNOWN, refusal.message)
        return _refused(Subject.ACCOUNT, refusal)
    if seen.account.away:
        return Check(Subject.ACCOUNT, State.UNSURE, Why.AWAY, seen.account.away)
    if seen.is_on_account is False:
        return Check(Subject.ACCOUNT, State.WRONG, Why.NUMBER_ELSEWHERE)
    if seen.block:
        return Check(Subject.ACCOUNT, State.WRONG, Why.ACCOUNT_BLOCKED, seen.block)
    return Check(Subject.ACCOUNT, State.PASSED, Why.WELL)


def _refused(subject: Subject, refusal: Refused) -> Check:
    if refusal.code in _PERMISSION_CODES:
        return Check(subject, State.WRONG, Why.NO_PERMISSION, refusal.message)
    return Check(subject, State.UNSURE, Why.OTHER_REFUSAL, refusal.message)


def _of_webhook(seen: Seen) -> Check:
    if seen.is_subscribed is False and not seen.has_event_lately:
        return Check(Subject.WEBHOOK, State.WRONG, Why.NOT_SUBSCRIBED)
    # An event that came needs no verification to have been seen: it may have been before this was looked for.
    if seen.has_event:
        return Check(Subject.WEBHOOK, State.PASSED, Why.WELL)
    return Check(Subject.WEBHOOK, State.WAITING, Why.NO_EVENT if seen.is_verified else Why.NOT_VERIFIED)


def _of_app_secret(seen: Seen) -> Check:
    if seen.has_event:
        return Check(Subject.APP_SECRET, State.PASSED, Why.WELL)
    return Check(Subject.APP_SECRET, State.WAITING, Why.NO_EVENT if seen.is_verified else Why.NOT_VERIFIED)
