"""What a template's status, category and quality look like, and what a person can do about them."""

from collections.abc import Mapping
from typing import Any, Final

from babel import Locale, UnknownLocaleError

from server.dashboard.languages import Speech
from server.dashboard.looks import N_, Look
from server.domain.template_news import QUALITY, STATUS, TemplateNews

OF_STATUSES: Final[Mapping[str, Look]] = {
    "APPROVED": Look(N_("Approved"), "delivered", "check"),
    "PENDING": Look(N_("In review"), "neutral", "hourglass"),
    "IN_APPEAL": Look(N_("In appeal"), "neutral", "hourglass"),
    "PAUSED": Look(N_("Paused"), "paused", "pause"),
    "REJECTED": Look(N_("Rejected"), "failed", "circle-x"),
    "DISABLED": Look(N_("Switched off"), "failed", "ban"),
    "FLAGGED": Look(N_("At risk"), "unknown", "circle-alert"),
    "LOCKED": Look(N_("Locked"), "failed", "ban"),
    "ARCHIVED": Look(N_("Archived"), "neutral", "history"),
    "LIMIT_EXCEEDED": Look(N_("Over the limit"), "failed", "circle-alert"),
    "PENDING_DELETION": Look(N_("Being deleted"), "neutral", "trash-2"),
    "DELETED": Look(N_("Deleted"), "neutral", "trash-2"),
}

OF_CATEGORIES: Final[Mapping[str, str]] = {
    "MARKETING": N_("Marketing"),
    "UTILITY": N_("Utility"),
    "AUTHENTICATION": N_("Authentication"),
}

OF_QUALITIES: Final[Mapping[str, Look]] = {
    "GREEN": Look(N_("Good quality"), "delivered", "check"),
    "YELLOW": Look(N_("Fair quality"), "unknown", "circle-alert"),
    "RED": Look(N_("Poor quality"), "failed", "circle-x"),
    "UNKNOWN": Look(N_("No quality yet"), "neutral", "circle-help"),
}

OF_PLACES: Final[Mapping[str, str]] = {"header": N_("Header"), "body": N_("Text"), "button": N_("Button")}

# What a status means, and what to do. A cause that WhatsApp named is more telling, and stands first.
_CAUSES: Final[Mapping[str, str]] = {
    "FIRST_PAUSE": N_(
        "People blocked or reported it, so WhatsApp paused it for three hours, the first time. Send it to people who "
        "expect it, or write another text."
    ),
    "SECOND_PAUSE": N_(
        "People blocked or reported it again, so WhatsApp paused it for six hours. A third time switches it off for "
        "good: change the text before you send it again."
    ),
    "RATE_LIMITING_PAUSE": N_("WhatsApp held its pace and then paused it. Unpause it in WhatsApp Manager."),
    "ABUSIVE_CONTENT": N_("WhatsApp finds abusive words in it. Write another text."),
    "INCORRECT_CATEGORY": N_(
        "WhatsApp finds another category right. Make it again in that category, or appeal in WhatsApp Manager."
    ),
    "INVALID_FORMAT": N_(
        "Its form is not as WhatsApp wants it: look at placeholders at the very beginning or end, and at the examples."
    ),
    "PROMOTIONAL": N_("WhatsApp finds it to be advertising. Make it again as marketing."),
    "SCAM": N_("WhatsApp takes it for a fraud. Write another text, and say who you are; an appeal is possible."),
    "TAG_CONTENT_MISMATCH": N_("Its language or category does not fit its words. Make it again with the right ones."),
    "CATEGORY_NOT_AVAILABLE": N_("The account may not use this category. Choose another one."),
}
_STATUSES: Final[Mapping[str, str]] = {
    "APPROVED": N_("It can be sent."),
    "PENDING": N_("WhatsApp looks at it; that takes up to a day. It can be sent once it is approved."),
    "IN_APPEAL": N_("WhatsApp looks at it again. It can be sent once it is approved."),
    "PAUSED": N_("WhatsApp has paused it, mostly because people took it badly. Broadcasts of it wait by themselves."),
    "REJECTED": N_("WhatsApp does not let it out. Its reason stands in WhatsApp Manager, where you can appeal."),
    "DISABLED": N_("WhatsApp has switched it off for good. Use another template."),
    "FLAGGED": N_("People take it badly. If that goes on, WhatsApp pauses it."),
    "LOCKED": N_("It cannot be changed or sent for now. WhatsApp Manager says why."),
    "ARCHIVED": N_("It was not used for a year. Bring it back in WhatsApp Manager before it is deleted."),
    "LIMIT_EXCEEDED": N_("The account has as many templates as it may. Delete some in WhatsApp Manager."),
}
_QUALITIES: Final[Mapping[str, str]] = {
    "GREEN": N_("People take it well."),
    "YELLOW": N_("Some people blocked or reported it. Send it to fewer people, who expect it."),
    "RED": N_("Many people blocked or reported it. WhatsApp may pause it: send something else."),
}


def look_of(status: str) -> Look:
    """A status, also one that WhatsApp has made up since."""
    return OF_STATUSES.get(status, Look(status.replace("_", " ").capitalize(), "neutral", "circle-help"))


def advice(speech: Speech, status: str, news: list[TemplateNews]) -> str:
    """What a status means and what to do, in the words that fit what WhatsApp told."""
    latest = next((one for one in news if one.field == STATUS), None)
    told = latest if latest is not None and latest.said == status else None
    words = _CAUSES.get(told.cause) if told is not None else None
    words = words or _STATUSES.get(status) or N_("WhatsApp says nothing more of it here; look in WhatsApp Manager.")
    return speech.gettext(words)


def pause_of(status: str, news: list[TemplateNews]) -> TemplateNews | None:
    """The news of a pause that holds and whose end is known."""
    latest = next((one for one in news if one.field == STATUS), None)
    return latest if status == "PAUSED" and latest is not None and latest.until is not None else None


def quality_of(news: list[TemplateNews]) -> tuple[Look, str] | None:
    """The last score that was told, and what to do."""
    latest = next((one for one in news if one.field == QUALITY), None)
    if latest is None:
        return None
    look = OF_QUALITIES.get(latest.said, OF_QUALITIES["UNKNOWN"])
    return look, _QUALITIES.get(latest.said, "")


def language_of(speech: Speech, code: str) -> str:
    """A language as the reader calls it: `he` as Hebrew, `pt_BR` as Portuguese (Brazil)."""
    try:
        return str(Locale.parse(code).get_display_name(speech.locale) or code)
    except (UnknownLocaleError, ValueError):
        return code


def reading(speech: Speech) -> dict[str, Any]:
    """What the templates of these pages use."""
    return {
        "look_of": look_of,
        "categories": OF_CATEGORIES,
        "qualities": OF_QUALITIES,
        "places": OF_PLACES,
        "language_of": lambda code: language_of(speech, code),
    }
