"""A sentence keeps what it is made of: its pattern is found again, with its values."""

from hypothesis import given
from hypothesis import strategies as st

from server.domain.sentences import Patterns, counted, retold, said, told_each

_ONE, _MANY = "1 person of %(place)s", "%(n)s people of %(place)s"
_QUOTED = 'There is no "%(name)s" (%(why)s).'
_PATTERNS = Patterns(["It takes %(time)s.", _QUOTED, "It takes %(time)s, or %(percent)s %% of it.", (_ONE, _MANY)])
_words = st.text(st.characters(categories=("L", "N", "Zs")), min_size=1, max_size=100)


@given(_words, _words)
def test_the_values_of_a_sentence_are_found_again(name: str, why: str) -> None:
    made = _PATTERNS.find(said(_QUOTED, name=name, why=why))
    assert made is not None
    assert made.one == _QUOTED
    assert {key: value.text for key, value in made.values.items()} == {"name": name, "why": why}
    assert made.values["name"].is_quoted
    assert not made.values["why"].is_quoted


@given(st.integers(0, 10_000_000), _words)
def test_a_number_is_found_again_also_where_a_word_says_it(n: int, place: str) -> None:
    made = _PATTERNS.find(counted(_ONE, _MANY, n, place=place))
    assert made is not None
    assert (made.one, made.many, made.n, made.values["place"].text) == (_ONE, _MANY, n, place)


def test_the_pattern_that_says_the_most_is_the_one_that_was_meant() -> None:
    made = _PATTERNS.find("It takes 2 h, or 5 % of it.")
    assert made is not None
    assert {key: value.text for key, value in made.values.items()} == {"time": "2 h", "percent": "5"}
    assert _PATTERNS.find("It took 2 h.") is None


def test_what_is_counted_is_a_number() -> None:
    for told in ("Some people of Haifa", ", people of Haifa", ",,, people of Haifa", f"{'9' * 5_000} people of Haifa"):
        assert _PATTERNS.find(told) is None


def test_a_value_is_no_half_of_a_bracket() -> None:
    assert _PATTERNS.find("It takes (2.") is None


def test_sentences_are_told_one_by_one_and_what_is_unknown_stays() -> None:
    known = {"One.": "Uno.", "It is two. Really.": "Son dos.", "(Aside)": "(Aparte)"}
    assert retold("One. It is two. Really. Three. (Aside)", known.get) == "Uno. Son dos. Three. (Aparte)"


@given(st.text())
def test_a_text_of_which_nothing_is_known_stays_as_it_is(text: str) -> None:
    assert retold(text, lambda _: None) == text


def test_the_phrases_of_an_enumeration_are_told_each() -> None:
    def tell(phrase: str) -> str | None:
        return phrase.upper() if phrase.startswith(("tagged", "whose")) else None

    assert told_each("tagged a, b and c, whose city is d", tell) == ["TAGGED A, B AND C", "WHOSE CITY IS D"]
    assert told_each("a, b", tell) is None
    assert told_each("tagged a", tell) is None
