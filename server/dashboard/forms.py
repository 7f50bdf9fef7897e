"""What forms have in common: pairs of fields, and what is wrong, by the field it is at."""

from itertools import zip_longest

from server.domain.errors import BadInput, NotNow
from server.domain.sentences import said
from server.services.csv_lists import NAME_IT, SAY_WHICH

# What is wrong with the form as a whole.
WHOLE = ""
_LONGEST_NUMBER = 20


def as_pairs(names: list[str] | None, values: list[str] | None) -> list[tuple[str, str]]:
    """Two columns of a form as its rows; those in which nothing was typed left out."""
    pairs = zip_longest(names or [], values or [], fillvalue="")
    return [(name, value) for name, value in pairs if name.strip() or value.strip()]


def problems_of(error: BadInput | NotNow, otherwise: str = WHOLE) -> dict[str, str]:
    """The first thing that is wrong at each field, by its name. otherwise: where to say what is of no field."""
    if isinstance(error, NotNow):
        return {otherwise: str(error)}
    return {problem.pointer.strip("/") or otherwise: problem.detail for problem in reversed(error.problems)}


def whole_number(text: str) -> int | str:
    """A number as people type it, such as 1,000; what is none stays as it is, for whoever says what is wrong."""
    digits = text.strip().replace(",", "")
    is_number = digits.isascii() and digits.isdecimal() and len(digits) < _LONGEST_NUMBER
    return int(digits) if is_number else text.strip()


def in_the_words_of_a_page(error: BadInput) -> BadInput:
    """What keeps a list from being read. What is an option of the command line is a field of the form."""
    detail = error.detail
    for way in (NAME_IT, SAY_WHICH):
        detail = detail.replace(way, said("Name the one that holds the numbers in its field."))
    return BadInput(detail, pointer="/phone_column")
