"""The languages of the pages. Catalogues are text files (`translations/*.po`), compiled in memory at the start.

English is what the templates are written in; a message without a translation is shown in English.
"""

from collections.abc import Callable, Mapping
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any, Final

from babel import Locale
from babel.core import negotiate_locale
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.support import NullTranslations, Translations
from markupsafe import Markup, escape

from server.dashboard.formats import number_in

DEFAULT: Final = "en"
# As each calls itself.
LANGUAGES: Final = {"en": "English", "he": "עברית", "ar": "العربية", "es": "Español"}
_FOLDER: Final = Path(__file__).parent / "translations"


class Speech:
    """One language: its texts, its way of writing numbers, and the direction it is read in."""

    def __init__(self, code: str) -> None:
        self.code = code
        self.locale = Locale.parse(code)
        self.direction = self.locale.text_direction
        self._catalogue = _catalogue(code)

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

    def why(self, text: str) -> str:
        """Why something failed, as it was kept: a sentence of `domain/meanings.py`, behind it WhatsApp's own words."""
        what, bracket, details = text.partition(" (")
        return f"{self.gettext(what)}{bracket}{details}"

    @property
    def callables(self) -> dict[str, Callable[..., str]]:
        """What templates call."""
        return {
            "_": self.gettext,
            "gettext": self.gettext,
            "pgettext": self.pgettext,
            "ngettext": self.ngettext,
            "why": self.why,
        }


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


def _catalogue(code: str) -> NullTranslations:
    path = _FOLDER / f"{code}.po"
    if not path.exists():
        return NullTranslations()
    with path.open("rb") as file:
        catalogue = read_po(file, locale=code)
    compiled = BytesIO()
    write_mo(compiled, catalogue)
    compiled.seek(0)
    return Translations(compiled)
