"""Which statuses each message has had, and which of them the other side has acknowledged with a 200.

Two bytes a message: a bit for each status. Messages are known by their `n` of the ledger.
"""

from collections.abc import Iterator
from enum import IntEnum
from typing import Final

import msgspec


class Status(IntEnum):
    """The statuses of a message, as numbers that fit into two bits."""

    SENT = 0
    DELIVERED = 1
    READ = 2
    FAILED = 3


_ENDS: Final = 1 << Status.READ | 1 << Status.FAILED
NAMES: Final = tuple(status.name.lower() for status in Status)

_KIND_BITS: Final = 2
_NUMBER_BITS: Final = 40
_LOST: Final = 1 << _KIND_BITS
_AGAIN: Final = 2 << _KIND_BITS
_NUMBER_SHIFT: Final = _KIND_BITS + 2
_TIME_SHIFT: Final = _NUMBER_SHIFT + _NUMBER_BITS


def pack(n: int, status: Status, happens_unix: int, *, lost: bool = False, again: bool = False) -> int:
    """One status of one message in one number, because millions of them may wait. Parted again by the functions below.

    lost: it happens and nobody hears of it. again: it is told a second time and does not happen anew.
    """
    return happens_unix << _TIME_SHIFT | n << _NUMBER_SHIFT | again * _AGAIN | lost * _LOST | status


def status_in(packed: int) -> int:
    """Which status."""
    return packed & 3


def message_in(packed: int) -> int:
    """Which message, by its `n`."""
    return packed >> _NUMBER_SHIFT & ((1 << _NUMBER_BITS) - 1)


def time_in(packed: int) -> int:
    """When it happened, in unix seconds."""
    return packed >> _TIME_SHIFT


def is_lost(packed: int) -> bool:
    """Whether nobody hears of it."""
    return bool(packed & _LOST)


def is_again(packed: int) -> bool:
    """Whether it is told a second time."""
    return bool(packed & _AGAIN)


class Told(msgspec.Struct, frozen=True):
    """Messages by how far they got: each counts once, where `read` is further than `delivered`, `failed` is the end."""

    sent: int
    delivered: int
    read: int
    failed: int


class StatusBooks:
    """What happened to each message, and what of it was heard."""

    def __init__(self) -> None:
        self._produced = bytearray()
        self._acknowledged = bytearray()
        self.codes: dict[int, int] = {}
        """The error code of each message that failed, by `n`."""
        self.lost = 0
        self.dropped = 0
        """Statuses that were given up after days of trying."""

    def produce(self, packed: int) -> None:
        """A status happened."""
        n = message_in(packed)
        self._make_room(n)
        self._produced[n - 1] |= 1 << (packed & 3)

    def acknowledge(self, n: int, status: int) -> None:
        """A POST that carried this status was answered with 200; so it happened, perhaps to a simulator before this."""
        self._make_room(n)
        self._produced[n - 1] |= 1 << status
        self._acknowledged[n - 1] |= 1 << status

    def _make_room(self, n: int) -> None:
        if n > len(self._produced):
            more = bytes(n - len(self._produced) + 1024)
            self._produced += more
            self._acknowledged += more

    def produced(self, n: int) -> list[str]:
        """The statuses that message `n` has had, in the order of the ladder."""
        return list(_names_in(self._produced[n - 1])) if n <= len(self._produced) else []

    def acknowledged(self, n: int) -> list[str]:
        """Those of them that were acknowledged."""
        return list(_names_in(self._acknowledged[n - 1])) if n <= len(self._acknowledged) else []

    def is_acknowledged(self, n: int, status: Status) -> bool:
        """Whether this one was."""
        return n <= len(self._acknowledged) and bool(self._acknowledged[n - 1] >> status & 1)

    def is_over(self, n: int) -> bool:
        """Whether the other side knows the end of it: that it was read, or failed."""
        return n <= len(self._acknowledged) and bool(self._acknowledged[n - 1] & _ENDS)

    def all_produced(self) -> Told:
        """How far the messages got."""
        return _furthest(self._produced)

    def all_acknowledged(self) -> Told:
        """How far they got as the other side can know it."""
        return _furthest(self._acknowledged)


def _names_in(bits: int) -> Iterator[str]:
    return (name for position, name in enumerate(NAMES) if bits >> position & 1)


def _furthest(books: bytearray) -> Told:
    counts = [0, 0, 0, 0]
    for bits in range(1, 16):
        counts[bits.bit_length() - 1] += books.count(bits)
    return Told(*counts)
