"""The translations: Hebrew is whole, and no language loses a value or a plural form."""

import re
from itertools import chain

import pytest
from babel.messages.catalog import Message
from babel.messages.extract import extract_from_file

from frontend.messages import KEYWORDS, LANGUAGES, OPTIONS, PAGES, catalogue_of, texts, untranslated
from server.dashboard.languages import LANGUAGES as SHOWN
from server.dashboard.languages import choose, speech
from server.domain.meanings import explain
from server.domain.outcomes import Refused

_PLACEHOLDER = re.compile(r"%\(\w+\)s")
# Some forms say the number in a word: one person, two people.
_NUMBER = "%(n)s"


def _forms(said: str | tuple[str, ...] | list[str] | None) -> tuple[str, ...]:
    return (said or "",) if isinstance(said, str | None) else tuple(said)


def _translated(language: str) -> list[Message]:
    return [message for message in catalogue_of(language) if message.id and any(_forms(message.string))]


def test_every_catalogue_knows_every_text() -> None:
    """Else `make messages` was forgotten."""
    found = {(message.context, message.id) for message in texts() if message.id}
    for language in LANGUAGES:
        known = {(message.context, message.id) for message in catalogue_of(language) if message.id}
        assert known == found, language


def test_no_two_texts_of_many_share_their_text_of_one() -> None:
    """A catalogue knows a text by its one: the other's many would be told in its place."""
    ways: dict[tuple[str | None, str], set[str]] = {}
    for path in sorted((*PAGES.rglob("*.html"), *PAGES.rglob("*.py"))):
        method = "jinja2" if path.suffix == ".html" else "python"
        for _, message, _, context in extract_from_file(method, path, keywords=KEYWORDS, options=OPTIONS):
            if isinstance(message, tuple | list):
                ways.setdefault((context, message[0]), set()).add(message[1])
    assert {one: many for one, many in ways.items() if len(many) > 1} == {}


def test_hebrew_is_whole() -> None:
    assert [message.id for message in untranslated("he")] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_translation_keeps_every_value(language: str) -> None:
    for message in _translated(language):
        meant = set(chain.from_iterable(map(_PLACEHOLDER.findall, _forms(message.id))))
        forms = _forms(message.string)
        for said in forms:
            kept = set(_PLACEHOLDER.findall(said))
            assert kept <= meant, f"{said!r} names a value that {message.id!r} has not"
            assert meant - kept <= ({_NUMBER} if len(forms) > 1 else set()), f"{said!r} loses a value of {message.id!r}"
        # The form of all large numbers says which.
        assert _NUMBER not in meant or _NUMBER in forms[-1], message.id


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_form_of_a_plural_is_there(language: str) -> None:
    catalogue = catalogue_of(language)
    plurals = [message for message in _translated(language) if isinstance(message.id, tuple | list)]
    assert plurals
    for message in plurals:
        forms = _forms(message.string)
        assert len(forms) == catalogue.num_plurals, message.id
        assert all(forms), message.id


@pytest.mark.parametrize("code", SHOWN)
def test_every_language_speaks(code: str) -> None:
    spoken = speech(code)
    assert spoken.code == code
    assert spoken.direction == ("rtl" if code in ("he", "ar") else "ltr")
    assert (spoken.gettext("Broadcasts") == "Broadcasts") == (code == "en")
    for number in (0, 1, 2, 5, 11, 100, 1_000_000):
        assert "%" not in spoken.ngettext("%(n)s person", "%(n)s people", number)


def test_a_browser_that_asks_for_hebrew_gets_it() -> None:
    assert choose(None, "he-IL,he;q=0.9,en;q=0.8").gettext("Contacts") == "אנשי קשר"
    assert choose("ar", "he-IL").code == "ar"
    assert choose(None, "xx").code == "en"


def test_hebrew_counts_one_and_two_in_words() -> None:
    said = [speech("he").ngettext("%(n)s person", "%(n)s people", number) for number in (1, 2, 1_234)]
    assert said == ["נמען אחד", "שני נמענים", "1,234 נמענים"]


def test_a_word_of_many_is_another_than_of_one() -> None:
    assert speech("he").gettext("Sent") == "נשלחה"
    assert speech("he").pgettext("count", "Sent") == "נשלחו"
    assert speech("en").pgettext("count", "Sent") == "Sent"


def test_why_somebody_failed_is_said_in_the_readers_language() -> None:
    """WhatsApp's own words stay behind it as they came."""
    refused = Refused(code=131050, http_status=400, message="", details="User has stopped (marketing)")
    said = speech("he").told(explain(refused))
    assert said == "האדם הזה הפסיק הודעות שיווק מהעסק. (User has stopped (marketing))"
    assert speech("he").told("Something of its own") == "Something of its own"
    assert speech("he").told("") == ""
