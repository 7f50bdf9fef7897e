"""Every error that a person may see, as one tree. The message is for people: what, where, and what now.

    ClarionError
      NotFound                       no such thing, or it belongs to somebody else
      BadInput                       one or many Problem(pointer, detail): CSV rows, JSON fields, CLI options alike
        TooLarge                     more than is taken in one request
      NotNow                         right in itself, but not in this state or at this moment
        StateDoesNotAllow            a move that the broadcast's status rules out
        LimitReached                 too many of them in a while
        KeyReused                    an Idempotency-Key came again with another body
        Taken                        something of that name or phone is there already, or is in use
      Denied                         the credentials are missing or wrong
      Forbidden                      the credentials are right, and do not reach so far
      Unreachable                    something Clarion leans on is away
        DatabaseAway · QueueAway · ProviderAway · StorageFull · InboxFull
          ProviderRefuses            WhatsApp answered, and the answer is no

`RunLost` is news rather than an error: another runner has the row. It is caught in one place and never shown.
How each becomes an HTTP status is in `problems.py`; how each becomes an exit code is in `cli/`.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from server.domain.outcomes import Refused
from server.domain.sentences import said


class Problem(NamedTuple):
    """One thing wrong with an input. pointer: a JSON pointer, an option or a column; empty for the whole."""

    pointer: str
    detail: str


class ClarionError(Exception):
    """Base of all errors whose message is meant for people."""


class NotFound(ClarionError):
    """No such thing, or it belongs to somebody else: the two look the same from outside."""


class BadInput(ClarionError):
    """What was given cannot be used. Carries one `Problem` or many."""

    def __init__(self, detail: str, *, pointer: str = "", problems: Sequence[Problem] = ()) -> None:
        super().__init__(detail)
        self.detail = detail
        self.problems: tuple[Problem, ...] = tuple(problems) or (Problem(pointer, detail),)


class TooLarge(BadInput):
    """More than is taken in one request."""


class NotNow(ClarionError):
    """Right in itself, but not at this moment."""


class StateDoesNotAllow(NotNow):
    """The broadcast's status rules the move out."""

    def __init__(self, move: str, status: str) -> None:
        super().__init__(said("A broadcast that is %(status)s cannot %(move)s.", status=status, move=move))
        self.move = move
        self.status = status


class LimitReached(NotNow):
    """Too many of them in a while; the message says how many and how long. retry_after: seconds until it may work."""

    def __init__(self, detail: str, *, retry_after: int = 60) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class KeyReused(NotNow):
    """An `Idempotency-Key` came again with another body."""


class Taken(NotNow):
    """Something of that name or phone is there already, or is in use."""


class Denied(ClarionError):
    """The credentials are missing or wrong."""


class Forbidden(ClarionError):
    """The credentials are right, and do not reach so far."""


class Unreachable(ClarionError):
    """Something Clarion leans on is away; trying again later may help."""


class DatabaseAway(Unreachable):
    """PostgreSQL does not answer."""


class SchemaIsNewer(Unreachable):
    """A newer Clarion has migrated the database; this one does not know what it made of it."""


class QueueAway(Unreachable):
    """Valkey or Redis does not answer."""


class ProviderAway(Unreachable):
    """WhatsApp does not answer, or refuses a call of the control plane."""


class ProviderRefuses(ProviderAway):
    """WhatsApp answered a call of the control plane, and refused it."""

    def __init__(self, detail: str, refusal: Refused) -> None:
        super().__init__(detail)
        self.refusal = refusal


class StorageFull(Unreachable):
    """The disk has no room left."""


class InboxFull(Unreachable):
    """More webhooks wait for their commit than there is memory for; WhatsApp brings this one again."""


class RunLost(Exception):
    """This run no longer holds the broadcast: a newer epoch has it, or a person ended it. Write nothing more."""


# What the two words of `StateDoesNotAllow` may be, where a person can bring it about.
_WORDS: Final = (
    said("draft"),
    said("scheduled"),
    said("queued"),
    said("running"),
    said("paused"),
    said("settling"),
    said("completed"),
    said("partial"),
    said("failed"),
    said("cancelled"),
    said("being cancelled"),
    said("be scheduled"),
    said("be taken off its schedule"),
    said("be scheduled anew"),
    said("be started"),
    said("be paused"),
    said("be resumed"),
    said("be cancelled"),
    said("be changed"),
    said("be deleted"),
    said("be retried"),
    said("have another rate"),
    said("go to another audience"),
    said("take more recipients"),
    said("send to anybody again"),
)
