"""How fast one run may send, how fast it does, and what it waits for.

The limits come from the row and its number, and may change while the run goes on; WhatsApp's complaints lower them.
"""

from typing import Final

from server.domain.breakers import Pauses
from server.domain.decisions import PauseSending, ReducePace
from server.domain.limits import AllowedRate, Limit, LimitMeter, Sight, allowed_rate, limit_of
from server.domain.meters import RateMeter
from server.domain.pacing import Pacer
from server.services.ledger import Pace, Standing

# Where WhatsApp complains of the speed of a run that had no limit, the limit becomes the speed it had, at least this.
LEAST_FOUND_RATE: Final = 10.0


class RunPace:
    """The pace of one run. All instants are seconds of one clock that never runs back.

    pacer: None while nothing limits the run. waiting_for: set while nobody is left but people who were put off.
    """

    def __init__(self, allowed: AllowedRate, throttle_ms: float, now: float) -> None:
        self._allowed = allowed
        self._throttle_ms = throttle_ms
        rate = allowed.messages_per_second
        self.pacer = Pacer(rate) if rate else None
        self.waiting_for: Limit | None = None
        self._meter = RateMeter(now)
        self._pauses = Pauses()
        self._limit = LimitMeter()

    def rate(self, now: float) -> float:
        """Messages per second that will leave next: as many as may, or as many as did."""
        return self.pacer.rate if self.pacer else self._meter.rate(now)

    def note_sent(self, now: float, count: int) -> None:
        """So many were accepted."""
        self._meter.add(now, count)

    def slow_down(self, effect: ReducePace | PauseSending, now: float) -> None:
        """WhatsApp asks for a slower pace, or for a wait."""
        if self.pacer is None:
            self.pacer = Pacer(max(self._meter.rate(now), LEAST_FOUND_RATE))
        if isinstance(effect, ReducePace):
            self.pacer.lower(now, effect.factor)
            self.pacer.pause(now, effect.pause_seconds)
        else:
            self.pacer.pause(now, self._pauses.note(effect, now) - now)

    def follow(self, standing: Standing, now: float) -> None:
        """Go as fast as the row and its number allow now."""
        if standing.throughput is None:
            return
        allowed = allowed_rate(standing.throughput, standing.rate_limit, self._throttle_ms)
        if allowed == self._allowed:
            return
        self._allowed = allowed
        rate = allowed.messages_per_second
        if rate is None:
            self.pacer = None
        elif self.pacer is not None:
            self.pacer.change(now, rate)
        else:
            self.pacer = Pacer(rate)
            self.pacer.pause(now, 1.0)  # nobody counted what left within the last second

    def look(
        self, now: float, *, idle_count: int, ready_count: int, is_claiming: bool, people_left: int | None
    ) -> Pace:
        """What the row shall say of the speed; for what is looked at see `Sight`."""
        pacer = self.pacer
        # A pacer of a run without any limit is what WhatsApp's complaints made of it.
        paced_by = self._allowed.limit if self._allowed.messages_per_second else Limit.THROUGHPUT
        sight = Sight(
            paced_by=paced_by if pacer is not None else None,
            is_lowered=pacer is not None and pacer.is_lowered,
            is_paused=pacer is not None and pacer.is_paused(now),
            idle_count=idle_count,
            ready_count=ready_count,
            is_claiming=is_claiming,
            people_left=people_left,
        )
        return Pace(self._meter.rate(now), self.waiting_for or self._limit.see(now, limit_of(sight)))
