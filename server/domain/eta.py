"""When the last message of a broadcast will have left; None wherever nobody can know."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Final, NamedTuple

from server.domain.states import BroadcastStatus, PauseReason

_GOES_ON: Final = frozenset({BroadcastStatus.QUEUED, BroadcastStatus.PAUSED})
# Beyond what a calendar holds; a rate of next to nothing would get there.
_LONGEST_SECONDS: Final = 10 * 365 * 86_400.0


class Outlook(NamedTuple):
    """What a row says of the time ahead.

    remaining_count: people to whom nothing was sent yet. current_rate: messages per second of the last seconds.
    allowed_rate: what it may send at most; None: as fast as it goes, which nobody knows beforehand. has_runner: a
    runner holds the row and renews its lease. beyond_limit_count: people whom the messaging limit does not let it
    reach now. waits_until: nobody who was put off is put off for longer. waits: how many people wait until when, as far
    as that is counted; some of them may have been sent to. starts_at: where it does not start at `scheduled_at`.
    """

    status: str
    pause_reason: str | None
    cancel_requested: bool
    remaining_count: int
    current_rate: float | None
    allowed_rate: float | None
    has_runner: bool
    beyond_limit_count: int
    resume_at: datetime | None
    scheduled_at: datetime | None
    waits_until: datetime | None
    waits: Mapping[datetime, int] = MappingProxyType({})
    starts_at: datetime | None = None


def eta(outlook: Outlook, now: datetime) -> datetime | None:
    """The instant, never before `now`, before it goes on, or before whoever was put off may be tried again.

    None: it has ended or will not be finished, waits for a person or for its turn, has lost its runner, stands still,
    or has more people than WhatsApp lets the business reach now, which other broadcasts share and WhatsApp may change.
    """
    if outlook.remaining_count <= 0 or outlook.cancel_requested or outlook.beyond_limit_count > 0:
        return None
    begins_at = _begins_at(outlook, now)
    rate = outlook.current_rate
    if rate is None or (not rate and outlook.waits_until is not None and outlook.waits_until > now):
        rate = outlook.allowed_rate  # nothing leaves yet, or only because whoever is left was put off
    if begins_at is None or not rate:
        return None
    seconds = outlook.remaining_count / rate
    if seconds > _LONGEST_SECONDS:
        return None
    ends_at = begins_at + timedelta(seconds=seconds)
    if outlook.waits_until is not None:
        ends_at = max(ends_at, outlook.waits_until)
    return max([ends_at, *_ends_of_waits(outlook, now, outlook.allowed_rate or rate)])


def _ends_of_waits(outlook: Outlook, now: datetime, rate: float) -> Iterator[datetime]:
    """When those will have been sent to who wait until an instant or longer, and nobody of whom leaves before it.

    rate: messages per second once they may be sent to: what leaves now says nothing of that.
    """
    count = 0
    for at in sorted((at for at in outlook.waits if at > now), reverse=True):
        count = min(count + outlook.waits[at], outlook.remaining_count)
        yield at + timedelta(seconds=min(count / rate, _LONGEST_SECONDS))


def _begins_at(outlook: Outlook, now: datetime) -> datetime | None:
    """From when on messages leave; None where nobody can know."""
    if outlook.status == BroadcastStatus.RUNNING:
        return now if outlook.has_runner else None
    if outlook.status == BroadcastStatus.SCHEDULED and outlook.scheduled_at is not None:
        return max(now, outlook.starts_at or outlook.scheduled_at, outlook.resume_at or now)
    if outlook.pause_reason == PauseReason.MESSAGING_LIMIT:
        return None  # at `resume_at` some places are free, and how many people they are enough for nobody can say
    if outlook.status in _GOES_ON and outlook.resume_at is not None:
        return max(now, outlook.resume_at)
    return None
