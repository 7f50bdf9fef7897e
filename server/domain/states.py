"""The states of a broadcast and of a recipient, and every way from one to another. Data, not scattered ifs.

One table feeds the guard in SQL, the 409 of the API, the buttons of a page and the tests, so that they cannot
disagree. docs/states.md explains each state in a sentence.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final, NamedTuple


class BroadcastStatus(StrEnum):
    """Where a broadcast stands."""

    DRAFT = "draft"  # being put together; nothing leaves
    SCHEDULED = "scheduled"  # starts by itself at scheduled_at
    QUEUED = "queued"  # to be run as soon as a worker and the gate are free (or at resume_at)
    RUNNING = "running"  # a worker holds the lease and sends
    PAUSED = "paused"  # nothing leaves; pause_reason says why, resume_at when it goes on by itself
    SETTLING = "settling"  # nothing is left to send, some recipients are still unknown
    COMPLETED = "completed"  # every recipient was accepted (or skipped by their own wish)
    PARTIAL = "partial"  # finished, some recipients failed
    FAILED = "failed"  # stopped for good: nothing more will be sent
    CANCELLED = "cancelled"  # a person stopped it


class PauseReason(StrEnum):
    """Why a broadcast is paused."""

    USER = "user"
    RUNTIME_LIMIT = "runtime_limit"
    MESSAGING_LIMIT = "messaging_limit"
    QUIET_HOURS = "quiet_hours"
    LOCAL_TIME = "local_time"
    RATE_LIMITED = "rate_limited"
    PROVIDER_OUTAGE = "provider_outage"
    CREDENTIALS = "credentials"
    TEMPLATE = "template"
    QUALITY = "quality"
    FAILURES = "failures"
    CANARY = "canary"


class RecipientStatus(StrEnum):
    """Where one person's message stands."""

    QUEUED = "queued"
    SENDING = "sending"  # claimed by a run; the request may have left
    SENT = "sent"  # WhatsApp accepted it
    DELIVERED = "delivered"
    READ = "read"
    FAILED = "failed"
    UNKNOWN = "unknown"  # the request may have left and no answer came: never sent again on a guess
    CANCELLED = "cancelled"
    SKIPPED = "skipped"  # opted out or suppressed


class Actor(StrEnum):
    """Who makes a move."""

    USER = "user"
    ENGINE = "engine"
    STEWARD = "steward"


class Move(StrEnum):
    """What can happen to a broadcast. The value reads after 'cannot'."""

    SCHEDULE = "be scheduled"
    UNSCHEDULE = "be taken off its schedule"
    REOPEN = "go on"
    CORRECT_PARTIAL = "be found partial"
    CORRECT_COMPLETE = "be found complete"
    QUEUE = "be started"
    RUN = "be run"
    YIELD = "yield its run"
    PAUSE = "be paused"
    HOLD = "be held"
    RESUME = "be resumed"
    SETTLE = "settle"
    COMPLETE = "complete"
    FINISH_PARTIAL = "finish with failures"
    FAIL = "fail"
    CANCEL = "be cancelled"


class Act(StrEnum):
    """What the history tells beside the moves, and what leaves the status as it is. The value reads after 'cannot'."""

    SETTLE_BY_HAND = "settle by hand"  # one unknown recipient
    RETRY = "retry"  # another broadcast goes to those who failed in this one
    RATE = "have another rate"
    SCHEDULE_ANEW = "be scheduled anew"
    GO_BY_LOCAL_TIME = "go by local time"
    GO_TO_OTHERS = "go to another audience"
    LOOK_BEFORE_START = "be looked at"  # what its pre-flight warned of
    ASK_APPROVAL = "be put up for approval"  # somebody started it, and another person has to let it go
    APPROVE = "be approved"
    DECLINE = "be declined"


class Rule(NamedTuple):
    """A move is allowed from these states and ends in that one."""

    allowed_from: frozenset[BroadcastStatus]
    to: BroadcastStatus


def _rule(to: BroadcastStatus, *allowed_from: BroadcastStatus) -> Rule:
    return Rule(frozenset(allowed_from), to)


_S = BroadcastStatus

RULES: Final[Mapping[Move, Rule]] = {
    Move.SCHEDULE: _rule(_S.SCHEDULED, _S.DRAFT),
    Move.UNSCHEDULE: _rule(_S.DRAFT, _S.SCHEDULED),
    Move.QUEUE: _rule(_S.QUEUED, _S.DRAFT, _S.SCHEDULED),
    # From `running` as well: that is how a run takes over the row of a runner that died. The lease guards it.
    Move.RUN: _rule(_S.RUNNING, _S.QUEUED, _S.RUNNING),
    Move.YIELD: _rule(_S.QUEUED, _S.RUNNING),
    # What a person does. `queued` too: it is as good as running to whoever watches. Not `scheduled`: a resume would
    # start it before its time. `paused` where the engine did it: a person's pause does not end by itself.
    Move.PAUSE: _rule(_S.PAUSED, _S.QUEUED, _S.RUNNING, _S.PAUSED),
    # What the engine does: WhatsApp or a limit stands in the way.
    Move.HOLD: _rule(_S.PAUSED, _S.QUEUED, _S.RUNNING),
    Move.RESUME: _rule(_S.QUEUED, _S.PAUSED),
    Move.SETTLE: _rule(_S.SETTLING, _S.RUNNING),
    Move.COMPLETE: _rule(_S.COMPLETED, _S.RUNNING, _S.SETTLING),
    Move.FINISH_PARTIAL: _rule(_S.PARTIAL, _S.RUNNING, _S.SETTLING),
    Move.FAIL: _rule(_S.FAILED, _S.QUEUED, _S.RUNNING, _S.PAUSED, _S.SETTLING),
    # After its end, by what WhatsApp said later: somebody may be sent to again, or the ending is another one.
    Move.REOPEN: _rule(_S.QUEUED, _S.SETTLING, _S.COMPLETED, _S.PARTIAL),
    Move.CORRECT_PARTIAL: _rule(_S.PARTIAL, _S.COMPLETED),
    Move.CORRECT_COMPLETE: _rule(_S.COMPLETED, _S.PARTIAL),
    Move.CANCEL: _rule(_S.CANCELLED, _S.DRAFT, _S.SCHEDULED, _S.QUEUED, _S.RUNNING, _S.PAUSED),
}

FINAL: Final = frozenset({_S.COMPLETED, _S.PARTIAL, _S.FAILED, _S.CANCELLED})
STARTABLE: Final = RULES[Move.RUN].allowed_from
# Still able to send: an opt-out must reach into these.
LIVE: Final = frozenset({_S.DRAFT, _S.SCHEDULED, _S.QUEUED, _S.RUNNING, _S.PAUSED})


def allows(move: Move, status: BroadcastStatus) -> bool:
    """Whether a broadcast in this status can make the move."""
    return status in RULES[move].allowed_from


R = RecipientStatus
_ACCEPTED = (R.SENT, R.DELIVERED, R.READ)
RECIPIENT_MOVES: Final[frozenset[tuple[RecipientStatus, RecipientStatus]]] = frozenset(
    {
        (R.QUEUED, R.SENDING),
        (R.QUEUED, R.CANCELLED),
        (R.QUEUED, R.SKIPPED),
        (R.QUEUED, R.FAILED),  # nothing more can be sent; or put off, and then reported as delivered after all
        (R.SENDING, R.SENT),
        (R.SENDING, R.FAILED),
        (R.SENDING, R.QUEUED),  # a retry with next_attempt_at, or handed back unsent
        (R.SENDING, R.CANCELLED),  # claimed, looked at again, and never sent
        (R.SENDING, R.SKIPPED),
        (R.SENDING, R.UNKNOWN),
        (R.SENDING, R.DELIVERED),  # the status was quicker than our own record
        (R.SENDING, R.READ),
        (R.SENT, R.DELIVERED),
        (R.SENT, R.READ),
        (R.SENT, R.FAILED),
        (R.SENT, R.QUEUED),  # WhatsApp took it, could not deliver it, and may be asked again later
        (R.DELIVERED, R.READ),
        (R.DELIVERED, R.FAILED),
        (R.READ, R.FAILED),
        (R.UNKNOWN, R.SENT),
        (R.UNKNOWN, R.DELIVERED),
        (R.UNKNOWN, R.READ),
        (R.UNKNOWN, R.FAILED),
        (R.UNKNOWN, R.QUEUED),  # only by evidence, by the `resend` policy, or by a person
        # A status tells that the message of an earlier attempt was accepted, whatever the row thought of it.
        *((before, after) for before in (R.QUEUED, R.FAILED, R.CANCELLED, R.SKIPPED) for after in _ACCEPTED),
    }
)

# What each recipient status adds to on the broadcast row. `queued` and `sending` make up the rest of the total.
COUNTED_AS_SENT: Final = frozenset(_ACCEPTED)


def ending_of(sent: int, failed: int) -> Move:
    """How a broadcast ends in which nothing is left to send and nobody is unknown.

    Nobody failed: completed. Some were accepted, some failed: partial. Nobody was accepted: failed.
    """
    if failed == 0:
        return Move.COMPLETE
    return Move.FINISH_PARTIAL if sent > 0 else Move.FAIL
