"""Numbers as people write them become E.164, or a plain reason."""

from collections.abc import Callable

import phonenumbers
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.domain import phones
from server.domain.phones import is_country, normalise, ways_of_writing

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


@st.composite
def lines_in_two_ways(draw: st.DrawFn) -> tuple[str, str]:
    """A line of Brazil, Mexico or Argentina without and with the digit that is written or not."""
    digits = draw(st.text("0123456789", min_size=10, max_size=10))
    country = draw(st.sampled_from(["BR", "MX", "AR"]))
    if country == "BR":
        town = draw(st.text("123456789", min_size=2, max_size=2))
        line = draw(st.sampled_from("6789")) + digits[:7]
        return f"+55{town}{line}", f"+55{town}9{line}"
    if country == "MX":
        line = draw(st.sampled_from("23456789")) + digits[:9]
        return f"+52{line}", f"+521{line}"
    line = draw(st.sampled_from("123")) + digits[:9]
    return f"+54{line}", f"+549{line}"


@given(lines_in_two_ways())
def test_each_of_two_ways_of_writing_leads_to_the_other(line: tuple[str, str]) -> None:
    short, long = line
    assert ways_of_writing(short) == (short, long)
    assert ways_of_writing(long) == (long, short)


@given(st.from_regex(r"\+[1-9][0-9]{7,14}", fullmatch=True))
def test_a_number_leads_to_one_other_at_most_and_back(phone: str) -> None:
    ways = ways_of_writing(phone)
    assert ways[0] == phone
    assert len(set(ways)) == len(ways) <= 2
    assert all(set(ways_of_writing(way)) == set(ways) for way in ways)
    if phone[1:3] not in ("52", "54", "55"):
        assert ways == (phone,)


@pytest.mark.parametrize("phone", ["+553123456789", "+5531923456789", "+540123456789", "+521112345678", "+15551234567"])
def test_what_may_be_two_people_leads_to_nobody_else(phone: str) -> None:
    assert ways_of_writing(phone) == (phone,)
