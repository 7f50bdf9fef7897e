"""What is wrong with a value is said in our words, whatever its bound is."""

from typing import Annotated, Any

import pytest
from annotated_types import Ge, Gt, Le, Lt, MaxLen, MinLen
from pydantic import TypeAdapter, ValidationError

from server.domain.invalid_values import in_plain_words


@pytest.mark.parametrize(
    ("shape", "value", "words"),
    [
        (Annotated[str, MaxLen(60)], "x" * 61, "It may have 60 characters at most."),
        (Annotated[str, MinLen(1)], "", "It needs at least 1 character."),
        (Annotated[list[int], MaxLen(1)], [1, 2], "It may have 1 entry at most."),
        (Annotated[list[int], MinLen(2)], [1], "It needs at least 2 entries."),
        (Annotated[int, Le(1_000)], 1_001, "It should be at most 1,000."),
        (Annotated[int, Ge(1)], 0, "It should be at least 1."),
        (Annotated[float, Gt(0.5)], 0.5, "It should be more than 0.5."),
        (Annotated[float, Lt(2)], 2.0, "It should be less than 2.0."),
        (int, "many", "It should be a whole number."),
    ],
)
def test_a_value_out_of_bounds_is_told_in_plain_words(shape: Any, value: object, words: str) -> None:
    with pytest.raises(ValidationError) as refused:
        TypeAdapter(shape).validate_python(value)
    (error,) = refused.value.errors()
    assert in_plain_words(error["type"], error.get("ctx", {}), error["msg"]) == words


def test_a_kind_that_is_not_known_keeps_its_words() -> None:
    assert in_plain_words("value_error", {}, "Value error, Choose another one.") == "Choose another one."
