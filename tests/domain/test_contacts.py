"""What a contact is made of, in one way of writing it."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.domain.contacts import clean_attributes, clean_name, clean_tags, instant_of, is_yes, tags_in

NOW = datetime(2026, 11, 25, tzinfo=UTC)


def test_tags_are_compared_without_capitals_and_spaces() -> None:
    assert clean_tags(["VIP", " vip ", "North  Side", "Äpfel", "A\u0308pfel"]) == ["north side", "vip", "äpfel"]


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters=";|,\x00"), max_size=20)))
def test_the_tags_of_a_cell_are_those_that_were_joined_into_it(tags: list[str]) -> None:
    assert tags_in(" ; ".join(tags)) == clean_tags(tag for tag in tags if tag.strip())


@given(st.lists(st.text(max_size=20), max_size=5))
def test_what_is_clean_stays_as_it_is(tags: list[str]) -> None:
    try:
        cleaned = clean_tags(tags)
    except ValueError:
        return
    assert clean_tags(cleaned) == cleaned


def test_attributes_become_texts_and_empty_ones_go() -> None:
    written = {" city ": " Haifa ", "age": 31, "member": True, "none": None, "empty": " ", "score": 1.5}
    assert clean_attributes(written) == {"city": "Haifa", "age": "31", "member": "true", "score": "1.5"}


@pytest.mark.parametrize(
    ("attributes", "words"),
    [
        ({"phone": "1"}, "a field of its own"),
        ({"a": []}, "should be a text"),
        ({"a": "x" * 2_001}, "longer than"),
        ({" ": "x"}, "no name"),
        ({"a": "\x00"}, "NUL"),
        ({"a": "\ud800"}, "half of a character"),
        ({str(n): "x" for n in range(201)}, "more than 200"),
    ],
)
def test_attributes_that_cannot_be_kept_are_refused(attributes: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        clean_attributes(attributes)


def test_a_name_of_spaces_is_none() -> None:
    assert clean_name("  ") is None


@pytest.mark.parametrize("word", ["yes", "Y", "1", "TRUE", "x", "כן"])
def test_yes_is_yes(word: str) -> None:
    assert is_yes(word)


@pytest.mark.parametrize("word", ["", "no", "0", "False", "לא"])
def test_no_is_no(word: str) -> None:
    assert not is_yes(word)


@pytest.mark.parametrize(
    ("cell", "instant"),
    [
        ("2026-01-31", datetime(2026, 1, 31, tzinfo=UTC)),
        ("2026-01-31T10:00:00+02:00", datetime(2026, 1, 31, 8, tzinfo=UTC)),
        ("2026-01-31 10:00Z", datetime(2026, 1, 31, 10, tzinfo=UTC)),
    ],
)
def test_when_somebody_agreed_is_a_date_or_an_instant(cell: str, instant: datetime) -> None:
    assert instant_of(cell, NOW) == instant


@pytest.mark.parametrize("cell", ["yes", "31/01/2026", "2026-11-26", "0001-01-01T00:00:00+05:00"])
def test_what_is_no_such_instant_is_refused(cell: str) -> None:
    with pytest.raises(ValueError, match=r"is no date|in the future"):
        instant_of(cell, NOW)
