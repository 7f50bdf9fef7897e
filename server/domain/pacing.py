"""How fast messages may leave: never above the limit in any one second, and as close to it as jitter allows.

A window of one second has as many slots as messages may leave in it. A message takes a slot when it leaves, and the
slot is free again one second after the receiver counted it. When the receiver counted it we can only bound: not
before it left, not after its answer came. Where answers come within milliseconds a slot is held for a second after the
answer, which holds every window whatever stalls. Where they take longer that would cost the rate: a slot is then held
for a second after the message left, and longer by what its answer came late. Lateness is paid from an allowance that
grows by a small share of time, so that a provider with jittery answers costs at most that share of the rate.
"""

from dataclasses import dataclass
from heapq import heappop, heappush

# Together under one per cent of the rate, which is what the promise of a long-run rate within 1 % leaves.
MARGIN_SECONDS = 0.002
# The receiver's second is not quite ours: a clock that is being set right runs up to 500 millionths fast or slow.
CLOCKS_SECONDS = 0.001
LATENESS_SHARE = 0.004
LATENESS_ALLOWANCE_SECONDS = 0.5
# Where answers come so soon they are waited for altogether: it costs this share of a second, and no window is broken.
NEAR_SECONDS = 0.006
# Who answered so soon once among so many seconds' worth of messages is near: what takes longer is held up by a busy
# machine, and not by the distance. Of a receiver that is not known yet the first answers are waited for as well.
NEAR_FOR_SECONDS = 5
FIRST_ANSWERS = 20
# A stall is caught up with at this speed rather than in one burst; the slots still hold every window.
CATCH_UP = 1.1
# Timers of an event loop are this coarse; what a late one held up may leave at once.
TIMER_SECONDS = 0.005

RAISE_SHARE = 0.1
LOWER_FACTOR = 0.5
FLOOR_SHARE = 0.1
LOWER_EVERY_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Grant:
    """count: messages that may leave now. wait: seconds until asking again makes sense, 0.0 when all were granted."""

    count: int
    wait: float


@dataclass(slots=True)
class Slot:
    """The place of one message in its window. Hand it back with `Pacer.answered`."""

    left_at: float
    free_at: float


class Pacer:
    """Grants messages so that no window of one second sees more than `rate` of them (Meta error 130429).

    rate: messages per second, above 0. All instants are seconds of one clock that never runs back.
    """

    def __init__(self, rate: float) -> None:
        if rate <= 0:
            raise ValueError("rate must be above 0 messages per second")
        self._ceiling = rate
        self._rate = rate
        self._busy: list[tuple[float, int, Slot]] = []
        self._sequence = 0
        self._next_at = 0.0
        self._allowance = LATENESS_ALLOWANCE_SECONDS
        self._allowance_at: float | None = None
        self._usual_latency: float | None = None
        self._was_near = False
        self._far_answers = 0  # in a row
        self._lowered_at = float("-inf")
        self._raised_at = float("-inf")
        self._resume_at = float("-inf")

    @property
    def rate(self) -> float:
        """Messages per second at present."""
        return self._rate

    @property
    def is_lowered(self) -> bool:
        """Whether the provider made us go slower than we may."""
        return self._rate < self._ceiling

    def is_paused(self, now: float) -> bool:
        """Whether nothing may leave, however slow."""
        return now < self._resume_at

    def change(self, now: float, rate: float) -> None:
        """The limit is another from now on. No window that a message leaves in from now on holds more than it.

        rate: as for `Pacer`. Where the provider made us go slower, that stays, and goes up by the usual steps.
        """
        if rate <= 0:
            raise ValueError("rate must be above 0 messages per second")
        self._recover(now)
        was_lowered = self.is_lowered
        self._ceiling = rate
        self._rate = max(min(self._rate, rate), rate * FLOOR_SHARE) if was_lowered else rate
        # What left under the old limit keeps its slots: after a fall nothing leaves until the window has room again.
        self._next_at = min(self._next_at, now + self._spacing)

    def take(self, now: float, wanted: int) -> Grant:
        """How many messages may leave now, and how long until the next may.

        wanted: messages, 1 or more, else ValueError. The caller registers each that leaves with `left`.
        """
        if wanted < 1:
            raise ValueError("wanted must be 1 message or more")
        self._recover(now)
        if now < self._resume_at:
            return Grant(0, self._resume_at - now)
        self._free_slots(now)
        free = self._slots - len(self._busy)
        if free <= 0:
            return Grant(0, max(self._busy[0][0] - now, 0.0005))
        if now < self._next_at:
            return Grant(0, self._next_at - now)
        return Grant(1, 0.0 if wanted == 1 else self._spacing)

    def left(self, now: float) -> Slot:
        """Note that one granted message leaves now."""
        slot = Slot(now, now + self._window + MARGIN_SECONDS)
        self._sequence += 1
        heappush(self._busy, (slot.free_at, self._sequence, slot))
        # From the plan, not from now: a timer that wakes late must not lower the long-run rate for good.
        self._next_at = max(self._next_at + self._spacing, now - TIMER_SECONDS)
        return slot

    def answered(self, slot: Slot, now: float) -> None:
        """Note that the answer to a message came now: the receiver counted it at some instant before."""
        latency = now - slot.left_at
        usual = latency if self._usual_latency is None else self._usual_latency
        # Follows a fall at once and a rise slowly: near the lower edge of what answers usually take.
        self._usual_latency = latency if latency < usual else usual + 0.02 * (latency - usual)
        if self._is_near(latency):
            # A receiver so near costs next to nothing by being waited for: then no stall of anybody's can matter.
            slot.free_at = max(slot.free_at, now + self._window + CLOCKS_SECONDS)
            return
        # One slot that is held longer takes its share of the window from the rate.
        late = min(latency - usual, self._grown_allowance(now) * self._slots)
        if late > 0:
            self._allowance -= late / self._slots
            slot.free_at += late

    def _is_near(self, latency: float) -> bool:
        if latency <= NEAR_SECONDS:
            self._was_near, self._far_answers = True, 0
            return True
        self._far_answers += 1
        patience = NEAR_FOR_SECONDS * self._slots if self._was_near else min(FIRST_ANSWERS, self._slots)
        return self._far_answers <= patience

    def pause(self, now: float, seconds: float) -> None:
        """Let nothing leave for so many seconds."""
        self._resume_at = max(self._resume_at, now + seconds)

    def lower(self, now: float, factor: float = LOWER_FACTOR) -> None:
        """The provider says that we are too fast: go on at a share of the rate, at most once a second.

        Never under a tenth of the channel's throughput.
        """
        if now - self._lowered_at < LOWER_EVERY_SECONDS:
            return
        self._lowered_at = self._raised_at = now
        self._rate = max(self._rate * factor, self._ceiling * FLOOR_SHARE)

    def _recover(self, now: float) -> None:
        """Go up again by a tenth of the present rate for each full second without a complaint."""
        while self._rate < self._ceiling and now - self._raised_at >= 1.0:
            self._raised_at += 1.0
            self._rate = min(self._rate * (1 + RAISE_SHARE), self._ceiling)

    def _free_slots(self, now: float) -> None:
        busy = self._busy
        while busy and busy[0][0] <= now:
            _, sequence, slot = heappop(busy)
            if slot.free_at > now:  # its answer came late: it counts for longer than was thought when it left
                heappush(busy, (slot.free_at, sequence, slot))

    def _grown_allowance(self, now: float) -> float:
        if self._allowance_at is not None:
            grown = self._allowance + (now - self._allowance_at) * LATENESS_SHARE
            self._allowance = min(grown, LATENESS_ALLOWANCE_SECONDS)
        self._allowance_at = now
        return self._allowance

    @property
    def _slots(self) -> int:
        return max(1, int(self._rate))

    @property
    def _window(self) -> float:
        return max(1.0, self._slots / self._rate)

    @property
    def _spacing(self) -> float:
        return 1.0 / (self._rate * CATCH_UP)
