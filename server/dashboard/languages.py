"""The languages of the pages. Catalogues are text files (`translations/*.po`), compiled in memory at the start.

English is what the templates are written in; a message without a translation is shown in English. What the engine says,
and keeps, in whole English sentences is told from their patterns (`domain/sentences.py`).
"""

import re
from collections.abc import Callable, Mapping
from functools import cache, lru_cache
from io import BytesIO
from pathlib import Path
from typing import Any, Final, Literal
from unicodedata import bidirectional

from babel import Locale
from babel.core import negotiate_locale
from babel.lists import format_list
from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.support import NullTranslations, Translations
from markupsafe import Markup, escape

from server.dashboard.formats import day_in, number_in
from server.domain.sending_plan import read as read_day
from server.domain.sentences import Made, Patterns, Value, in_the_middle, retold, told_each

DEFAULT: Final = "en"
# As each calls itself.
LANGUAGES: Final = {"en": "English", "he": "עברית", "ar": "العربية", "es": "Español"}
_FOLDER: Final = Path(__file__).parent / "translations"
# How a catalogue marks what the engine says, and not a page.
OF_THE_ENGINE: Final = "Said by the engine."
_MOST_KEPT: Final = 4_096
_LONGEST: Final = 2_000
# No sentence of ours stands deeper within others; what others write may look as if it did.
_DEEPEST: Final = 3
# What a country is called, among others that have no such code.
_COUNTRY: Final = re.compile(r"[A-Z]{2}")
_HEBREW: Final = re.compile("[\N{HEBREW LETTER ALEF}-\N{HEBREW LETTER TAV}]")
_COUNT: Final = re.compile(r"\d{1,3}(?:,\d{3})+|\d+")


class Speech:
    """One language: its texts, its way of writing numbers, and the direction it is read in."""

    def __init__(self, code: str) -> None:
        self.code = code
        self.locale = Locale.parse(code)
        self.direction = self.locale.text_direction
        catalogue = _catalogue(code)
        self._catalogue = _compiled(catalogue)
        ids = [message.id for message in catalogue if OF_THE_ENGINE in message.auto_comments]
        self._known = frozenset(text for text in ids if isinstance(text, str) and "%(" not in text)
        self._patterns = Patterns(_with_values(text) for text in ids if text not in self._known)
        self.told = lru_cache(_MOST_KEPT)(self._told)

    def gettext(self, message: str, **values: Any) -> str:
        """The message in this language; `%(name)s` in it stands for a value."""
        return _filled(self._catalogue.ugettext(message), values)

    def pgettext(self, context: str, message: str) -> str:
        """One English word that is several in other languages: `count` is of many, where a chip speaks of one."""
        return self._catalogue.upgettext(context, message)

    def ngettext(self, singular: str, plural: str, number: int, **values: Any) -> str:
        """The same with a number, which `%(n)s` shows."""
        said = self._catalogue.ungettext(singular, plural, number)
        return _filled(said, {"n": number_in(self.locale, number), **values})

    def _told(self, text: str) -> str:
        """What the engine says, or has kept, in English. What is not its own in it, such as WhatsApp's words, stays."""
        if not text or self.code == DEFAULT or len(text) > _LONGEST:
            return text
        told = retold(text, self._sentence)
        told = self.gettext(text) if told == text else told
        # Where a sentence of ours begins with a name in another script, it is not read in that one's direction.
        is_turned = self.direction == "rtl" and told != text and _direction_of(told) == "L"
        return f"\N{RIGHT-TO-LEFT MARK}{told}" if is_turned else told

    def _sentence(self, text: str, depth: int = 0) -> str | None:
        """depth: within how many other sentences it stands as a value."""
        if depth > _DEEPEST:
            return None
        return self._phrase(text, depth) or self._whole(text, depth)

    def _phrase(self, text: str, depth: int) -> str | None:
        if text in self._known:
            return self.gettext(text)
        if day := read_day(text):
            return day_in(self.locale, day)
        if depth and _COUNTRY.fullmatch(text):
            return self._apart(text)
        made = self._patterns.find(text)
        return made and self._made(made, depth)

    def _whole(self, text: str, depth: int) -> str | None:
        """A sentence that was made of a phrase."""
        phrase = in_the_middle(text)
        # What begins with a value would take the beginning of any sentence for it.
        made = self._patterns.find(phrase) if phrase is not None else None
        if phrase is None or (made is not None and made.one.startswith("%(")):
            return None
        told = self._phrase(phrase, depth)
        return f"{told[:1].upper()}{told[1:]}." if told else None

    def _made(self, made: Made, depth: int) -> str:
        values = {name: self._value(value, depth + 1) for name, value in made.values.items()}
        if made.many is None:
            return self.gettext(made.one, **values)
        return self.ngettext(made.one, made.many, made.n, **values)

    def _value(self, value: Value, depth: int) -> str:
        text, is_quoted = value
        if not is_quoted and _COUNT.fullmatch(text):
            return number_in(self.locale, int(text.replace(",", ""))) if "," in text else text
        told = text if is_quoted else self._enumeration(text, depth) or retold(text, self._at(depth))
        return self._apart(text) if told == text and any(map(str.isalpha, text)) else told

    def _apart(self, text: str) -> str:
        """Another script within a line of this one, so that it does not turn what is around it."""
        is_turned = self.direction == "rtl"
        return f"\N{FIRST STRONG ISOLATE}{text}\N{POP DIRECTIONAL ISOLATE}" if is_turned else text

    def _enumeration(self, text: str, depth: int) -> str | None:
        last = next((last for last in (" and ", " or ") if last in text), ", ")
        tell = self._at(depth)
        head, _, tail = text.rpartition(last)
        both = told_each(f"{head}, {tail}", tell) if head and tell(tail) is not None else None
        told = both or told_each(text, tell) or told_each(text, tell, last)
        return self._listed(told, "or" if last == " or " else "standard") if told else None

    def _listed(self, words: list[str], style: Literal["or", "standard"]) -> str:
        # What Hebrew writes as one word with "and" is set off where it begins with no Hebrew letter.
        if self.code == "he" and style == "standard" and not _HEBREW.match(words[-1]):
            words = [*words[:-1], f"-{words[-1]}"]
        return format_list(words, style=style, locale=self.locale)

    def _at(self, depth: int) -> Callable[[str], str | None]:
        return lambda text: self._sentence(text, depth)

    @property
    def callables(self) -> dict[str, Callable[..., str]]:
        """What templates call."""
        return {
            "_": self.gettext,
            "gettext": self.gettext,
            "pgettext": self.pgettext,
            "ngettext": self.ngettext,
            "told": self.told,
        }


def _direction_of(text: str) -> str | None:
    """That of the first character that has one, which a browser takes for the whole (`dir="auto"`, `<bdi>`)."""
    return next((kind for kind in map(bidirectional, text) if kind in {"L", "R", "AL"}), None)


def _filled(said: str, values: Mapping[str, Any]) -> str:
    """A text with its values; one of them may be a piece of a page, and then the whole is."""
    if any(isinstance(value, Markup) for value in values.values()):
        return escape(said) % values
    return said % values if values else said


@cache
def speech(code: str) -> Speech:
    """A language by its code; the default one where there is no such language."""
    return Speech(code if code in LANGUAGES else DEFAULT)


def choose(wanted: str | None, accepted: str) -> Speech:
    """The language a person chose, or the best of those their browser asks for.

    accepted: the header `Accept-Language`.
    """
    if wanted in LANGUAGES:
        return speech(str(wanted))
    asked = [part.partition(";")[0].strip() for part in accepted.split(",")]
    return speech(negotiate_locale(asked, list(LANGUAGES), sep="-") or DEFAULT)


def _catalogue(code: str) -> Catalog:
    path = _FOLDER / f"{code}.po"
    if not path.exists():
        return Catalog(locale=code)
    with path.open("rb") as file:
        return read_po(file, locale=code)


def _compiled(catalogue: Catalog) -> NullTranslations:
    compiled = BytesIO()
    write_mo(compiled, catalogue)
    compiled.seek(0)
    return Translations(compiled)


def _with_values(ids: Any) -> str | tuple[str, str]:
    return ids if isinstance(ids, str) else (ids[0], ids[1])
