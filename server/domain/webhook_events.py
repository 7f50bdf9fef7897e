"""What a business may be told of, and which move of a broadcast tells what. Data, as the states are.

docs/webhooks-out.md explains each; a test compares the two.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from server.domain.states import Move


class EventKind(StrEnum):
    """The `type` of an event."""

    BROADCAST_STARTED = "broadcast.started"  # its first run began; what goes on after a pause has resumed
    BROADCAST_PAUSED = "broadcast.paused"  # by a person or by the engine: pause_reason, resume_at
    BROADCAST_RESUMED = "broadcast.resumed"  # goes on after a pause, or after its end for somebody put off
    BROADCAST_SETTLING = "broadcast.settling"  # nothing is left to send, some are unknown
    BROADCAST_COMPLETED = "broadcast.completed"
    BROADCAST_PARTIAL = "broadcast.partial"
    BROADCAST_FAILED = "broadcast.failed"
    BROADCAST_CANCELLED = "broadcast.cancelled"
    RECIPIENT_FAILED = "recipient.failed"  # one person did not get it
    MESSAGE_REPLIED = "message.replied"  # somebody answered a broadcast
    CONTACT_OPTED_OUT = "contact.opted_out"  # gets nothing more
    CONTACT_OPTED_IN = "contact.opted_in"  # gets messages again


# What a test sends. Nobody subscribes to it.
PING: Final = "ping"

# Moves that tell nothing change what nobody outside waits for. `RUN` tells of the first run alone (`leases.take`).
KIND_OF_MOVE: Final[Mapping[Move, EventKind]] = {
    Move.PAUSE: EventKind.BROADCAST_PAUSED,
    Move.HOLD: EventKind.BROADCAST_PAUSED,
    Move.RESUME: EventKind.BROADCAST_RESUMED,
    Move.REOPEN: EventKind.BROADCAST_RESUMED,
    Move.SETTLE: EventKind.BROADCAST_SETTLING,
    Move.COMPLETE: EventKind.BROADCAST_COMPLETED,
    Move.CORRECT_COMPLETE: EventKind.BROADCAST_COMPLETED,
    Move.FINISH_PARTIAL: EventKind.BROADCAST_PARTIAL,
    Move.CORRECT_PARTIAL: EventKind.BROADCAST_PARTIAL,
    Move.FAIL: EventKind.BROADCAST_FAILED,
    Move.CANCEL: EventKind.BROADCAST_CANCELLED,
}
