"""How a broadcast stands, in plain words: the live line, the sentence at the end, and the summary of `show`.

Pure: everything comes in as values. `shown` is a broadcast in the shape of docs/api.md.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from server.cli.output import counted, instant
from server.domain.durations import in_words
from server.domain.states import BroadcastStatus, PauseReason

# A runner renews its lease three times in its length. One that has let half of it pass may be dead.
QUIET_SHARE_OF_LEASE: Final = 0.5
# Nothing was answered for so long, or for as long as a few messages take at the rate: worth a word.
STILL_SECONDS: Final = 5.0
STILL_MESSAGES: Final = 3
SHOWN_REASONS: Final = 10

_PAUSES: Final[Mapping[str, str]] = {
    PauseReason.USER: "a person paused it",
    PauseReason.RUNTIME_LIMIT: "its run has reached its time",
    PauseReason.MESSAGING_LIMIT: "the number has reached its messaging limit",
    PauseReason.QUIET_HOURS: "these are quiet hours",
    PauseReason.LOCAL_TIME: "it waits for the next people's own time",
    PauseReason.RATE_LIMITED: "WhatsApp asks for a slower pace",
    PauseReason.PROVIDER_OUTAGE: "WhatsApp is away",
    PauseReason.CREDENTIALS: "WhatsApp does not take the token or the account",
    PauseReason.TEMPLATE: "the template cannot be sent",
    PauseReason.QUALITY: "WhatsApp has a complaint about the number's quality",
    PauseReason.FAILURES: "too many failed alike",
    PauseReason.CANARY: "its first people are being watched, or did not take it well",
}
_LIMITS: Final[Mapping[str, str]] = {
    "your_rate": "the rate that was asked for",
    "throughput": "the throughput of the number",
    "messaging_limit": "the people the business may reach in a day",
    "pair_rate": "waiting for people who get too much from this number at once",
    "window": "waiting for people whom WhatsApp wants left alone for now",
    "provider": "as fast as WhatsApp answers",
    "database": "as fast as the database answers",
}


class Signs(NamedTuple):
    """What whoever watches sees beside the row.

    lease_seconds: how long a lease lasts. lease_left_seconds: how long the runner's own still does, below 0 where it
    has run out; None where nobody holds one. still_seconds: since when no counter has changed.
    """

    lease_seconds: float = 0.0
    lease_left_seconds: float | None = None
    still_seconds: float = 0.0


class Reason(NamedTuple):
    """Why so many recipients have this status: Meta's code, where there is one, and a sentence."""

    status: str
    error_code: int | None
    error_message: str | None
    people_count: int


# --- the live line


def live_line(shown: dict[str, Any], signs: Signs, now: datetime) -> str:
    """How it stands at this moment, for a line that is written over and over."""
    trouble = _trouble(shown, signs)
    said = [_live_state(shown, now)]
    if trouble is None:
        said += _pace(shown, now)
    said += [
        f"{shown[f'{name}_count']:,} {name}"
        for name in ("failed", "unknown", "skipped", "cancelled")
        if shown[f"{name}_count"]
    ]
    return ", ".join(said) + (f": {trouble}" if trouble else "")


def _live_state(shown: dict[str, Any], now: datetime) -> str:
    """The status, and of one that waits what it waits for."""
    status = str(shown["status"])
    if shown["cancel_requested"] and status != BroadcastStatus.CANCELLED:
        return "being cancelled"
    match status:
        case BroadcastStatus.PAUSED:
            return f"paused ({_PAUSES.get(str(shown['pause_reason']), 'no reason given')}){_goes_on(shown, now)}"
        case BroadcastStatus.QUEUED:
            return f"queued{_goes_on(shown, now) or ', waiting for its turn'}"
        case BroadcastStatus.SETTLING:
            return "nothing is left to send, settling"
        case _:
            return status


def _goes_on(shown: dict[str, Any], now: datetime) -> str:
    seconds = _seconds_until(shown["resume_at"], now)
    if seconds is None:
        return ""
    return f", goes on by itself in {in_words(seconds)}" if seconds > 0 else ", about to go on by itself"


def _pace(shown: dict[str, Any], now: datetime) -> list[str]:
    """Messages a second, and how long it will take at that pace."""
    if not shown["current_rate"]:
        return []
    pace = [f"{shown['current_rate']:,.0f}/s"]
    if shown["eta"]:
        pace.append(f"{in_words(max(_seconds_until(shown['eta'], now) or 0.0, 0.0))} left")
    return pace


def _trouble(shown: dict[str, Any], signs: Signs) -> str | None:
    """Why a row that says `running` may not be telling the present: its runner or WhatsApp is silent."""
    if shown["status"] != BroadcastStatus.RUNNING:
        return None
    left = signs.lease_left_seconds
    if left is not None and left <= 0:
        return "its worker is gone, waiting for another to take over"
    if left is not None and left < signs.lease_seconds * QUIET_SHARE_OF_LEASE:
        return f"no word from its worker for {in_words(signs.lease_seconds - left)}"
    rate = min(filter(None, (shown["rate_limit"], shown["current_rate"])), default=0.0)
    if signs.still_seconds >= max(STILL_SECONDS, STILL_MESSAGES / rate if rate else 0.0):
        return f"nothing got through for {in_words(signs.still_seconds)}, is WhatsApp away?"
    return None


# --- the sentence at the end


def summary(shown: dict[str, Any]) -> str:
    """How a broadcast stands, in one plain sentence or two."""
    counts = ", ".join(
        f"{shown[f'{name}_count']:,} {name}"
        for name in ("sent", "failed", "skipped", "cancelled", "unknown")
        if shown[f"{name}_count"] or name == "sent"
    )
    text = f"Broadcast {shown['id']} is {shown['status']}: {counts} of {shown['total_recipients']:,}."
    if shown["status_detail"]:
        text += f" {shown['status_detail']}"
    if shown["status"] == BroadcastStatus.SETTLING:
        text += f" {_settling(shown)}"
    return text


def in_flight(count: int) -> str:
    """What a stop found under way."""
    if not count:
        return "Nothing was in flight."
    return f"{counted(count, 'request')} {'was' if count == 1 else 'were'} in flight; the history says how each ended."


def _settling(shown: dict[str, Any]) -> str:
    people = counted(shown["unknown_count"], "person", "people")
    return (
        f"Nothing is left to send, and what became of {people} is not known yet. "
        "That settles by itself while a steward runs (clarion up)."
    )


# --- the summary of `show`


def description(shown: dict[str, Any], reasons: Sequence[Reason], now: datetime) -> Iterator[str]:
    """All there is to say of a broadcast, a line at a time: state, pace, counts that add up, reasons, the list."""
    yield f"Broadcast {shown['id']}, {shown['name']}: {_state(shown, now)}"
    if shown["status"] == BroadcastStatus.RUNNING and shown["current_rate"]:
        yield _pace_sentence(shown, now)
    yield ""
    yield from _counts(shown)
    yield from _grouped_reasons(reasons)
    yield from _rejected(shown)
    yield ""
    yield ", ".join(_instants(shown)) + "."


def _state(shown: dict[str, Any], now: datetime) -> str:
    if shown["cancel_requested"] and shown["status"] != BroadcastStatus.CANCELLED:
        return "being cancelled."
    match BroadcastStatus(shown["status"]):
        case BroadcastStatus.DRAFT:
            state = "a draft; nothing leaves until it is started."
        case BroadcastStatus.SCHEDULED:
            state = f"scheduled; {_schedule(shown)}."
        case BroadcastStatus.SETTLING:
            state = f"settling. {_settling(shown)}"
        case BroadcastStatus.PAUSED | BroadcastStatus.QUEUED:
            state = f"{_live_state(shown, now)}."
        case BroadcastStatus.COMPLETED:
            state = "completed; everybody was sent to." if not shown["skipped_count"] else "completed."
        case BroadcastStatus.PARTIAL:
            state = "finished; some failed."
        case BroadcastStatus.FAILED:
            state = "failed; nothing more is sent."
        case BroadcastStatus.CANCELLED:
            state = "cancelled; nothing more is sent."
        case status:
            state = f"{status}."
    return state + (f" {shown['status_detail']}" if shown["status_detail"] else "")


def _schedule(shown: dict[str, Any]) -> str:
    if shown["local_time"]:
        return f"everybody gets it at {shown['local_time'].replace('T', ' ')} by their own clock"
    return f"it starts by itself at {instant(shown['scheduled_at'])}"


def _pace_sentence(shown: dict[str, Any], now: datetime) -> str:
    limit = _LIMITS.get(str(shown["limited_by"]))
    at = f"{shown['current_rate']:,.1f} messages a second" + (f" ({limit})" if limit else "")
    if not shown["eta"]:
        return f"It goes at {at}."
    left = max(_seconds_until(shown["eta"], now) or 0.0, 0.0)
    return f"It goes at {at}; {in_words(left)} left, until {instant(shown['eta'])}."


def _waiting(shown: dict[str, Any]) -> int:
    """Recipients to whom nothing has been sent yet, or whose answer is still on its way."""
    return int(shown["total_recipients"] - shown["processed_count"] - shown["unknown_count"])


def _counts(shown: dict[str, Any]) -> Iterator[str]:
    """The total, and below it what it is the sum of."""
    arrived = [f"{shown[f'{name}_count']:,} {name}" for name in ("delivered", "read") if shown[f"{name}_count"]]
    parts = (
        (shown["sent_count"], f"sent, of them {' and '.join(arrived)}" if arrived else "sent"),
        (shown["failed_count"], "failed"),
        (shown["skipped_count"], "skipped, for they had opted out"),
        (shown["cancelled_count"], "cancelled"),
        (shown["unknown_count"], "unknown: it may have reached them, and nobody has said so yet"),
        (_waiting(shown), "to go"),
    )
    total = shown["total_recipients"]
    yield _row(total, "person" if total == 1 else "people")
    yield from (_row(count, what) for count, what in parts if count)


def _grouped_reasons(reasons: Sequence[Reason]) -> Iterator[str]:
    for status in dict.fromkeys(reason.status for reason in reasons):
        yield ""
        yield f"Why {status}:"
        alike = [reason for reason in reasons if reason.status == status]
        for reason in alike[:SHOWN_REASONS]:
            code = f" ({reason.error_code})" if reason.error_code is not None else ""
            yield _row(reason.people_count, f"{reason.error_message or 'no reason given'}{code}")
        if len(alike) > SHOWN_REASONS:
            yield _row(sum(reason.people_count for reason in alike[SHOWN_REASONS:]), "for other reasons")


def _rejected(shown: dict[str, Any]) -> Iterator[str]:
    """Rows of the list that are no recipients at all."""
    count, kept = shown["rejected_count"], shown["rejected"]
    if not count:
        return
    yield ""
    of_first = f"; of the first {len(kept):,}" if len(kept) < count else ""
    yield f"{counted(count, 'row')} of the list could not be used{of_first}:"
    for reason, times in Counter(row["reason"] for row in kept).most_common(SHOWN_REASONS):
        yield _row(times, reason)


def _row(count: int, what: str) -> str:
    return f"{count:>12,}  {what}"


def _instants(shown: dict[str, Any]) -> Iterator[str]:
    yield f"Made {instant(shown['created_at'])}"
    if shown["started_at"]:
        yield f"started {instant(shown['started_at'])}"
    if shown["completed_at"]:
        yield f"ended {instant(shown['completed_at'])}"


# --- time


def _seconds_until(text: str | None, now: datetime) -> float | None:
    return None if text is None else (datetime.fromisoformat(text) - now).total_seconds()
