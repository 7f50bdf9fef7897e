"""What a simulator is started with. Everything here can be given on the command line."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from server.simulator.faults import Faults
from server.simulator.limit_options import Limits
from server.simulator.people import Shares
from server.simulator.webhook_manners import Callback, Manners


class CannotStart(Exception):
    """The simulator cannot start; the message says why, for people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatorSettings:
    """How one simulator is set up. The defaults are a well-behaved Cloud API that refuses nobody without a reason."""

    host: str = "127.0.0.1"
    port: int = 8025
    """0 takes a free port; the line printed at the start names it."""
    seed: int = 1
    """Decides who is who among the people and which requests meet a fault."""
    rate: float = 80.0
    """Messages a second each number may send before 130429; 0 is no limit."""
    pair_limit: bool = True
    """One message in 6 s to the same person, 45 of them on credit, before 131056."""
    token: str | None = None
    """The only bearer token that is taken; None takes any."""
    phone_number_id: str | None = None
    """The only number there is; None takes any id for a number of the one business here."""
    waba_id: str | None = None
    """The only WhatsApp Business Account there is; None takes any id for the account of the one business here."""
    templates: Path | None = None
    """A JSON file with more templates: a list, in the shape of Meta's template node."""
    ledger: Path | None = None
    """Where the ledger is kept as well, one JSON object a line; a simulator started on it again goes on from there."""
    not_on_whatsapp: float = 0.0
    """The share of people, from 0 to 1, who are not on WhatsApp (131026), chosen by the seed and the number."""
    habits: Shares = field(default_factory=Shares)
    """The shares of people with other habits, chosen likewise."""
    faults: Faults = field(default_factory=Faults)
    callbacks: tuple[Callback, ...] = ()
    """Where webhooks go; without any there are none."""
    webhooks: Manners = field(default_factory=Manners)
    """How they are delivered."""
    limits: Limits = field(default_factory=Limits)
    """Limits beside those of the number."""
    time_scale: float = 1.0
    """How many times faster than Meta's hours and days pass: the back-off of webhooks, pauses, limits of a day."""
    until_stdin_closes: bool = False
    """End when standard input ends, so that a simulator never outlives the test that started it."""

    def __post_init__(self) -> None:
        """Raise CannotStart where a number cannot be."""
        if not 0 <= self.port <= 65_535:
            raise CannotStart(f"the port must be from 0 to 65535, not {self.port}")
        if not 0 <= self.rate < math.inf:
            raise CannotStart(f"the rate must be 0 (no limit) or more messages a second, not {self.rate}")
        if not 0 <= self.not_on_whatsapp <= 1:
            raise CannotStart(
                f"the share of people who are not on WhatsApp must be from 0 to 1, not {self.not_on_whatsapp}"
            )
        if not 0 < self.time_scale < math.inf:
            raise CannotStart(f"the time scale must be above 0, 3600 is an hour a second, not {self.time_scale}")


def callbacks_to(urls: Iterable[str], app_secret: str) -> tuple[Callback, ...]:
    """Callbacks at these URLs, signed with one secret. Raises CannotStart where a URL is none."""
    try:
        return tuple(Callback(url, app_secret) for url in urls)
    except ValueError as error:
        raise CannotStart(str(error)) from error
