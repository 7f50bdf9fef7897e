"""How much of its allowance the app has used, and the headers that tell it (Graph API, "rate limits")."""

import time
from typing import Final

import msgspec

from server.simulator.errors import Refusal
from server.simulator.world import World

HOUR_SECONDS: Final = 3600.0


class Usage:
    """Counts calls to everything but sending, in hours that begin with a call."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.forget()

    def forget(self) -> None:
        """As if nobody ever called."""
        self._calls = 0
        self._ends_at = 0.0
        self.headers = self._headers_of(0)

    def call(self) -> None:
        """One call came. Raises Refusal 80008 where it is one too many."""
        now, most = time.monotonic(), self._world.limits.management_calls
        if now >= self._ends_at:
            self._calls = 0
            self._ends_at = now + HOUR_SECONDS / self._world.time_scale
        if most and self._calls >= most:
            self.headers = self._headers_of(100, max(1, round((self._ends_at - now) / 60)))
            raise Refusal(80008, "There have been too many calls to this WhatsApp Business account.")
        self._calls += 1
        self.headers = self._headers_of(100 * self._calls // most if most else 0)

    def _headers_of(self, percent: int, minutes: int = 0) -> bytes:
        share = {"call_count": percent, "total_cputime": percent, "total_time": percent}
        allowance = {"type": "whatsapp_business_management", **share, "estimated_time_to_regain_access": minutes}
        by_account = msgspec.json.encode({self._world.waba_id: [allowance]})
        by_app = msgspec.json.encode(share)
        return b"X-Business-Use-Case-Usage: %b\r\nX-App-Usage: %b\r\n" % (by_account, by_app)
