"""Phone numbers as people write them, and as WhatsApp wants them: E.164 with a plus.

A number is taken when its length is possible in its country. Whether its digits are in use today is not asked: the
ranges in any library are months old, and a person with a new number must not be dropped for that. WhatsApp itself says
who is not there (131026).

The library takes ten microseconds a number. Most numbers of a list are plain, and for those its rules come down to a
length and a prefix: `_Rules` reads these from the library's own tables. Whatever is not plain goes to the library.
"""

import re
import unicodedata
from dataclasses import dataclass
from functools import cache
from typing import Final

import phonenumbers
from phonenumbers import NumberParseException, PhoneMetadata, PhoneNumberFormat, ValidationResult

from server.domain.sentences import said

NOT_A_NUMBER: Final = said("not a phone number")
NO_COUNTRY: Final = said("no country code, and no default country")
ROUNDED: Final = said("a spreadsheet has rounded this number")
TOO_SHORT: Final = said("too short for a phone number")
TOO_LONG: Final = said("too long for a phone number")

# Country codes, with their plus, of several countries: only further digits tell which.
SHARED_CODES: Final = tuple(
    f"+{code}" for code, countries in phonenumbers.COUNTRY_CODE_TO_REGION_CODE.items() if len(countries) > 1
)

# A line that is written in two ways, and WhatsApp's `wa_id` may be in the one that was not sent to ("standard
# behaviour", Meta): the ninth digit of Brazil's mobiles, the 1 of Mexico's and the 9 of Argentina's. Each holds only
# where the two cannot be two people: without its ninth digit no mobile of Brazil begins like a landline.
_WRITTEN_IN_TWO_WAYS: Final = tuple(
    (re.compile(pattern), sign)
    for pattern, sign in (
        (r"(\+55[1-9][1-9])(9?)([6-9]\d{7})", "9"),
        (r"(\+52)(1?)([2-9]\d{9})", "1"),
        (r"(\+54)(9?)([1-3]\d{9})", "9"),
    )
)
_CLEAN = re.compile(r"\+[1-9]\d{7,14}")
_SCIENTIFIC = re.compile(r"\d+(?:[.,]\d+)?[eE]\+?\d+")
_SEPARATORS: Final = str.maketrans("", "", " -()")
_LONGEST_WRITTEN = 64


def is_country(code: str) -> bool:
    """Whether this is the two-letter code of a country that has phone numbers, such as IL."""
    return code in phonenumbers.SUPPORTED_REGIONS


def countries() -> frozenset[str]:
    """The two-letter codes of all countries that have phone numbers."""
    return frozenset(phonenumbers.SUPPORTED_REGIONS)


def country_of(phone: str) -> str | None:
    """The ISO 3166 code of the country of an E.164 number; None for one of no country, such as +870.

    Where several countries share a code, and the number is in the range of none of them: the main one, such as US.
    """
    try:
        number = phonenumbers.parse(phone)
    except phonenumbers.NumberParseException:
        return None
    found = phonenumbers.region_code_for_number(number)
    if found is None and phone.startswith("+1"):
        # Not a number that is given out; but under +1 the area code alone tells the country.
        found = phonenumbers.region_code_for_number(phonenumbers.parse(f"{phone[:5]}2345678"))
    country = found or phonenumbers.region_code_for_country_code(number.country_code or 0)
    return country if is_country(country) else None


def ways_of_writing(phone: str) -> tuple[str, ...]:
    """The number itself, and where its line is written in another way as well, that one after it. phone: E.164."""
    for pattern, sign in _WRITTEN_IN_TWO_WAYS:
        found = pattern.fullmatch(phone)
        if found is not None:
            before, has_sign, after = found.groups()
            return phone, f"{before}{'' if has_sign else sign}{after}"
    return (phone,)


def normalise(raw: str, default_country: str | None = None) -> str:
    """The number in E.164 with its plus.

    default_country: two letters, for numbers that are written without a country code.
    Raises `ValueError` with a short plain reason.
    """
    if _CLEAN.fullmatch(raw):
        return _plain_international(raw) or _by_the_library(raw, default_country)
    digits = raw.translate(_SEPARATORS)
    if default_country is not None and digits.isascii() and digits.isdecimal() and not digits.startswith("00"):
        plain = _plain_national(digits, default_country)
        if plain is not None:
            return plain
    return _by_the_library(_tidy(raw), default_country)


def _by_the_library(raw: str, default_country: str | None) -> str:
    try:
        number = phonenumbers.parse(raw, default_country)
    except NumberParseException as error:
        if error.error_type == NumberParseException.INVALID_COUNTRY_CODE and default_country is None and raw[:1] != "+":
            raise ValueError(NO_COUNTRY if sum(map(str.isdigit, raw)) >= 7 else NOT_A_NUMBER) from None
        raise ValueError(NOT_A_NUMBER) from None
    match phonenumbers.is_possible_number_with_reason(number):
        case ValidationResult.IS_POSSIBLE:
            return phonenumbers.format_number(number, PhoneNumberFormat.E164)
        case ValidationResult.TOO_LONG:
            raise ValueError(TOO_LONG)
        case ValidationResult.TOO_SHORT if len(str(number.national_number)) > 3:
            raise ValueError(TOO_SHORT)
        case _:
            raise ValueError(NOT_A_NUMBER)


@dataclass(frozen=True, slots=True)
class _Rules:
    """What the library's tables say of the plain numbers of a country.

    lengths: of numbers without country code and national prefix. national_prefix: what may have to be taken off.
    general: every number of the country matches it.
    """

    code: str
    lengths: frozenset[int]
    national_prefix: re.Pattern[str]
    is_prefix_rewritten: bool
    international_prefix: re.Pattern[str]
    general: re.Pattern[str]


_NEVER: Final = re.compile(r"(?!)")


@cache
def _rules_of(country: str) -> _Rules | None:
    table = PhoneMetadata.metadata_for_region(country)
    if table is None or table.general_desc is None:
        return None
    code = str(phonenumbers.country_code_for_region(country))
    # Lengths are looked up in the main country of a code: those of Canada in the tables of the USA.
    main = PhoneMetadata.metadata_for_region(phonenumbers.region_code_for_country_code(int(code)))
    lengths = _lengths(table) & _lengths(main) if main is not None else frozenset[int]()
    return _Rules(
        code=code,
        lengths=lengths,
        national_prefix=re.compile(table.national_prefix_for_parsing or _NEVER.pattern),
        is_prefix_rewritten=bool(table.national_prefix_transform_rule),
        international_prefix=re.compile(table.international_prefix or _NEVER.pattern),
        general=re.compile(table.general_desc.national_number_pattern or _NEVER.pattern),
    )


def _lengths(table: PhoneMetadata) -> frozenset[int]:
    """Digits that a number may have; numbers that work only inside a town are not among them."""
    possible = table.general_desc.possible_length if table.general_desc is not None else ()
    return frozenset(length for length in possible if length > 2)


@cache
def _rules_by_code(code: str) -> _Rules | None:
    country = phonenumbers.region_code_for_country_code(int(code))
    return _rules_of(country)  # None for codes without a country (satellites, 001) and codes that do not exist


def _plain_international(raw: str) -> str | None:
    """The number itself where it can be seen that the library would change nothing. None: ask the library.

    No country code begins with another one, so the first that exists is the right one.
    """
    for end in (2, 3, 4):
        rules = _rules_by_code(raw[1:end])
        if rules is not None:
            national = raw[end:]
            if len(national) in rules.lengths and not rules.national_prefix.match(national):
                return raw
            return None
    return None


def _plain_national(digits: str, country: str) -> str | None:
    """A number that was written without its country code, or None: ask the library."""
    rules = _rules_of(country)
    if rules is None or digits.startswith(rules.code) or rules.international_prefix.match(digits):
        return None
    prefix = rules.national_prefix.match(digits)
    if prefix is not None:
        # The library keeps a prefix that belongs to the number, and may put something in its place.
        if rules.is_prefix_rewritten or any(prefix.groups()) or rules.general.fullmatch(digits):
            return None
        digits = digits[prefix.end() :]
    return f"+{rules.code}{digits}" if len(digits) in rules.lengths else None


def _tidy(raw: str) -> str:
    """What was written, without what spreadsheets and right-to-left text put around it."""
    if len(raw) > _LONGEST_WRITTEN:
        raise ValueError(NOT_A_NUMBER)
    raw = "".join(char for char in raw if unicodedata.category(char) != "Cf").strip().lstrip("'\u2019")
    if _SCIENTIFIC.fullmatch(raw):
        raise ValueError(ROUNDED)
    raw = raw.removesuffix(".0")
    return f"+{raw[2:]}" if raw.startswith("00") else raw
