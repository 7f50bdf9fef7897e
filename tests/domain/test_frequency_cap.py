"""A frequency cap as people write it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.domain.errors import BadInput
from server.domain.frequency_cap import FrequencyCap, parse


@given(st.integers(1, 1_000), st.integers(1, 365))
def test_a_cap_comes_back_from_json_as_it_was(messages: int, days: int) -> None:
    cap = FrequencyCap(messages, days)
    assert parse(cap.as_json()) == cap


@pytest.mark.parametrize("wrong", [0, -1, 1_001, 1.5, "2", True, None])
def test_what_is_no_number_of_messages_is_named(wrong: object) -> None:
    with pytest.raises(BadInput) as refused:
        parse({"messages": wrong, "days": 7})
    assert [problem.pointer for problem in refused.value.problems] == ["/frequency_cap/messages"]


def test_it_is_said_in_words() -> None:
    assert str(FrequencyCap(1, 1)) == "1 marketing message in 1 day"
    assert FrequencyCap(2, 7).reason == "has had 2 marketing messages in 7 days"
