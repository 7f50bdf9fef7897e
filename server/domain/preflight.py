"""What a look before the start finds, in plain words: from what is known to findings, with no question asked here.

An error is what would make the whole broadcast fail or stop at once; it stops the start. A warning is what a person
would want to know before. An info is what they may expect. What concerns a few people is never an error: bad rows do
not stop the good ones.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from server.domain.costs import Cost
from server.domain.durations import in_words
from server.domain.errors import BadInput, NotNow, Problem
from server.domain.meanings import explain_stop
from server.domain.outcomes import Refused
from server.domain.reactions import Stop, reaction_for
from server.domain.sentences import counted, said
from server.domain.states import PauseReason

APPROVED: Final = "APPROVED"


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
    detail = errors[0].detail
    if len(errors) > 1:
        detail = said("%(count)s things keep this broadcast from starting.", count=len(errors))
    raise BadInput(detail, problems=[Problem(error.pointer, error.detail) for error in errors])


# --- the template


def of_template(name: str, language: str, status: str, category: str) -> Iterator[Finding]:
    """A template that is known. status, category: as Meta says them."""
    if status.upper() != APPROVED:
        yield _not_approved(name, language, status)
    advice = _OF_CATEGORY.get(category.upper())
    if advice is not None:
        yield Finding(Level.INFO, Code.TEMPLATE_CATEGORY, advice)


_OF_CATEGORY: Final[Mapping[str, str]] = {
    "MARKETING": said(
        "The template's category is marketing. WhatsApp limits how much marketing one person gets, so some may not get "
        "it."
    ),
    "UTILITY": said(
        "The template's category is utility. It should follow something that each of these people did or asked for."
    ),
    "AUTHENTICATION": said("The template's category is authentication. It should carry a code, and nothing else."),
}


def _not_approved(name: str, language: str, status: str) -> Finding:
    match status.upper():
        case "PAUSED":
            code = Code.TEMPLATE_PAUSED
            what = said(
                'WhatsApp has paused the template "%(name)s" (%(language)s), because of how people took it.',
                name=name,
                language=language,
            )
            then = said("Sync the templates once it is active again.")
        case "DISABLED":
            code = Code.TEMPLATE_DISABLED
            what = said(
                'WhatsApp has switched the template "%(name)s" (%(language)s) off for good.',
                name=name,
                language=language,
            )
            then = said("Use another template.")
        case _:
            code = Code.TEMPLATE_NOT_APPROVED
            what = said(
                'The template "%(name)s" (%(language)s) is %(status)s, and only approved ones can be sent.',
                name=name,
                language=language,
                status=_plain(status),
            )
            then = said("Sync the templates once WhatsApp has approved it.")
    return Finding(Level.ERROR, code, f"{what} {then}", "/template/name")


def of_bad_input(code: Code, error: BadInput) -> Iterator[Finding]:
    """What is wrong with the broadcast itself, a finding for each problem."""
    for problem in error.problems:
        yield Finding(Level.ERROR, code, problem.detail, problem.pointer or "/template")


# --- what is around it


def of_pace(recipients: int, rate_per_second: int) -> Iterator[Finding]:
    """How long it takes. rate_per_second: messages per second, 0 where nothing limits it."""
    if recipients and rate_per_second:
        took = in_words(recipients / rate_per_second)
        pace = said("At %(rate)s messages a second it takes %(time)s.", rate=f"{rate_per_second:,}", time=took)
        yield Finding(Level.INFO, Code.DURATION, pace)


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
        detail = said("WhatsApp lets nothing out from this number at present.")
        yield Finding(Level.ERROR, Code.ACCOUNT_HEALTH, f"{detail} {why or _LOOK}")
    elif number.can_send.upper() == "LIMITED":
        detail = said("WhatsApp limits what this number can send.")
        yield Finding(Level.WARNING, Code.ACCOUNT_HEALTH, f"{detail} {why or _LOOK}")
    status = number.status.upper()
    if status and status != "CONNECTED":
        level = Level.ERROR if status in _CANNOT_SEND else Level.WARNING
        detail = said("The sending number is %(status)s; it should be connected.", status=_plain(status))
        yield Finding(level, Code.NUMBER_STATUS, f"{detail} {_LOOK}")
    if number.quality.upper() in _QUALITIES:
        yield _QUALITIES[number.quality.upper()]


_LOOK: Final = said("Look at it in WhatsApp Manager.")
_QUALITIES: Final[Mapping[str, Finding]] = {
    "RED": Finding(
        Level.WARNING,
        Code.NUMBER_QUALITY,
        said("The quality of the sending number is low: people report or block it."),
    ),
    "YELLOW": Finding(
        Level.INFO,
        Code.NUMBER_QUALITY,
        said("The quality of the sending number is medium: people report or block it."),
    ),
}


def of_refusal(refusal: Refused) -> Finding:
    """WhatsApp answered and would not say how the number is: with these credentials nothing can be sent, or later."""
    reaction = reaction_for(refusal)
    if isinstance(reaction, Stop) and reaction.pause_reason is PauseReason.CREDENTIALS:
        return Finding(Level.ERROR, Code.CREDENTIALS, explain_stop(refusal))
    return of_absence(explain_stop(refusal))


def of_absence(reason: str) -> Finding:
    """WhatsApp did not say how the number is. It is no reason to wait: the engine waits by itself where it has to."""
    return Finding(Level.WARNING, Code.PROVIDER_AWAY, f"{said('The number could not be checked.')} {reason}")


def of_webhook(has_been_heard: bool) -> Iterator[Finding]:
    """Whether WhatsApp has ever told what became of a message of this number."""
    if not has_been_heard:
        detail = said(
            "WhatsApp has not reported on any message of this number yet: without its webhook nobody sees what is "
            "delivered and read, and opt-outs by reply are not heard."
        )
        yield Finding(Level.INFO, Code.NO_WEBHOOK, detail)


def of_messaging_limit(recipients: int, limit: int, left: int) -> Iterator[Finding]:
    """Whether everybody can be reached now within WhatsApp's limit of people a day. No error: it goes on by itself."""
    if recipients > left:
        now = said(
            "Now %(left)s of the %(all)s can be reached; then the broadcast pauses and goes on by itself as the day "
            "moves on.",
            left=f"{left:,}",
            all=f"{recipients:,}",
        )
        yield Finding(Level.WARNING, Code.MESSAGING_LIMIT, f"{_limit_in_words(limit)} {now}")


def _limit_in_words(limit: int) -> str:
    return said("WhatsApp lets this business message %(limit)s people in 24 hours.", limit=f"{limit:,}")


def of_plan(limit: int, planned: str) -> Finding:
    """A broadcast that is meant to take several days. planned: its days in words."""
    plan = said("The plan, in days of UTC: %(days)s.", days=planned)
    return Finding(Level.INFO, Code.SPREAD_OVER_DAYS, f"{_limit_in_words(limit)} {plan}")


def of_frequency_cap(cap: str, people_count: int, recipients: int) -> Iterator[Finding]:
    """People who have had enough marketing lately. cap: in words."""
    if people_count:
        if people_count >= recipients:
            detail = said(
                "Everybody has had %(cap)s already, as many as your frequency cap allows, and will get nothing.",
                cap=cap,
            )
            yield Finding(Level.WARNING, Code.FREQUENCY_CAP, detail)
        else:
            detail = counted(
                "1 person has had %(cap)s already, as many as your frequency cap allows, and will get nothing.",
                "%(n)s people have had %(cap)s already, as many as your frequency cap allows, and will get nothing.",
                people_count,
                cap=cap,
            )
            yield Finding(Level.INFO, Code.FREQUENCY_CAP, detail)


# --- words


def _plain(status: str) -> str:
    return status.lower().replace("_", " ")


# Words that a sentence may have in it.
_WORDS: Final = (
    said("pending"),
    said("rejected"),
    said("paused"),
    said("disabled"),
    said("flagged"),
    said("in appeal"),
    said("archived"),
    said("deleted"),
    said("banned"),
    said("disconnected"),
    said("migrated"),
    said("restricted"),
    said("unverified"),
    said("rate limited"),
    said("offline"),
    said("unknown"),
)
