"""Meta's error code -> what the engine does about it. One table, read in one place.

The sources disagree on titles and HTTP statuses, and Meta itself says to go by `code`, so the code decides and the
HTTP status is asked only where there is no code, or one that is not in the table. What each code means for people is
in `meanings.py`; what a reaction does to one recipient is worked out in `decisions.py`.

"Account" is the WhatsApp Business Account that the channel belongs to; a channel is one of its numbers.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeAlias

from server.domain.outcomes import Refused
from server.domain.states import PauseReason


class Scope(StrEnum):
    """How much of the sending a refusal speaks about."""

    BROADCAST = "broadcast"
    CHANNEL = "channel"
    ACCOUNT = "account"
    APP = "app"


@dataclass(frozen=True, slots=True)
class Fail:
    """Final for this recipient in this broadcast; the others go on."""

    flag_contact: bool = False
    """The contact itself is in doubt: remember it, so that later audiences can leave it out."""
    suppress: bool = False
    """The person wants no more marketing: no later broadcast may reach them either."""


@dataclass(frozen=True, slots=True)
class Breaker:
    """Final for this recipient; and when one after another fails with the same code, the broadcast stops.

    For faults of the message rather than of the person: what is wrong for five is wrong for all.
    """


@dataclass(frozen=True, slots=True)
class Stop:
    """Nothing more can be sent until something changes. The recipient that met it stays queued."""

    scope: Scope
    pause_reason: PauseReason
    resume_after_seconds: float | None = None
    """After how long the engine may try again by itself; None: a person, or a webhook, has to say so."""
    is_final: bool = False
    """It can never go on: the broadcast has failed."""


@dataclass(frozen=True, slots=True)
class Retry:
    """The same recipient again after a wait, at most `max_attempts` times in all; then something else."""

    then: Fail | Breaker | Stop = Fail()
    delays_seconds: tuple[float, ...] = ()
    """The wait before each retry, and so how many there are; empty: 1, 2, 4 ... up to 60 seconds, for as long as the
    recipient has attempts left."""
    retry_count: int | None = None
    """At most so many retries with the usual waits; None: as many as there are attempts."""


@dataclass(frozen=True, slots=True)
class Defer:
    """This recipient later, by this ladder of waits, and then no more; the others go on."""

    delays_seconds: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class SlowDown:
    """The sending is too fast for the scope. The recipient is queued again and loses no attempt by it."""

    scope: Scope
    pause_seconds: float
    """How long nothing leaves, unless Meta asks for longer."""
    factor: float = 1.0
    """What the pace of the channel is multiplied by."""
    longest_pause_seconds: float | None = None
    """Pauses that follow one another double up to here; None: they stay the same."""


Reaction: TypeAlias = Fail | Breaker | Stop | Retry | Defer | SlowDown

_DAY_SECONDS: Final = 86_400.0
_OUTAGE_RESUME_SECONDS: Final = 60.0

_FAIL: Final = Fail()
_FLAG: Final = Fail(flag_contact=True)
_BREAKER: Final = Breaker()
_TOO_FAST: Final = SlowDown(Scope.CHANNEL, pause_seconds=1.0, factor=0.5)
_APP_LIMIT: Final = SlowDown(Scope.APP, pause_seconds=60.0, longest_pause_seconds=900.0)
_ACCOUNT_LIMIT: Final = SlowDown(Scope.ACCOUNT, pause_seconds=60.0, longest_pause_seconds=900.0)
_CREDENTIALS: Final = Stop(Scope.ACCOUNT, PauseReason.CREDENTIALS)
_CHANNEL_CREDENTIALS: Final = Stop(Scope.CHANNEL, PauseReason.CREDENTIALS)
_TEMPLATE: Final = Stop(Scope.BROADCAST, PauseReason.TEMPLATE)
# An outage is nobody's failure: when the attempts are used up the broadcast waits, and nobody is failed for it.
_OUTAGE: Final = Retry(then=Stop(Scope.ACCOUNT, PauseReason.PROVIDER_OUTAGE, _OUTAGE_RESUME_SECONDS))

REACTIONS: Final[Mapping[int, Reaction]] = {
    # The Graph API itself
    0: _CREDENTIALS,
    1: Retry(then=_BREAKER, retry_count=3),
    2: _OUTAGE,
    3: _CREDENTIALS,
    4: _APP_LIMIT,
    10: _CREDENTIALS,
    33: _CHANNEL_CREDENTIALS,
    100: _BREAKER,  # but 100 with subcode 33 is 33: see reaction_for
    104: _CREDENTIALS,
    190: _CREDENTIALS,
    200: _CREDENTIALS,  # and 201 to 299: see reaction_for
    368: Stop(Scope.ACCOUNT, PauseReason.QUALITY),
    613: _APP_LIMIT,
    803: _BREAKER,
    80007: _ACCOUNT_LIMIT,
    80008: Retry(),  # a limit of the management calls: other sends go on
    # People, numbers and pace
    130403: _FLAG,
    130429: _TOO_FAST,
    130472: _FAIL,
    130497: _FAIL,
    130501: _BREAKER,
    131000: Retry(delays_seconds=(30.0, 300.0, 1_800.0)),
    131005: _CREDENTIALS,
    131008: _BREAKER,
    131009: _BREAKER,
    131016: _OUTAGE,
    131021: _FLAG,
    131026: _FLAG,
    131030: Stop(Scope.BROADCAST, PauseReason.CREDENTIALS),
    131031: _CREDENTIALS,
    131037: _CHANNEL_CREDENTIALS,
    131042: _CREDENTIALS,
    131045: _CHANNEL_CREDENTIALS,
    131047: _FAIL,
    131048: Stop(Scope.CHANNEL, PauseReason.QUALITY),
    131049: Defer((_DAY_SECONDS, _DAY_SECONDS)),  # twice, a day later: an earlier retry lengthens the block
    131050: Fail(suppress=True),
    131051: _BREAKER,
    131052: _BREAKER,
    131053: _BREAKER,
    131055: _TEMPLATE,
    131056: Defer((1.0, 4.0, 16.0, 64.0, 256.0)),
    131057: SlowDown(Scope.CHANNEL, pause_seconds=60.0),
    131059: _BREAKER,
    131062: _FAIL,
    131063: _TEMPLATE,
    131064: Stop(Scope.ACCOUNT, PauseReason.QUALITY, _DAY_SECONDS),
    # Templates
    132000: _BREAKER,
    132001: _TEMPLATE,
    132005: _BREAKER,
    132007: _TEMPLATE,
    132008: _BREAKER,
    132012: _BREAKER,
    132015: _TEMPLATE,
    132016: Stop(Scope.BROADCAST, PauseReason.TEMPLATE, is_final=True),
    132018: _BREAKER,
    132068: _TEMPLATE,
    132069: Stop(Scope.BROADCAST, PauseReason.RATE_LIMITED, 3_600.0),
    # Registration of the number
    133000: _BREAKER,
    133004: _OUTAGE,
    133005: _BREAKER,
    133006: _CHANNEL_CREDENTIALS,
    133008: _BREAKER,
    133009: _BREAKER,
    133010: _CHANNEL_CREDENTIALS,
    133015: _BREAKER,
    133016: _BREAKER,
    # Payments, marketing messages, identity, block list
    134011: _CREDENTIALS,
    134100: _TEMPLATE,
    134101: Stop(Scope.BROADCAST, PauseReason.TEMPLATE, 600.0),
    134102: Stop(Scope.BROADCAST, PauseReason.PROVIDER_OUTAGE, 600.0),
    135000: Retry(then=_BREAKER, retry_count=1),
    137000: _FAIL,
    139100: _BREAKER,
    139101: _BREAKER,
    139102: _BREAKER,
    139103: Retry(),
}


def reaction_for(refusal: Refused) -> Reaction:
    """What to do about a refusal, whatever its code is, even none.

    A code of the table has the table's reaction, except that Meta's `is_transient` gives a failure that would trip the
    breaker its retries first. A code that is not in it: throttled is slowed down, a fault of the server is retried, and
    the rest (a 4xx nobody has heard of) trips the breaker rather than run through an audience.
    """
    reaction = _by_code(refusal)
    if reaction is None:
        if refusal.http_status == 429:
            return _TOO_FAST
        reaction = Retry(then=_BREAKER) if refusal.http_status >= 500 else _BREAKER
    if refusal.is_transient and isinstance(reaction, Breaker):
        return Retry(then=reaction)
    return reaction


def is_outage(refusal: Refused) -> bool:
    """Whether the refusal speaks of WhatsApp's own trouble rather than of this message."""
    return refusal.http_status >= 500 or refusal.is_transient or _by_code(refusal) is _OUTAGE


def _by_code(refusal: Refused) -> Reaction | None:
    code = refusal.code
    if code is None:
        return None
    if code == 100 and refusal.subcode == 33:
        return REACTIONS[33]
    if 200 <= code <= 299:
        return REACTIONS[200]
    return REACTIONS.get(code)
