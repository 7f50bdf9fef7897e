"""What an API key may do. Each scope includes the ones before it."""

from enum import StrEnum
from typing import Final


class KeyScope(StrEnum):
    """Of a key, what it may do; of a route, what it needs."""

    READ = "read"  # look at everything of the business, except its keys
    SEND = "send"  # make, fill, start and steer broadcasts, and keep their people
    ADMIN = "admin"  # numbers, keys, settings, addresses that are told of events

    def includes(self, needed: "KeyScope") -> bool:
        """Whether a key of this scope may do what needs the other."""
        return _ORDER.index(self) >= _ORDER.index(needed)


_ORDER: Final = tuple(KeyScope)
