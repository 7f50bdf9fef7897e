"""What WhatsApp told of a template by webhook: its status, its quality, its category. Pure; open to new words.

Fields and titles are those of Meta's webhook reference (`message_template_status_update` and its two siblings).
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

STATUS: Final = "message_template_status_update"
QUALITY: Final = "message_template_quality_update"
CATEGORY: Final = "template_category_update"
FIELDS: Final = (STATUS, QUALITY, CATEGORY)
# How long a pause for quality lasts (Meta, "Template pausing"); a third one is for good.
_PAUSES: Final = {"FIRST_PAUSE": timedelta(hours=3), "SECOND_PAUSE": timedelta(hours=6)}


class TemplateNews(NamedTuple):
    """One piece of news. said: the status, the score or the category, in capitals.

    before: what it was, as far as WhatsApp says. cause: the title of a pause, or the reason of a rejection. until: when
    a pause ends, as WhatsApp documents it.
    """

    at: datetime
    field: str
    name: str
    language: str
    said: str
    before: str = ""
    cause: str = ""
    until: datetime | None = None


def read(field: str, value: Mapping[str, Any], at: datetime) -> TemplateNews | None:
    """The news of a change; None where it is none that is known. at: when it came."""
    name = value.get("message_template_name")
    language = value.get("message_template_language")
    if not isinstance(name, str) or not isinstance(language, str):
        return None
    of = (at, field, name, language.replace("-", "_"))
    match field:
        case _ if field == STATUS:
            info = value.get("other_info")
            title = _word(info.get("title")) if isinstance(info, Mapping) else ""
            reason = _word(value.get("reason"))
            cause = title or ("" if reason == "NONE" else reason)
            until = at + _PAUSES[title] if title in _PAUSES else None
            return TemplateNews(*of, _word(value.get("event")), cause=cause, until=until)
        case _ if field == QUALITY:
            before = _word(value.get("previous_quality_score"))
            return TemplateNews(*of, _word(value.get("new_quality_score")), before)
        case _ if field == CATEGORY:
            said = _word(value.get("new_category")) or _word(value.get("correct_category"))
            return TemplateNews(*of, said, _word(value.get("previous_category")))
    return None


def _word(said: object) -> str:
    return said.upper() if isinstance(said, str) else ""
