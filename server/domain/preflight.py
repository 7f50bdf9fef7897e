"""What a look before the start finds, in plain words: from what is known to findings, with no question asked here.

An error is what would make the whole broadcast fail or stop at once; it stops the start. A warning is what a person
would want to know before. An info is what they may expect. What concerns a few people is never an error: bad rows do
not stop the good ones.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from server.domain.costs import Cost
from server.domain.durations import in_words
from server.domain.errors import BadInput, NotNow, Problem
from server.domain.meanings import explain_stop
from server.domain.outcomes import Refused
from server.domain.reactions import Stop, reaction_for
from server.domain.states import PauseReason

APPROVED: Final = "APPROVED"
DUPLICATE: Final = "duplicate"
SHOWN_ROWS: Final = 5
_MEGABYTE: Final = 1024 * 1024


class Level(StrEnum):
    """How much a finding matters, the gravest first."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


class Code(StrEnum):
    """Every kind of finding; docs/preflight.md explains each."""

    NOBODY = "nobody"
    OPTED_OUT = "opted_out"
    REJECTED_ROWS = "rejected_rows"
    DUPLICATES = "duplicates"
    VALUE_MISSING = "value_missing"
    TEMPLATE_UNKNOWN = "template_unknown"
    TEMPLATE_NOT_APPROVED = "template_not_approved"
    TEMPLATE_PAUSED = "template_paused"
    TEMPLATE_DISABLED = "template_disabled"
    TEMPLATE_MISMATCH = "template_mismatch"
    TEMPLATE_CATEGORY = "template_category"
    MEDIA_LINK = "media_link"
    CHANNEL = "channel"
    CREDENTIALS = "credentials"
    PROVIDER_AWAY = "provider_away"
    NUMBER_STATUS = "number_status"
    NUMBER_QUALITY = "number_quality"
    ACCOUNT_HEALTH = "account_health"
    NO_WEBHOOK = "no_webhook"
    MESSAGING_LIMIT = "messaging_limit"
    SPREAD_OVER_DAYS = "spread_over_days"
    QUIET_HOURS = "quiet_hours"
    LOCAL_TIMES = "local_times"
    LOCAL_TIME_PASSED = "local_time_passed"
    FREQUENCY_CAP = "frequency_cap"
    DURATION = "duration"
    COST = "cost"
    NO_RATE_CARD = "no_rate_card"
    NO_PRICE = "no_price"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing found. detail: one or two plain sentences. pointer: the field of the broadcast that is to be mended."""

    level: Level
    code: Code
    detail: str
    pointer: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """All that was found. recipients: people who would be sent to. seconds: what the rate alone makes it take.

    cost: None where it is not known, or was not asked for.
    """

    findings: tuple[Finding, ...]
    recipients: int
    seconds: float
    cost: Cost | None = None

    @property
    def errors(self) -> list[Finding]:
        """What stops the start."""
        return [finding for finding in self.findings if finding.level is Level.ERROR]

    def as_json(self) -> dict[str, object]:
        """The shape of docs/api.md."""
        found = [{"level": item.level, "code": item.code, "detail": item.detail} for item in self.findings]
        return {
            "ok": not self.errors,
            "findings": found,
            "recipients": self.recipients,
            "seconds": self.seconds,
            "cost": None if self.cost is None else self.cost.as_json(),
        }


def report(findings: Iterable[Finding], recipients: int, rate_per_second: int, cost: Cost | None = None) -> Report:
    """Findings in the order of their weight. rate_per_second: 0 where nothing limits it, and it takes no time."""
    weights = list(Level)
    ordered = tuple(sorted(findings, key=lambda finding: weights.index(finding.level)))
    return Report(ordered, recipients, round(recipients / rate_per_second, 1) if rate_per_second else 0.0, cost)


def refuse_errors(found: Report) -> None:
    """Let a broadcast pass that may start.

    Raises `BadInput` where something of the broadcast itself is to be mended, `NotNow` where only the world around it
    stands in the way.
    """
    errors = found.errors
    if not errors:
        return
    if not any(error.pointer for error in errors):
        raise NotNow(" ".join(error.detail for error in errors))
    detail = errors[0].detail if len(errors) == 1 else f"{len(errors)} things keep this broadcast from starting."
    raise BadInput(detail, problems=[Problem(error.pointer, error.detail) for error in errors])


# --- the people


def of_people(recipients: int, opted_out_count: int) -> Iterator[Finding]:
    """Who is left to send to. opted_out_count: people on the list who get nothing."""
    if not recipients:
        everybody = " Everybody on its list has opted out." if opted_out_count else ""
        detail = f"This broadcast has no recipients to send to.{everybody}"
        yield Finding(Level.ERROR, Code.NOBODY, detail, "/recipients")
    elif opted_out_count:
        detail = f"{_people(opted_out_count)} on the list opted out and will get nothing."
        yield Finding(Level.INFO, Code.OPTED_OUT, detail)


def of_audience(
    who: str, contacts_count: int, opted_out_count: int, recipients: int, *, starts_later: bool
) -> Iterator[Finding]:
    """Whom of the contacts it goes to, counted now: those of the start may be others. who: in words, no full stop."""
    if not recipients:
        why = _why_nobody(contacts_count, opted_out_count)
        if starts_later:
            detail = f"{why} at present: {who}. Whoever is there when it starts gets it; if nobody is, it fails."
            yield Finding(Level.WARNING, Code.NOBODY, detail, "/audience")
        else:
            yield Finding(Level.ERROR, Code.NOBODY, f"{why}: {who}.", "/audience")
    elif opted_out_count:
        detail = f"{_people(opted_out_count)} of the audience opted out and will get nothing."
        yield Finding(Level.INFO, Code.OPTED_OUT, detail)


def _why_nobody(contacts_count: int, opted_out_count: int) -> str:
    if not contacts_count:
        return "Nobody is in this audience"
    if opted_out_count >= contacts_count:
        return "Everybody in this audience has opted out"
    return "Nobody in this audience has a value for everything that the message needs"


def of_list(rejected_count: int, kept_reasons: Sequence[str]) -> Iterator[Finding]:
    """Rows that were left out. kept_reasons: of the first of them, as many as are kept."""
    duplicates_count = sum(reason == DUPLICATE for reason in kept_reasons)
    others_count = rejected_count - duplicates_count
    is_counted = rejected_count == len(kept_reasons)
    if duplicates_count:
        least = "" if is_counted else "At least "
        detail = f"{least}{_rows(duplicates_count)} of the list {_has(duplicates_count)} a phone that came before."
        yield Finding(Level.INFO, Code.DUPLICATES, f"{detail} Each phone is sent to once.")
    if others_count:
        most = "" if is_counted or not duplicates_count else "At most "
        detail = f"{most}{_rows(others_count)} of the list cannot be used and {_was(others_count)} left out."
        yield Finding(Level.WARNING, Code.REJECTED_ROWS, detail)


@dataclass(frozen=True, slots=True)
class Lack:
    """A column that some people have no value for. first_rows: the lines of the first of them, where they are known."""

    column: str
    people_count: int
    first_rows: tuple[int, ...]


REFUSED: Final = "WhatsApp will refuse the message without it."
LEFT_OUT: Final = "Whoever has none is left out."


def of_values(lacks: Iterable[Lack], recipients: int, consequence: str = REFUSED) -> Iterator[Finding]:
    """Values that the message needs and people do not have. WhatsApp refuses an empty one (131008)."""
    for lack in lacks:
        is_everybody = lack.people_count >= recipients
        who = "Nobody has" if is_everybody else f"{_people(lack.people_count)} {_has(lack.people_count)} no"
        value = f'{"a" if is_everybody else ""} value for "{lack.column}"'.strip()
        rows = f" (rows {', '.join(map(str, lack.first_rows))}{_more(lack)})" if lack.first_rows else ""
        level = Level.ERROR if is_everybody else Level.WARNING
        detail = f"{who} {value}{rows}. {consequence}"
        yield Finding(level, Code.VALUE_MISSING, detail, "/recipients")


def _more(lack: Lack) -> str:
    return " and more" if lack.people_count > len(lack.first_rows) else ""


def of_pace(recipients: int, rate_per_second: int) -> Iterator[Finding]:
    """How long it takes. rate_per_second: messages per second, 0 where nothing limits it."""
    if recipients and rate_per_second:
        took = in_words(recipients / rate_per_second)
        yield Finding(Level.INFO, Code.DURATION, f"At {rate_per_second:,} messages a second it takes {took}.")


# --- the template


_NOT_APPROVED: Final[Mapping[str, tuple[Code, str]]] = {
    "PAUSED": (
        Code.TEMPLATE_PAUSED,
        "WhatsApp has paused {it}, because of how people took it. Sync the templates once it is active again.",
    ),
    "DISABLED": (Code.TEMPLATE_DISABLED, "WhatsApp has switched {it} off for good. Use another template."),
}
_EVERY_OTHER: Final = (
    Code.TEMPLATE_NOT_APPROVED,
    "{it} is {status}, and only approved ones can be sent. Sync the templates once WhatsApp has approved it.",
)
_OF_CATEGORY: Final[Mapping[str, str]] = {
    "MARKETING": "WhatsApp limits how much marketing one person gets, so some may not get it.",
    "UTILITY": "It should follow something that each of these people did or asked for.",
    "AUTHENTICATION": "It should carry a code, and nothing else.",
}


def of_template(name: str, language: str, status: str, category: str) -> Iterator[Finding]:
    """A template that is known. status, category: as Meta says them."""
    if status.upper() != APPROVED:
        code, words = _NOT_APPROVED.get(status.upper(), _EVERY_OTHER)
        detail = words.format(it=f'the template "{name}" ({language})', status=_plain(status))
        yield Finding(Level.ERROR, code, detail[0].upper() + detail[1:], "/template/name")
    advice = _OF_CATEGORY.get(category.upper())
    if advice is not None:
        detail = f"The template's category is {category.lower()}. {advice}"
        yield Finding(Level.INFO, Code.TEMPLATE_CATEGORY, detail)


def of_bad_input(code: Code, error: BadInput) -> Iterator[Finding]:
    """What is wrong with the broadcast itself, a finding for each problem."""
    for problem in error.problems:
        yield Finding(Level.ERROR, code, problem.detail, problem.pointer or "/template")


# --- what is around it


@dataclass(frozen=True, slots=True)
class NumberState:
    """The number that sends, as WhatsApp describes it; empty where it does not say.

    can_send: `AVAILABLE`, `LIMITED` or `BLOCKED`. reasons: WhatsApp's own sentences on why it is not the first.
    """

    status: str = ""
    quality: str = ""
    can_send: str = ""
    reasons: tuple[str, ...] = ()


# Of these nothing can be sent; what else is not CONNECTED may pass, for Meta adds statuses without notice.
_CANNOT_SEND: Final = frozenset(
    ("BANNED", "DELETED", "DISCONNECTED", "MIGRATED", "PENDING", "RESTRICTED", "UNVERIFIED")
)


def of_number(number: NumberState) -> Iterator[Finding]:
    """The number's status and quality, and the health of what stands behind it: account, business, app."""
    why = " ".join(number.reasons)
    if number.can_send.upper() == "BLOCKED":
        detail = f"WhatsApp lets nothing out from this number at present. {why or _LOOK}"
        yield Finding(Level.ERROR, Code.ACCOUNT_HEALTH, detail)
    elif number.can_send.upper() == "LIMITED":
        yield Finding(Level.WARNING, Code.ACCOUNT_HEALTH, f"WhatsApp limits what this number can send. {why or _LOOK}")
    status = number.status.upper()
    if status and status != "CONNECTED":
        level = Level.ERROR if status in _CANNOT_SEND else Level.WARNING
        detail = f"The sending number is {_plain(status)}; it should be connected. {_LOOK}"
        yield Finding(level, Code.NUMBER_STATUS, detail)
    if number.quality.upper() in ("RED", "YELLOW"):
        is_low = number.quality.upper() == "RED"
        detail = f"The quality of the sending number is {'low' if is_low else 'medium'}: people report or block it."
        yield Finding(Level.WARNING if is_low else Level.INFO, Code.NUMBER_QUALITY, detail)


_LOOK: Final = "Look at it in WhatsApp Manager."


def of_refusal(refusal: Refused) -> Finding:
    """WhatsApp answered and would not say how the number is: with these credentials nothing can be sent, or later."""
    reaction = reaction_for(refusal)
    if isinstance(reaction, Stop) and reaction.pause_reason is PauseReason.CREDENTIALS:
        return Finding(Level.ERROR, Code.CREDENTIALS, explain_stop(refusal))
    return of_absence(explain_stop(refusal))


def of_absence(reason: str) -> Finding:
    """WhatsApp did not say how the number is. It is no reason to wait: the engine waits by itself where it has to."""
    return Finding(Level.WARNING, Code.PROVIDER_AWAY, f"The number could not be checked. {reason}")


def of_webhook(has_been_heard: bool) -> Iterator[Finding]:
    """Whether WhatsApp has ever told what became of a message of this number."""
    if not has_been_heard:
        detail = (
            "WhatsApp has not reported on any message of this number yet: without its webhook nobody sees what is "
            "delivered and read, and opt-outs by reply are not heard."
        )
        yield Finding(Level.INFO, Code.NO_WEBHOOK, detail)


def of_messaging_limit(recipients: int, limit: int, left: int) -> Iterator[Finding]:
    """Whether everybody can be reached now within WhatsApp's limit of people a day. No error: it goes on by itself."""
    if recipients > left:
        detail = (
            f"WhatsApp lets this business message {limit:,} people in 24 hours. Now {left:,} of the {recipients:,} can "
            "be reached; then the broadcast pauses and goes on by itself as the day moves on."
        )
        yield Finding(Level.WARNING, Code.MESSAGING_LIMIT, detail)


def of_plan(limit: int, planned: str) -> Finding:
    """A broadcast that is meant to take several days. planned: its days in words."""
    detail = f"WhatsApp lets this business message {limit:,} people in 24 hours. The plan, in days of UTC: {planned}."
    return Finding(Level.INFO, Code.SPREAD_OVER_DAYS, detail)


def of_frequency_cap(cap: str, people_count: int, recipients: int) -> Iterator[Finding]:
    """People who have had enough marketing lately. cap: in words."""
    if people_count:
        is_everybody = people_count >= recipients
        who = "Everybody" if is_everybody else _people(people_count)
        has = "has" if is_everybody else _has(people_count)
        detail = f"{who} {has} had {cap} already, as many as your frequency cap allows, and will get nothing."
        yield Finding(Level.WARNING if is_everybody else Level.INFO, Code.FREQUENCY_CAP, detail)


# --- the media of the header


@dataclass(frozen=True, slots=True)
class LinkAnswer:
    """What a media link answered to a HEAD request; size_bytes is None where it does not say."""

    http_status: int
    media_type: str = ""
    size_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class LinkRefused:
    """A link that WhatsApp can never fetch, and that was not asked. reason: in plain words, without a full stop."""

    reason: str


@dataclass(frozen=True, slots=True)
class LinkSilent:
    """A link that did not answer. reason: in plain words, without a full stop."""

    reason: str


LinkLook = LinkAnswer | LinkRefused | LinkSilent

_GONE: Final = frozenset((404, 410))
# Some servers answer no HEAD at all, and are no worse for it.
_NO_HEAD: Final = frozenset((405, 501))
LARGEST_MEGABYTES: Final[Mapping[str, int]] = {"image": 5, "video": 16, "document": 100}


def of_link(kind: str, look: LinkLook) -> Iterator[Finding]:
    """The link of a header. kind: image, video or document; sizes are Meta's."""
    pointer = f"/template/header/{kind}/link"
    match look:
        case LinkRefused(reason):
            yield Finding(Level.ERROR, Code.MEDIA_LINK, f"The {kind}'s link cannot be used: {reason}.", pointer)
        case LinkSilent(reason):
            yield Finding(Level.WARNING, Code.MEDIA_LINK, f"The {kind}'s link does not answer: {reason}.", pointer)
        case LinkAnswer(http_status) if http_status in _GONE:
            detail = f"The {kind} is not where its link says (HTTP {http_status})."
            yield Finding(Level.ERROR, Code.MEDIA_LINK, detail, pointer)
        case LinkAnswer(http_status) if http_status in _NO_HEAD:
            return
        case LinkAnswer(http_status) if not 200 <= http_status < 300:
            detail = f"The {kind}'s link answers with HTTP {http_status}; it should open without signing in."
            yield Finding(Level.WARNING, Code.MEDIA_LINK, detail, pointer)
        case LinkAnswer(_, media_type, size_bytes):
            yield from _of_media(kind, media_type, size_bytes, pointer)


def _of_media(kind: str, media_type: str, size_bytes: int | None, pointer: str) -> Iterator[Finding]:
    if kind in ("image", "video") and media_type and not media_type.lower().startswith(f"{kind}/"):
        detail = f"The {kind}'s link leads to {media_type}; WhatsApp will not take it for {_a(kind)}."
        yield Finding(Level.WARNING, Code.MEDIA_LINK, detail, pointer)
    largest = LARGEST_MEGABYTES.get(kind)
    if largest is not None and size_bytes is not None and size_bytes > largest * _MEGABYTE:
        detail = f"The {kind} has {size_bytes / _MEGABYTE:.1f} MB; WhatsApp takes {largest} MB at most."
        yield Finding(Level.WARNING, Code.MEDIA_LINK, detail, pointer)


def of_personal_link(kind: str) -> Finding:
    """A link that differs from person to person."""
    detail = f"The {kind}'s link differs from person to person, so it was not tried."
    return Finding(Level.INFO, Code.MEDIA_LINK, detail)


# --- words


def _people(count: int) -> str:
    return "1 person" if count == 1 else f"{count:,} people"


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count:,} rows"


def _has(count: int) -> str:
    return "has" if count == 1 else "have"


def _was(count: int) -> str:
    return "was" if count == 1 else "were"


def _a(kind: str) -> str:
    return f"an {kind}" if kind[0] in "aeiou" else f"a {kind}"


def _plain(status: str) -> str:
    return status.lower().replace("_", " ")
