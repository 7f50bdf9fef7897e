"""Ids of messages, made as WhatsApp makes them: base64 around the person and a number of its own."""

import binascii
import itertools
import os


class MessageIds:
    """Hands out ids, never one twice."""

    def __init__(self) -> None:
        # Ids must differ between two simulators of one seed, or a restarted one would hand out the same again. So must
        # those before and after a reset: the ledger's `n` begins anew there.
        self._process = os.urandom(4).hex().upper().encode()
        self._counter = itertools.count(1)

    def next_for(self, person: str) -> str:
        """A new id for a message to or from this person."""
        who = person.encode()
        packed = b"\x1c\x18%c%b\x15\x02\x00\x11\x18\x12%b%010X\x00" % (
            len(who),
            who,
            self._process,
            next(self._counter),
        )
        return "wamid." + binascii.b2a_base64(packed, newline=False).decode()
