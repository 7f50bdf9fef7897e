"""Meta writes its limit as a tier or as a number; what it means is one thing."""

import pytest

from server.domain.messaging_limit import UNLIMITED, enough_to_go_on, limit_of


@pytest.mark.parametrize(
    ("said", "limit"),
    [
        ("TIER_250", 250),
        ("tier_2k", 2_000),
        ("TIER_UNLIMITED", UNLIMITED),
        (2000, 2_000),
        ("2000", 2_000),
        (-1, UNLIMITED),
    ],
)
def test_a_tier_or_a_number_is_read(said: object, limit: int) -> None:
    assert limit_of(said) == limit


@pytest.mark.parametrize("said", ["TIER_NOT_SET", "TIER_9", None, True, {}, ""])
def test_what_says_nothing_is_no_limit_of_ours(said: object) -> None:
    assert limit_of(said) is None


def test_a_broadcast_goes_on_for_a_tenth_of_the_limit_or_for_all_it_needs() -> None:
    assert enough_to_go_on(250, 1_000) == 25
    assert enough_to_go_on(250, 3) == 3
    assert enough_to_go_on(5, 3) == 1
