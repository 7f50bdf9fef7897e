"""Phone numbers as people write them, and as WhatsApp wants them: E.164 with a plus.

A number is taken when its length is possible in its country. Whether its digits are in use today is not asked: the
ranges in any library are months old, and a person with a new number must not be dropped for that. WhatsApp itself says
who is not there (131026).
"""

import re
import unicodedata
from typing import Final

import phonenumbers
from phonenumbers import NumberParseException, PhoneNumberFormat, ValidationResult

NOT_A_NUMBER: Final = "not a phone number"
NO_COUNTRY: Final = "no country code, and no default country"
ROUNDED: Final = "a spreadsheet has rounded this number"
TOO_SHORT: Final = "too short for a phone number"
TOO_LONG: Final = "too long for a phone number"

_CLEAN = re.compile(r"\+[1-9]\d{7,14}")
_SCIENTIFIC = re.compile(r"\d[.,]\d+[eE]\+?\d+")
_LONGEST_WRITTEN = 64


def is_country(code: str) -> bool:
    """Whether this is the two-letter code of a country that has phone numbers, such as IL."""
    return code in phonenumbers.SUPPORTED_REGIONS


def normalise(raw: str, default_country: str | None = None) -> str:
    """The number in E.164 with its plus.

    default_country: two letters, for numbers that are written without a country code.
    Raises `ValueError` with a short plain reason.
    """
    if not _CLEAN.fullmatch(raw):
        raw = _tidy(raw)
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


def _tidy(raw: str) -> str:
    """What was written, without what spreadsheets and right-to-left text put around it."""
    if len(raw) > _LONGEST_WRITTEN:
        raise ValueError(NOT_A_NUMBER)
    raw = "".join(char for char in raw if unicodedata.category(char) != "Cf").strip().lstrip("'\u2019")
    if _SCIENTIFIC.fullmatch(raw):
        raise ValueError(ROUNDED)
    raw = raw.removesuffix(".0")
    return f"+{raw[2:]}" if raw.startswith("00") else raw
