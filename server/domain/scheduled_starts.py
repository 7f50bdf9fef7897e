"""What becomes of a broadcast whose time has come and whose pre-flight finds errors: nobody is there to be told no.

It pauses, with the reason that a run would pause it for, where a person or WhatsApp can mend it; where WhatsApp
approves its template again it goes on by itself. It fails where nothing that it has could ever be sent.
"""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from server.domain.preflight import Code, Finding
from server.domain.states import Move, PauseReason

# None: for good. What is not here is left to the start and the run: who is in an audience, and whether anybody is left.
_BECAUSE_OF: Final[Mapping[Code, PauseReason | None]] = {
    Code.TEMPLATE_UNKNOWN: PauseReason.TEMPLATE,
    Code.TEMPLATE_NOT_APPROVED: PauseReason.TEMPLATE,
    Code.TEMPLATE_PAUSED: PauseReason.TEMPLATE,
    Code.TEMPLATE_MISMATCH: PauseReason.TEMPLATE,
    Code.MEDIA_LINK: PauseReason.TEMPLATE,
    Code.CHANNEL: PauseReason.CREDENTIALS,
    Code.CREDENTIALS: PauseReason.CREDENTIALS,
    Code.NUMBER_STATUS: PauseReason.CREDENTIALS,
    Code.ACCOUNT_HEALTH: PauseReason.CREDENTIALS,
    Code.TEMPLATE_DISABLED: None,  # as Meta's 132016 during a run
    Code.VALUE_MISSING: None,  # nobody on the list has it, and a list that was scheduled takes no others
}


class Stopped(NamedTuple):
    """A start that does not send. move: `HOLD` or `FAIL`. detail: every error in plain sentences."""

    move: Move
    pause_reason: PauseReason | None
    detail: str


def stopped_by(errors: Sequence[Finding]) -> Stopped | None:
    """What errors of the pre-flight do to it; None where none of them stops it.

    What can be mended comes first: it fails only where everything that is wrong is wrong for good.
    """
    is_empty = any(error.code is Code.NOBODY for error in errors)  # then a value that nobody has is missed by nobody
    found = [
        error for error in errors if error.code in _BECAUSE_OF and not (is_empty and error.code is Code.VALUE_MISSING)
    ]
    if not found:
        return None
    detail = " ".join(dict.fromkeys(error.detail for error in found))
    reasons = [reason for error in found if (reason := _BECAUSE_OF[error.code]) is not None]
    if not reasons:
        return Stopped(Move.FAIL, None, detail)
    return Stopped(Move.HOLD, reasons[0], detail)
