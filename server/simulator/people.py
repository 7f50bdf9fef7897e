"""Who the people are. What a person is like follows from the number alone, so that every run meets the same people.

Everybody is ordinary: the message is accepted. Two things make somebody else of a person.

By the last seven digits of the number, for tests that want a certain person (any country will do, for instance
+97250 999 0126 or +1 202 999 0126; numbers that are counted up from somewhere do not get there):

    last seven   who                                          the API answers
    9990126      is not on WhatsApp                           131026, always
    9990149      had enough marketing from everybody today    131049, always
    9990150      stopped this business's marketing            131050, always
    9990172      is part of an experiment                     130472, always
    9990116      lives where the service is away              131016, always
    9990100      is unlucky once                              131000 the first time, then accepted
    9990103      is unlucky three times                       131000 three times, then accepted

By chance, decided by the seed and the number: a share of people who are not on WhatsApp (`not_on_whatsapp`).

The Cloud API tells most of these by webhook after it accepted the message. Here they are told in the answer; what a
person does later (delivered, read, replies) belongs into `Habit` as well.
"""

import zlib
from collections import Counter
from collections.abc import Mapping
from typing import Final

import msgspec


class Habit(msgspec.Struct, frozen=True):
    """What a kind of person does with a message."""

    code: int | None = None
    """The error code that the API answers with; None where the message is accepted."""
    times: int | None = None
    """How often it answers so before it accepts; None is always."""


ORDINARY: Final = Habit()
NOT_ON_WHATSAPP: Final = Habit(code=131026)

BY_LAST_SEVEN_DIGITS: Final[Mapping[str, Habit]] = {
    "9990126": NOT_ON_WHATSAPP,
    "9990149": Habit(code=131049),
    "9990150": Habit(code=131050),
    "9990172": Habit(code=130472),
    "9990116": Habit(code=131016),
    "9990100": Habit(code=131000, times=1),
    "9990103": Habit(code=131000, times=3),
}


class People:
    """Everybody the simulator can reach."""

    def __init__(self, seed: int, not_on_whatsapp: float) -> None:
        self._seed = seed
        self.not_on_whatsapp = not_on_whatsapp
        self._refused: Counter[str] = Counter()

    def habit_of(self, wa_id: str) -> Habit:
        """What this person is like: the same for the same seed, however often and in whatever order it is asked."""
        habit = BY_LAST_SEVEN_DIGITS.get(wa_id[-7:])
        if habit is not None:
            return habit
        if self.not_on_whatsapp and _share_of(self._seed, wa_id) < self.not_on_whatsapp:
            return NOT_ON_WHATSAPP
        return ORDINARY

    def refusal(self, wa_id: str) -> int | None:
        """The code that answers one message to this person, None where it is accepted. Counts the attempt."""
        habit = self.habit_of(wa_id)
        if habit.code is None:
            return None
        if habit.times is not None:
            if self._refused[wa_id] >= habit.times:
                return None
            self._refused[wa_id] += 1
        return habit.code


def _share_of(seed: int, wa_id: str) -> float:
    """A number from 0 to below 1 that stays with this person under this seed."""
    return zlib.crc32(f"{seed}:{wa_id}".encode()) / 2**32
