"""Which limits there are beside those of the number itself. By default none: a simulator refuses nobody unasked.

Hours and days of Meta's are divided by the time scale of the simulator.
"""

from typing import Annotated

import msgspec

from server.simulator.faults import Probability
from server.simulator.limits import MESSAGING_LIMITS
from server.simulator.pairs_of_text import struct_from_text

Count = Annotated[int, msgspec.Meta(ge=0)]


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The limits that emerge from use. 0 is no limit."""

    messaging: str = "TIER_UNLIMITED"
    """Unique people that the business may begin with in 24 hours, by the name of Meta's tier; all numbers share it."""
    beyond: Count = 0
    """The error code for people beyond that. Meta documents none, so nothing is the default: 0 accepts them, and
    `/_sim/limits` tells that they were too many."""
    beyond_by_webhook: bool = False
    """Whether that code comes by webhook after the message was accepted, instead of in the answer."""
    grows: bool = False
    """Whether the next tier comes 6 hours after half of this one was used with good quality."""
    marketing_cap: Count = 0
    """Marketing messages that one person takes in 24 hours; more fail with 131049, unless the person wrote to us."""
    pace_after: Count = 0
    """Messages of a marketing template that go before its others are held back."""
    pace_hold: Count = 0
    """Messages that are then held (`held_for_quality_assessment`) until there is a verdict."""
    pace_minutes: Annotated[float, msgspec.Meta(gt=0)] = 30.0
    """Until the verdict: they are released, or fail with 132015 where the quality of the template is RED."""
    judged_after: Annotated[int, msgspec.Meta(ge=1)] = 20
    """Messages after which blocks count against the quality of a template or a number."""
    yellow: Probability = 0.02
    """Share of people who block that makes the quality YELLOW."""
    red: Probability = 0.05
    """Share that makes it RED: the template is paused for 3 hours, then for 6, then disabled."""
    upgrade_after: Count = 0
    """Unique people in 24 hours after which a number may send 1,000 messages a second."""
    management_calls: Count = 0
    """Calls an hour of everything but sending; more are refused with 80008."""

    def __post_init__(self) -> None:
        if self.messaging not in MESSAGING_LIMITS:
            raise ValueError(f"messaging must be one of {', '.join(MESSAGING_LIMITS)}, not {self.messaging!r}")


def limits_from_text(text: str) -> Limits:
    """Read `messaging=TIER_250,beyond=131048` or the same as a JSON object. Raises ValueError with what is wrong."""
    return struct_from_text(text, Limits)
