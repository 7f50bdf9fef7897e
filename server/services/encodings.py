"""Which encoding a text file is in: by its mark, as UTF-8, else by the language that its words make sense in.

An old code page does not say which it is, and a list of names is too little text for statistics of language: a short
Hebrew list reads as well as Thai. But the letters of one language are few. The code page is right in which nearly all
words are spelled in the alphabet of a single language; the wrong ones give letters of several, capitals inside words,
or signs. Where no alphabet fits, charset-normalizer is asked.
"""

import codecs
import re
import unicodedata
from collections.abc import Iterator
from itertools import pairwise
from typing import Final, NamedTuple

from charset_normalizer import from_bytes

_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_WORD_BYTES: Final = re.compile(rb"[A-Za-z\x80-\xff]+")
_WORD: Final = re.compile(r"[^\W\d_]+")
_INSIDE_WORDS: Final = frozenset("\u2019\xad\xb7\u05f3\u05f4")  # apostrophe, soft hyphen, middle dot, geresh, gershayim
# Punctuation, spaces, money: what may stand beside a word.
_CATEGORIES_OF_SIGNS: Final = frozenset({"Pc", "Pd", "Pe", "Pf", "Pi", "Po", "Ps", "Zs", "Sc"})
_WORDS_JUDGED: Final = 2_000
_SHARE_THAT_FITS: Final = 0.9


class _Language(NamedTuple):
    """letters: small ones beyond a to z. is_latin: words may mix them with a to z, and hardly do without."""

    letters: frozenset[str]
    encodings: tuple[str, ...]
    is_latin: bool = True


def _from_to(first: str, last: str) -> str:
    return "".join(map(chr, range(ord(first), ord(last) + 1)))


def _languages() -> Iterator[_Language]:
    yield _Language(frozenset(_from_to("א", "ת")), ("cp1255", "cp862"), is_latin=False)
    west = ("cp1252", "mac_roman", "cp850")
    # Spanish, French, German, Portuguese, Italian, Nordic, Dutch, Icelandic, Catalan
    for letters in (
        "áéíóúüñ", "àâæçéèêëîïôœùûüÿ", "äöüß", "áâãàçéêíóôõúü", "àèéìíîòóùú", "åäöæøé", "ëïéèöüá", "áðéíóúýþæö",
        "àçèéíïòóúü",
    ):  # fmt: skip
        yield _Language(frozenset(letters), west)
    middle = ("cp1250", "iso8859_2", "cp852")
    # Polish, Czech, Slovak, Hungarian, Croatian and Slovene, Romanian
    for letters in ("ąćęłńóśźż", "áčďéěíňóřšťúůýž", "áäčďéíĺľňóôŕšťúýž", "áéíóöőúüű", "čćđšž", "ăâîşţșț"):
        yield _Language(frozenset(letters), middle)
    yield _Language(frozenset("çğıöşüâîûi\u0307"), ("cp1254",))  # noqa: RUF001 - Turkish
    yield _Language(frozenset("ąčęėįšųūžāēģīķļņōŗäöüõ"), ("cp1257",))
    cyrillic = ("cp1251", "koi8_r", "cp866")
    yield _Language(frozenset(_from_to("\u0430", "\u044f") + "ёіїєґ"), cyrillic, is_latin=False)
    greek = _from_to("\u03b1", "\u03c9") + "άέήίόύώϊϋΐΰ"
    yield _Language(frozenset(greek), ("cp1253",), is_latin=False)
    yield _Language(frozenset(_from_to("ء", "غ") + _from_to("ـ", "ي") + "پچژگ"), ("cp1256",), is_latin=False)
    yield _Language(frozenset(_from_to("가", "힣")), ("cp949",), is_latin=False)


# A list of people from all of western Europe fits no one alphabet: asked only after every one of them.
_ALL_OF_THE_WEST: Final = _Language(frozenset("áàâäãåæçéèêëíìîïñóòôöõøœúùûüßý"), ("cp1252", "mac_roman", "cp850"))


def marked_encoding(start: bytes) -> str | None:
    """The encoding that the first bytes of a file name, or None where they name none."""
    return next((encoding for mark, encoding in _MARKS if start.startswith(mark)), None)


def encoding_of(sample: bytes) -> str | None:
    """The encoding of a text without a mark, or None where it cannot be made out.

    sample: some kilobytes of it, best with characters beyond ASCII; the last one may be cut.
    """
    text = codecs.getincrementaldecoder("utf-8")("surrogateescape").decode(sample)
    beyond = [char for char in text if not char.isascii()]
    broken_count = sum("\udc80" <= char <= "\udcff" for char in beyond)
    # Text of an old code page is hardly ever UTF-8 by chance; a few broken bytes in UTF-8 are a few broken rows.
    if broken_count * 2 <= len(beyond):
        return "utf-8"
    words = list(dict.fromkeys(word for word in _WORD_BYTES.findall(sample) if not word.isascii()))[:_WORDS_JUDGED]
    return _best(words, list(_languages())) or _best(words, [_ALL_OF_THE_WEST]) or _by_statistics(sample)


def _best(words: list[bytes], languages: list[_Language]) -> str | None:
    """The code page in which most words fit one language; of equals the one that reads the most letters."""
    best, encoding = (0, 0), None
    for language in languages:
        for candidate in language.encodings:
            letters = [count for word in words if (count := _letters_that_fit(word, language, candidate)) is not None]
            if (len(letters), sum(letters)) > best:
                best, encoding = (len(letters), sum(letters)), candidate
    return encoding if best[0] >= _SHARE_THAT_FITS * len(words) else None


def _letters_that_fit(word_bytes: bytes, language: _Language, encoding: str) -> int | None:
    """How many letters beyond a to z this has, or None where it does not read as words of the language."""
    try:
        text = word_bytes.decode(encoding)
    except UnicodeDecodeError:
        return None
    words = [word for word in _WORD.findall(text) if not word.isascii()]
    fits = all(_is_spelled(word, language) for word in words) and all(
        _is_sign(text, place) for place in _beyond_words(text)
    )
    return sum(not char.isascii() for word in words for char in word) if fits else None


def _beyond_words(text: str) -> Iterator[int]:
    return (place for place, char in enumerate(text) if not char.isascii() and not char.isalpha())


def _is_sign(text: str, place: int) -> bool:
    """Whether a character that is no letter stands where it may: punctuation beside a word, an apostrophe inside."""
    if text[place] in _INSIDE_WORDS:
        return True
    is_inside = text[place - 1 : place].isalpha() and text[place + 1 : place + 2].isalpha()
    return not is_inside and unicodedata.category(text[place]) in _CATEGORIES_OF_SIGNS


def _is_spelled(word: str, language: _Language) -> bool:
    letters = [char for char in word.lower() if not char.isascii()]
    if not language.letters.issuperset(letters) or _has_capital_inside(word):
        return False
    if language.is_latin:
        return len(letters) < len(word) or len(word) == 1
    return len(letters) == len(word)


def _has_capital_inside(word: str) -> bool:
    return any(not char.isascii() and char.isupper() and before.islower() for before, char in pairwise(word))


def _by_statistics(sample: bytes) -> str | None:
    """What charset-normalizer says where it is sure: to ask for UTF-8 is better than to send people gibberish."""
    best = from_bytes(sample).best()
    if best is None:
        return None
    return best.encoding if best.percent_coherence > 0 else None
