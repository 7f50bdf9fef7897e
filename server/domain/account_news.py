"""What news of a template, a number or an account mean for sending. Pure; Meta's words in any case, open to new ones.

Fields and events are those of Meta's webhook reference. What is not listed changes nothing and is kept all the same.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, TypeAlias

from msgspec import Struct

from server.domain.limits import HIGH_THROUGHPUT
from server.domain.messaging_limit import limit_of
from server.domain.sentences import said
from server.domain.states import PauseReason


class TemplateIs(Struct, frozen=True):
    """A template has another status; only `APPROVED` can be sent. why: for people, where it cannot."""

    name: str
    language: str
    status: str
    why: str = ""

    @property
    def can_be_sent(self) -> bool:
        """Whether broadcasts of it go on."""
        return self.status == "APPROVED"


class TemplateHasCategory(Struct, frozen=True):
    """Meta put a template into another category, which changes its price."""

    name: str
    language: str
    category: str


class AccountStopped(Struct, frozen=True):
    """Nothing can be sent from the account. resume_at: when Meta says that it ends."""

    reason: PauseReason
    why: str
    resume_at: datetime | None = None


class AccountGoesOn(Struct, frozen=True):
    """The account can send again."""

    reason: PauseReason


class MessagingLimitIs(Struct, frozen=True):
    """The business may reach so many people a day; 0: no limit."""

    limit: int


class ThroughputRaised(Struct, frozen=True):
    """The number may send faster. display_phone_number: digits, as Meta writes it."""

    display_phone_number: str
    rate_per_second: int = HIGH_THROUGHPUT


Order: TypeAlias = (
    TemplateIs | TemplateHasCategory | AccountStopped | AccountGoesOn | MessagingLimitIs | ThroughputRaised
)

_SENDABLE: Final = frozenset({"APPROVED", "UNPAUSE", "UNPAUSED", "REINSTATED", "UNARCHIVED"})
# Events that say something of a template and nothing of whether it can be sent.
_NEUTRAL: Final = frozenset({"FLAGGED", "IN_APPEAL", "PENDING_DELETION"})
_TITLES: Final[Mapping[str, str]] = {
    "FIRST_PAUSE": said("People took it badly; the first pause lasts three hours."),
    "SECOND_PAUSE": said("People took it badly; the second pause lasts six hours."),
    "RATE_LIMITING_PAUSE": said("Meta held its pace and then paused it: unpause it in WhatsApp Manager."),
    "DISABLED": said("It is switched off for good: use another template."),
}
_GONE: Final[Mapping[str, str]] = {
    "ACCOUNT_DELETED": said("The WhatsApp Business Account was deleted."),
    "ACCOUNT_OFFBOARDED": said("The WhatsApp Business Account was taken off the Cloud API."),
}


def orders_of(field: str, value: Mapping[str, Any]) -> list[Order]:
    """What a change means; empty where it means nothing for sending."""
    match field:
        case "message_template_status_update":
            return _template_status(value)
        case "template_category_update":
            category = value.get("new_category") or value.get("correct_category")
            return [TemplateHasCategory(*_template(value), category.upper())] if isinstance(category, str) else []
        case "phone_number_quality_update" if _word(value.get("event")) == "THROUGHPUT_UPGRADE":
            digits = "".join(char for char in str(value.get("display_phone_number", "")) if char.isdecimal())
            return [ThroughputRaised(digits)] if digits else []
        case "business_capability_update":
            limit = limit_of(value.get("max_daily_conversations_per_business"))
            return [] if limit is None else [MessagingLimitIs(limit)]
        case "account_update":
            return _account(value)
    return []


def _template_status(value: Mapping[str, Any]) -> list[Order]:
    event = _word(value.get("event"))
    if not event or event in _NEUTRAL:
        return []
    name, language = _template(value)
    if event in _SENDABLE:
        return [TemplateIs(name, language, "APPROVED")]
    info = value.get("other_info")
    title = _word(info.get("title")) if isinstance(info, Mapping) else ""
    why = said(
        'WhatsApp says that the template "%(name)s" (%(language)s) is %(status)s.',
        name=name,
        language=language,
        status=event.lower().replace("_", " "),
    )
    return [TemplateIs(name, language, event, f"{why} {_TITLES.get(title or event, '')}".rstrip())]


def _account(value: Mapping[str, Any]) -> list[Order]:
    event = _word(value.get("event"))
    if event in _GONE:
        return [AccountStopped(PauseReason.CREDENTIALS, _GONE[event])]
    if event in ("ACCOUNT_RECONNECTED", "REINSTATE"):
        return [AccountGoesOn(PauseReason.CREDENTIALS), AccountGoesOn(PauseReason.QUALITY)]
    if event == "DISABLED_UPDATE":
        ban = value.get("ban_info")
        state = _word(ban.get("waba_ban_state")) if isinstance(ban, Mapping) else ""
        if state == "REINSTATE":
            return [AccountGoesOn(PauseReason.QUALITY)]
        why = said("WhatsApp has disabled the account. Read its notice and appeal.")
        return [AccountStopped(PauseReason.QUALITY, why)]
    if event == "ACCOUNT_RESTRICTION":
        restrictions = value.get("restriction_info")
        for restriction in restrictions if isinstance(restrictions, list) else ():
            if isinstance(restriction, Mapping) and "BIZ_INITIATED" in _word(restriction.get("restriction_type")):
                remedy = restriction.get("remediation")
                why = said("WhatsApp does not let the account begin conversations for now.")
                why = f"{why} {remedy}" if isinstance(remedy, str) else why
                return [AccountStopped(PauseReason.QUALITY, why, _instant(restriction.get("expiration")))]
    return []


def _template(value: Mapping[str, Any]) -> tuple[str, str]:
    language = str(value.get("message_template_language", "")).replace("-", "_")
    return str(value.get("message_template_name", "")), language


def _word(said: object) -> str:
    return said.upper() if isinstance(said, str) else ""


def _instant(seconds: object) -> datetime | None:
    try:
        return datetime.fromtimestamp(float(seconds), UTC) if isinstance(seconds, int | float | str) else None
    except (ValueError, OverflowError, OSError):
        return None
