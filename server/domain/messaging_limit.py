"""The 24-hour messaging limit: how many people a business portfolio may begin conversations with in a moving day.

Meta counts unique people who were sent to outside their service window (24 hours after they last wrote), for all
numbers of the portfolio together, and documents no error for going beyond it: so it is counted here.
"""

from typing import Final

UNLIMITED: Final = 0
_TIERS: Final = {
    "TIER_50": 50,
    "TIER_250": 250,
    "TIER_1K": 1_000,
    "TIER_2K": 2_000,
    "TIER_10K": 10_000,
    "TIER_100K": 100_000,
    "TIER_UNLIMITED": UNLIMITED,
}


def limit_of(said: object) -> int | None:
    """People a day, `UNLIMITED` for no limit; None where it does not say. Meta writes a tier or a number (-1: none)."""
    if isinstance(said, str):
        tier = said.strip().upper()
        return int(tier) if tier.isdecimal() and tier.isascii() else _TIERS.get(tier)
    if isinstance(said, int) and not isinstance(said, bool):
        return said if said > 0 else UNLIMITED
    return None


def enough_to_go_on(limit: int, waiting_count: int) -> int:
    """How many places must be free before a broadcast goes on: a tenth of the limit, or all that it needs.

    One at a time would have it start and stop for every person of yesterday.
    """
    return max(1, min(limit // 10, waiting_count))
