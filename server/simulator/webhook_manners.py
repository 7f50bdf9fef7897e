"""Where webhooks go and how they are delivered: how many in one POST, how late, how unreliably, by seeded chance.

Shares are from 0 to 1. Times are of the person's side (when a message is delivered, read, answered) and medians of a
log-normal distribution whose sigma is `spread`. The defaults are a quick and orderly world: each message is sent,
delivered and read within a second, and what waits when a connection is free goes out together, as Meta batches
under load.
"""

from enum import StrEnum
from typing import Annotated
from urllib.parse import urlsplit

import msgspec

from server.simulator.faults import Probability
from server.simulator.pairs_of_text import struct_from_text

Milliseconds = Annotated[float, msgspec.Meta(ge=0)]
Seconds = Annotated[float, msgspec.Meta(gt=0)]


class PayloadVersion(StrEnum):
    """Which shape statuses have. From v24 on, Meta leaves `conversation` out."""

    V23 = "v23"
    V24 = "v24"


class Manners(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How webhooks are delivered."""

    batch: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 1000
    """Updates in one POST, at most."""
    connections: Annotated[int, msgspec.Meta(ge=1, le=256)] = 16
    """POSTs under way at once to one address."""
    version: PayloadVersion = PayloadVersion.V24
    sent_ms: Milliseconds = 0.0
    delivered_ms: Milliseconds = 50.0
    read_ms: Milliseconds = 200.0
    slow_ms: Milliseconds = 5_000.0
    """Until a slow device has the message."""
    reply_ms: Milliseconds = 200.0
    """From reading to answering."""
    return_ms: Milliseconds = 1_000.0
    """From STOP to START, for those who come back."""
    spread: Annotated[float, msgspec.Meta(ge=0, le=3)] = 0.0
    doubled: Probability = 0.0
    """Share of statuses that come twice."""
    lost: Probability = 0.0
    """Share of statuses that never leave."""
    shuffled: Probability = 0.0
    """Share of messages whose statuses arrive in another order than they happened."""
    early: Probability = 0.0
    """Share of messages whose first status is delivered before the answer to the send."""
    timeout_seconds: Seconds = 20.0
    """A POST without an answer for so long has failed."""
    retry_seconds: Seconds = 1.0
    """The unit of the back-off: a tenth of it at first, then twice as long each time. Divided by the time scale."""
    retry_longest_seconds: Seconds = 60.0
    """The back-off grows no further. Divided by the time scale."""
    give_up_days: Seconds = 7.0
    """What was not acknowledged by then is dropped, and counted. Divided by the time scale."""

    @property
    def orderly(self) -> bool:
        """Whether chance has no part in when and how often statuses come."""
        return not (self.spread or self.doubled or self.lost or self.shuffled or self.early)


class Callback(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where webhooks go, and for whom. Several callbacks are several apps that subscribed: each is told all."""

    url: str
    app_secret: Annotated[str, msgspec.Meta(min_length=1)] = "simulator"  # noqa: S105 - for a webhook that nobody protects
    phone_number_id: str | None = None
    """Only messages of this number; None: of every number."""
    waba_id: str | None = None
    """The account in the payload; None: the one that the simulator was started with."""

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError(f"a webhook URL begins with http:// or https://, not {self.url!r}")


def manners_from_text(text: str) -> Manners:
    """Read `doubled=0.1,read_ms=3000` or the same as a JSON object. Raises ValueError with what is wrong."""
    return struct_from_text(text, Manners)
