"""What a broadcast waits for, as `limited_by` says it: one of eight words, worked out from what the engine waits for.

your_rate        the broadcast's own rate_limit, or THROTTLE_MS
throughput       the number's messages a second, also where WhatsApp made the run go slower (130429)
messaging_limit  the people the business may reach in 24 hours
pair_rate        people who were put off because they get too much from this number at once (131056)
window           a time that has not come: people whom WhatsApp wants left alone for now (131049), quiet hours, local
                 time
provider         WhatsApp's answers, or a wait that WhatsApp asked for
database         our own claims: whoever could send waits for somebody to send to
nothing          nothing holds it: as fast as this machine can, or at its turn behind another broadcast
"""

from collections import deque
from collections.abc import Mapping
from enum import StrEnum
from typing import Final, NamedTuple

from server.domain.states import BroadcastStatus, PauseReason

PAIR_RATE_CODE: Final = 131056
PERSON_WINDOW_CODE: Final = 131049
# A single look is chance; a second of looks is what the engine waits for.
LOOKED_OVER_SECONDS: Final = 1.0


# Messages a second that Meta lets a number send: at first, and once it was upgraded.
STANDARD_THROUGHPUT: Final = 80
HIGH_THROUGHPUT: Final = 1_000
_THROUGHPUTS: Final[Mapping[str, int]] = {"STANDARD": STANDARD_THROUGHPUT, "HIGH": HIGH_THROUGHPUT}


def throughput_of(level: str | None) -> int | None:
    """Messages a second by `throughput.level` of a number; None where that says nothing."""
    return _THROUGHPUTS.get((level or "").upper())


class Limit(StrEnum):
    """What a broadcast waits for."""

    YOUR_RATE = "your_rate"
    THROUGHPUT = "throughput"
    MESSAGING_LIMIT = "messaging_limit"
    PAIR_RATE = "pair_rate"
    WINDOW = "window"
    PROVIDER = "provider"
    DATABASE = "database"
    NOTHING = "nothing"


class AllowedRate(NamedTuple):
    """messages_per_second: None for as fast as it goes. limit: whose limit that is."""

    messages_per_second: float | None
    limit: Limit


def allowed_rate(throughput: float, rate_limit: int | None, throttle_ms: float = 0.0) -> AllowedRate:
    """The slowest of all that limits a run.

    throughput: of the number, messages per second, 0 for no limit of ours. rate_limit: of the broadcast. throttle_ms:
    between two messages, 0 for none.
    """
    rates = (
        (throughput, Limit.THROUGHPUT),
        (rate_limit or 0, Limit.YOUR_RATE),
        (1000 / throttle_ms if throttle_ms else 0, Limit.YOUR_RATE),
    )
    rate, limit = min(((rate, limit) for rate, limit in rates if rate), default=(None, Limit.NOTHING))
    return AllowedRate(rate, limit)


class Sight(NamedTuple):
    """What the engine sees of itself at one instant.

    paced_by: whose limit the pacer keeps; None where there is no pacer. is_lowered: WhatsApp made it slower.
    is_paused: WhatsApp asked for a wait. idle_count: senders without a request under way. ready_count: claimed and not
    sent. is_claiming: a claim is asked for and not answered. people_left: whom the messaging limit lets it reach.
    """

    paced_by: Limit | None
    is_lowered: bool
    is_paused: bool
    idle_count: int
    ready_count: int
    is_claiming: bool
    people_left: int | None


def limit_of(sight: Sight) -> Limit:
    """Who waits for whom at this instant."""
    if sight.people_left == 0 and not sight.ready_count:
        return Limit.MESSAGING_LIMIT
    if sight.is_lowered:
        return Limit.THROUGHPUT
    if sight.is_paused or not sight.idle_count:
        return Limit.PROVIDER
    if sight.is_claiming and not sight.ready_count:
        return Limit.DATABASE
    return sight.paced_by or Limit.NOTHING


_WAITS: Final[Mapping[int | None, Limit]] = {PAIR_RATE_CODE: Limit.PAIR_RATE, PERSON_WINDOW_CODE: Limit.WINDOW}


def limit_of_waiting(error_code: int | None, *, is_left_alone: bool = False) -> Limit:
    """What a run waits for that has nobody but people who were put off.

    error_code: why the next of them was. is_left_alone: by quiet hours, or because their local time has not come.
    """
    return Limit.WINDOW if is_left_alone else _WAITS.get(error_code, Limit.PROVIDER)


class LimitMeter:
    """The limit that was seen most often within the last second."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, Limit]] = deque()
        self._counts = dict.fromkeys(Limit, 0)

    def see(self, now: float, limit: Limit) -> Limit:
        """Note what was seen now. Returns what was seen most; of two alike the one seen now."""
        self._seen.append((now, limit))
        self._counts[limit] += 1
        while self._seen[0][0] <= now - LOOKED_OVER_SECONDS:
            self._counts[self._seen.popleft()[1]] -= 1
        most = max(self._counts.values())
        return limit if self._counts[limit] == most else max(self._counts, key=self._counts.__getitem__)


_PAUSED: Final[Mapping[str, Limit]] = {
    PauseReason.MESSAGING_LIMIT: Limit.MESSAGING_LIMIT,
    PauseReason.QUIET_HOURS: Limit.WINDOW,
    PauseReason.LOCAL_TIME: Limit.WINDOW,
    PauseReason.RATE_LIMITED: Limit.THROUGHPUT,
    PauseReason.PROVIDER_OUTAGE: Limit.PROVIDER,
    PauseReason.TEMPLATE: Limit.PROVIDER,
    PauseReason.QUALITY: Limit.PROVIDER,
}


def limit_shown(status: str, pause_reason: str | None, *, has_resume_at: bool, noted: str | None) -> str | None:
    """`limited_by` of a row, running or not. noted: what the last run wrote into it.

    Before it is started, and where it waits for a person, None. `queued`: what the run before left it waiting for, or
    `nothing` where it only waits for its turn. After the end: what limited the last run.
    """
    match status:
        case BroadcastStatus.DRAFT:
            return None
        case BroadcastStatus.SCHEDULED:
            return Limit.WINDOW
        case BroadcastStatus.PAUSED:
            return _PAUSED.get(pause_reason or "")
        case BroadcastStatus.QUEUED:
            return (noted or Limit.WINDOW) if has_resume_at else Limit.NOTHING
        case _:
            return noted
