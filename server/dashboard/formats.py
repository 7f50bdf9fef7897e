"""How a number, a share, a time and a phone look: decided here and nowhere else."""

import re
from datetime import UTC, date, datetime
from typing import Final

import phonenumbers
from babel import Locale
from babel.core import get_global
from babel.dates import format_date, format_datetime, format_timedelta
from babel.numbers import format_decimal, format_percent
from markupsafe import Markup, escape

NOTHING: Final = "\N{EN DASH}"


def number_in(locale: Locale, number: float) -> str:
    """1234 as 1,234; at most one digit behind the point."""
    return format_decimal(number, format="#,##0.#", locale=locale)


def share_in(locale: Locale, part: float, whole: float) -> str:
    """A part of a whole as 12.3%; a dash where there is no whole."""
    return format_percent(part / whole, format="#,##0.#%", locale=locale) if whole else NOTHING


def duration_in(locale: Locale, seconds: float) -> str:
    """90 seconds as 2 minutes; a span of time as a person says it."""
    return format_timedelta(max(1, round(seconds)), threshold=1.5, locale=locale)


def instant_of(value: str | datetime) -> datetime:
    """An instant, also where it comes as RFC 3339."""
    return value if isinstance(value, datetime) else datetime.fromisoformat(value)


def time_in(locale: Locale, value: str | datetime | None, *, look: str = "relative") -> Markup:
    """A `<time>`: the pages' script shows it in the reader's zone, and exact on hover. Without a script it is in UTC.

    look: `relative` ("3 min. ago"), `exact`, or `clock` (hours and minutes).
    """
    if value is None:
        return Markup('<span class="quiet">{}</span>').format(NOTHING)
    instant = instant_of(value).astimezone(UTC)
    text = format_datetime(instant, "d MMM y, HH:mm" if look == "exact" else "d MMM, HH:mm", locale=locale)
    return Markup('<time datetime="{}" data-look="{}">{} UTC</time>').format(instant.isoformat(), look, text)


def wall_in(locale: Locale, value: str | datetime) -> str:
    """A date and a time that belong to no zone: everybody reads them off their own clock."""
    return str(format_datetime(instant_of(value), "EEE d MMM y, HH:mm", locale=locale))


# As the engine writes an instant, and a time that belongs to no zone; not what stands in quotation marks or is typed.
_WRITTEN: Final = re.compile(
    r"(?P<theirs>&#34;.*?&#34;|<code.*?</code>)|"
    r"(?P<day>\d{4}-\d\d-\d\d) (?P<clock>\d\d:\d\d(?::\d\d)?)(?P<is_utc> UTC)?",
    re.DOTALL,
)


def dated_in(locale: Locale, text: str) -> Markup:
    """A sentence of the engine in which each time is as this page writes times. What is no markup is escaped."""

    def written(match: re.Match[str]) -> str:
        try:
            at = datetime.fromisoformat(f"{match['day']}T{match['clock']}")
        except ValueError:
            return match[0]  # no day of the calendar
        return time_in(locale, at.replace(tzinfo=UTC), look="exact") if match["is_utc"] else wall_in(locale, at)

    def or_as_it_is(match: re.Match[str]) -> str:
        return match[0] if match["theirs"] else written(match)

    return Markup(_WRITTEN.sub(or_as_it_is, str(escape(text))))  # noqa: S704 - escaped


def day_in(locale: Locale, value: date) -> str:
    """A day without its year."""
    return format_date(value, "EEE d MMM", locale=locale)


def weekdays_in(locale: Locale) -> list[tuple[int, str]]:
    """The days of a week, 0 for Monday, with their names; the first is the one that calendars there begin with.

    A language alone says nothing of a country: the one where most of its readers are counts.
    """
    names = locale.days["stand-alone"]["wide"]
    likely = Locale.parse(get_global("likely_subtags").get(locale.language, str(locale)))
    days = ((likely.first_week_day + n) % len(names) for n in range(len(names)))
    return [(day, names[day]) for day in days]


def phone(number: str) -> str:
    """+972501234567 as +972 50-123-4567."""
    try:
        parsed = phonenumbers.parse(number)
    except phonenumbers.NumberParseException:
        return number
    return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.INTERNATIONAL)


_CODE: Final = re.compile("`([^`]+)`")


def with_code(text: str) -> Markup:
    """A sentence in which what stands between backticks is to be typed as it is."""
    return Markup(_CODE.sub(r'<code dir="ltr">\1</code>', str(escape(text))))  # noqa: S704 - escaped


_BROWSERS: Final = (
    ("Edg/", "Edge"),
    ("OPR/", "Opera"),
    ("Firefox/", "Firefox"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
)
_SYSTEMS: Final = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("Linux", "Linux"),
)


def browser(agent: str) -> str:
    """`User-Agent` as a person knows it, such as Firefox · Linux; empty where it says neither."""
    named = (next((name for sign, name in known if sign in agent), "") for known in (_BROWSERS, _SYSTEMS))
    return " · ".join(name for name in named if name)
