"""Chance that can be repeated: what it decides about a message follows from the seed and the person, not from the order
in which requests happened to come.
"""

import math
import zlib
from typing import Final

_MASK: Final = (1 << 64) - 1


class Chance:
    """A row of numbers that belongs to one seed, one name and one count, the same in every run."""

    __slots__ = ("_state",)

    def __init__(self, seed: int, name: str, count: int = 0) -> None:
        self._state = zlib.crc32(name.encode(), seed & 0xFFFFFFFF) ^ (count * 0x9E3779B97F4A7C15 & _MASK)

    def draw(self) -> float:
        """The next number, from 0 to below 1."""
        # SplitMix64: neighbouring names must not have neighbouring numbers, which a check sum alone would give them.
        self._state = (self._state + 0x9E3779B97F4A7C15) & _MASK
        mixed = self._state
        mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _MASK
        return ((mixed ^ (mixed >> 31)) >> 11) / (1 << 53)

    def happens(self, probability: float) -> bool:
        """Whether something of this probability happens. Asks nothing of chance where it never does."""
        return probability > 0 and self.draw() < probability

    def around(self, median: float, sigma: float) -> float:
        """A time from the log-normal distribution around a median; sigma 0 is the median itself."""
        if not sigma:
            return median
        # Box and Muller's way from two even numbers to a normal one; 1 - draw keeps the logarithm from zero.
        normal = math.sqrt(-2 * math.log(1 - self.draw())) * math.cos(2 * math.pi * self.draw())
        return median * math.exp(sigma * normal)
