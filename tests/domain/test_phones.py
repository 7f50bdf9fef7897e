"""Numbers as people write them become E.164, or a plain reason."""

from collections.abc import Callable

import phonenumbers
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.domain import phones
from server.domain.phones import is_country, normalise

COUNTRIES = sorted(phonenumbers.SUPPORTED_REGIONS)


@st.composite
def written_numbers(draw: st.DrawFn) -> tuple[str, str | None]:
    """A number near those of a country, as people write it, and the default country."""
    country = draw(st.sampled_from(COUNTRIES))
    code = str(phonenumbers.country_code_for_region(country))
    example = phonenumbers.example_number_for_type(country, draw(st.sampled_from([0, 1])))
    digits = phonenumbers.national_significant_number(example) if example else "123456789"
    kept = draw(st.integers(0, len(digits)))
    digits = digits[:kept] + draw(st.text("0123456789", max_size=max(12 - kept, 1)))
    digits = draw(st.sampled_from(["", "0", "1", "8", "00", "011", code, f"00{code}", f"+{code}", "+"])) + digits
    cut = draw(st.integers(0, len(digits)))
    written = digits[:cut] + draw(st.sampled_from(["", " ", "-", ") ", "("])) + digits[cut:]
    return written, draw(st.sampled_from([country, None]))


@pytest.mark.parametrize(
    ("written", "country"),
    [
        ("+972501234567", None),
        ("+972 50-123-4567", None),
        ("00972501234567", None),
        ("050-123-4567", "IL"),
        ("972501234567", "IL"),
        ("(050) 123 4567", "IL"),
        ("\u200f+972501234567\u202c", None),
        ("\u0660\u0665\u0660\u0661\u0662\u0663\u0664\u0665\u0666\u0667", "IL"),
        ("'0501234567", "IL"),
        ("501234567.0", "IL"),
    ],
)
def test_however_it_is_written_it_is_the_same_number(written: str, country: str | None) -> None:
    assert normalise(written, country) == "+972501234567"


@pytest.mark.parametrize(
    ("written", "country", "reason"),
    [
        ("12", None, "not a phone number"),
        ("12", "IL", "not a phone number"),
        ("", "IL", "not a phone number"),
        ("Dana", "IL", "not a phone number"),
        ("0501234567", None, "no country code, and no default country"),
        ("9.72501E+11", "IL", "a spreadsheet has rounded this number"),
        ("9,72501E+11", None, "a spreadsheet has rounded this number"),
        ("1E+11", "IL", "a spreadsheet has rounded this number"),
        ("+9725012345678901", None, "too long for a phone number"),
        ("5" * 500, "IL", "not a phone number"),
    ],
)
def test_what_is_no_number_has_a_plain_reason(written: str, country: str | None, reason: str) -> None:
    with pytest.raises(ValueError, match=f"^{reason}$"):
        normalise(written, country)


@given(st.text(max_size=100), st.sampled_from([None, "IL", "US", "DE", "IN"]))
def test_whatever_is_written_becomes_e164_or_a_reason(written: str, country: str | None) -> None:
    try:
        number = normalise(written, country)
    except ValueError:
        return
    assert number[0] == "+"
    assert number[1:].isdecimal()
    assert number[1:].isascii()
    assert normalise(number) == number


@settings(max_examples=2_000, deadline=None)
@given(written_numbers())
def test_the_quick_way_says_what_the_library_says(number: tuple[str, str | None]) -> None:
    written, country = number

    def said_by_the_library() -> str:
        return phones._by_the_library(phones._tidy(written), country)

    assert outcome(lambda: normalise(written, country)) == outcome(said_by_the_library)


def outcome(read: Callable[[], str]) -> str:
    """The number, or the reason why there is none."""
    try:
        return read()
    except ValueError as error:
        return str(error)


def test_countries_are_two_capital_letters() -> None:
    assert is_country("IL")
    assert not is_country("il")
    assert not is_country("XX")
