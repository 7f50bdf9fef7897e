"""What can go wrong between a client and the Cloud API, by chance (seeded) or by order (exact).

Chance: each send request meets at most one fault, with the probability given for it. Order: a list that is looked at
first; an order lets `after` matching requests pass, then befalls the next `times`. What counts is a
well-formed request, also where a limit or the person then refuses it; a refused one cannot be dropped, left hanging or
slowed down. A hold is a fault of its own: from the (N+1)th accepted message on, answers are kept back until they are
released.

What a client can tell apart, and what is true:

    fault          accepted   answer
    refuse         no         none: the connection is reset at its first bytes, unread
    lose           no         none: read, then the connection is closed
    server_error   no         502 with an HTML page
    code           no         the Graph error that the order names
    drop           yes        none: the connection is closed
    hang           yes        none: the connection stays open
    slow           yes        after `slow_seconds`
"""

import math
import random
from enum import StrEnum
from typing import Annotated

import msgspec

from server.simulator.pairs_of_text import struct_from_text

Probability = Annotated[float, msgspec.Meta(ge=0, le=1)]


class Fault(StrEnum):
    """One way for a request to go wrong; the module's table says what each does."""

    REFUSE = "refuse"
    LOSE = "lose"
    SERVER_ERROR = "server_error"
    CODE = "code"
    DROP = "drop"
    HANG = "hang"
    SLOW = "slow"


class Order(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A fault for exactly these requests: after `after` matching ones, the next `times` (None: all that follow)."""

    fault: Fault
    after: Annotated[int, msgspec.Meta(ge=0)] = 0
    times: Annotated[int, msgspec.Meta(ge=1)] | None = 1
    phone: str | None = None
    """Only messages to this person, in E.164."""
    code: int | None = None
    """The Graph error code that `code` answers with."""


class Faults(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole weather. Probabilities are for each send request, `refuse` for each connection that begins with one."""

    latency_ms: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    """The median time to an answer."""
    latency_spread: Annotated[float, msgspec.Meta(ge=0, le=3)] = 0.0
    """Sigma of the log-normal distribution around the median; 0 is always the median, 0.5 looks like a real network."""
    refuse: Probability = 0.0
    lose: Probability = 0.0
    server_error: Probability = 0.0
    drop: Probability = 0.0
    hang: Probability = 0.0
    slow: Probability = 0.0
    slow_seconds: Annotated[float, msgspec.Meta(gt=0)] = 2.0
    orders: tuple[Order, ...] = ()

    def __post_init__(self) -> None:
        if self.lose + self.server_error + self.drop + self.hang + self.slow > 1:
            raise ValueError("lose, server_error, drop, hang and slow together must not exceed 1")
        for order in self.orders:
            if (order.fault is Fault.CODE) != (order.code is not None):
                raise ValueError('an order has a code if, and only if, its fault is "code"')


def faults_from_text(text: str) -> Faults:
    """Read `drop=0.01,latency_ms=300` or the same as a JSON object. Raises ValueError with what is wrong."""
    return struct_from_text(text, Faults)


class Mishap(msgspec.Struct, frozen=True):
    """The fault that befell one request, and the Graph error code where it has one."""

    fault: Fault
    code: int | None = None


class Weather:
    """Decides which request meets which fault. Not for several threads."""

    def __init__(self, faults: Faults, seed: int) -> None:
        self.begin_anew(faults, seed)

    def begin_anew(self, faults: Faults, seed: int) -> None:
        """These faults, and chance as after a start."""
        self._random = random.Random(seed)  # noqa: S311  chance that can be repeated, no secret
        self.change(faults)

    def change(self, faults: Faults) -> None:
        """Take other faults from now on; orders begin to count anew."""
        self.faults = faults
        self._seen = [0] * len(faults.orders)
        chances = (
            (Fault.LOSE, faults.lose),
            (Fault.SERVER_ERROR, faults.server_error),
            (Fault.DROP, faults.drop),
            (Fault.HANG, faults.hang),
            (Fault.SLOW, faults.slow),
        )
        self._chances = tuple((fault, chance) for fault, chance in chances if chance > 0)
        self.calm = not (self._chances or faults.orders or faults.latency_ms)
        """No send request can meet anything: the hot path asks nothing more."""

    def refuses(self) -> bool:
        """Whether a connection that begins with a send request is reset unread."""
        if self._due(None, refusing=True) is not None:
            return True
        return self.faults.refuse > 0 and self._random.random() < self.faults.refuse

    def befalls(self, phone: str) -> Mishap | None:
        """What happens to this send request, if anything. `phone`: E.164, or whatever else was addressed."""
        order = self._due(phone, refusing=False)
        if order is not None:
            return Mishap(order.fault, order.code)
        if not self._chances:
            return None
        roll = self._random.random()
        for fault, chance in self._chances:
            if roll < chance:
                return Mishap(fault)
            roll -= chance
        return None

    def _due(self, phone: str | None, *, refusing: bool) -> Order | None:
        """The first order that is due for this request. Every order that matches counts the request, due or not."""
        due: Order | None = None
        for position, order in enumerate(self.faults.orders):
            if (order.fault is Fault.REFUSE) != refusing or (order.phone is not None and order.phone != phone):
                continue
            seen = self._seen[position]
            self._seen[position] = seen + 1
            within = seen >= order.after and (order.times is None or seen < order.after + order.times)
            if due is None and within:
                due = order
        return due

    def delay_seconds(self) -> float:
        """How long the next answer takes, drawn from the latency asked for."""
        faults = self.faults
        if not faults.latency_ms:
            return 0.0
        spread = math.exp(self._random.gauss(0.0, faults.latency_spread)) if faults.latency_spread else 1.0
        return faults.latency_ms / 1000 * spread
