"""What a run is given, how it ends, and what it writes of one recipient: the words that the worker speaks in."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum, auto
from typing import Final, NamedTuple, assert_never

from server.domain.decisions import Decision, MarkFailed, MarkSent, MarkUnknown, TryAgain
from server.domain.limits import AllowedRate
from server.domain.messages import MessagePlan
from server.domain.sentences import counted, said
from server.domain.states import PauseReason, RecipientStatus
from server.services.ledger import Claimed, Result, RunKey
from server.services.run_control import Cause, Stop


class EndingKind(StrEnum):
    """How a run ended."""

    EXHAUSTED = auto()  # nobody is left to send to
    WAITING = auto()  # those who are left may be tried later
    STOPPED = auto()  # something or somebody stopped it


@dataclass(slots=True)
class InFlight:
    """How those ended who were in flight when the row was stopped: claimed then, and recorded since."""

    accepted: int = 0
    failed: int = 0
    unknown: int = 0
    put_off: int = 0
    unsent: int = 0  # claimed, and not sent to: the stop was quicker, or their own opt-out

    def add(self, results: Iterable[Result]) -> None:
        """Outcomes that were recorded after the stop."""
        for result in results:
            match result.status:
                case RecipientStatus.SENT:
                    self.accepted += 1
                case RecipientStatus.FAILED:
                    self.failed += 1
                case RecipientStatus.UNKNOWN:
                    self.unknown += 1
                case RecipientStatus.QUEUED if result.error_message is not None:
                    self.put_off += 1
                case _:
                    self.unsent += 1

    @property
    def count(self) -> int:
        """All of them."""
        return self.accepted + self.failed + self.unknown + self.put_off + self.unsent

    def __str__(self) -> str:
        if not self.count:
            return said("Nothing was in flight.")
        parts = [
            said("%(count)s were accepted", count=self.accepted),
            said("%(count)s failed", count=self.failed),
            said("%(count)s are unknown", count=self.unknown),
        ]
        if self.put_off:
            parts.append(said("%(count)s were put off", count=self.put_off))
        if self.unsent:
            parts.append(said("%(count)s had not left and were taken back", count=self.unsent))
        return counted(
            "Of 1 request in flight %(parts)s.",
            "Of %(n)s requests in flight %(parts)s.",
            self.count,
            n=self.count,
            parts=", ".join(parts),
        )


class Ending(NamedTuple):
    """How a run ended. next_attempt_at: of WAITING. stop: of STOPPED. in_flight: where somebody stopped the row."""

    kind: EndingKind
    next_attempt_at: datetime | None = None
    stop: Stop | None = None
    in_flight: InFlight | None = None


LIMIT_REACHED: Final = Stop(
    Cause.HELD,
    PauseReason.MESSAGING_LIMIT,
    said(
        "The business has reached the number of people that WhatsApp lets it message in 24 hours. It goes on by itself "
        "as the day moves on."
    ),
)


@dataclass(frozen=True, slots=True)
class Assignment:
    """What a run has to do, and with what.

    allowed: how fast it may send. throttle_ms: what of that comes from the settings, for when the rest changes.
    seen_count: recipients that ended before this run. left_count: those that did not. people_left: whom it may reach,
    by the messaging limit or its canary; None: all. at_limit: how it stops when they are used up. local_time: of each
    person, before which nothing is sent; None: it goes by none.
    """

    run: RunKey
    holder: str
    plan: MessagePlan
    phone_number_id: str
    token: str
    allowed: AllowedRate
    throttle_ms: float
    seen_count: int
    left_count: int
    people_left: int | None = None
    at_limit: Stop = LIMIT_REACHED
    local_time: datetime | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """The engine's constants, from the settings. Durations in seconds."""

    batch_size: int
    max_concurrency: int
    max_attempts: int
    max_batch_failures: int
    lease_seconds: float
    request_timeout_seconds: float


def result_of(recipient: Claimed, decision: Decision) -> Result:
    """What RECORD shall write of a recipient."""
    claim = recipient.claim_number
    match decision.verdict:
        case MarkSent(message_id=message_id):
            return Result(recipient.id, claim, RecipientStatus.SENT, message_id=message_id)
        case MarkFailed(code=code, message=message, suppress=suppress):
            return Result(
                recipient.id,
                claim,
                RecipientStatus.FAILED,
                error_code=_storable(code),
                error_message=message,
                suppressed_phone=recipient.phone if suppress else None,
            )
        case TryAgain(delay_seconds=delay_seconds, code=code, message=message, uses_attempt=uses_attempt):
            return Result(
                recipient.id,
                claim,
                RecipientStatus.QUEUED,
                error_code=_storable(code),
                error_message=message,
                unused=0 if uses_attempt else 1,
                delay_seconds=delay_seconds,
            )
        case MarkUnknown(reason=reason):
            return Result(recipient.id, claim, RecipientStatus.UNKNOWN, error_message=reason)
        case _:
            assert_never(decision.verdict)


def _storable(code: int | None) -> int | None:
    """Meta's codes have six digits; one that the column cannot hold stays in the message alone."""
    return code if code is not None and abs(code) < 2**31 else None
