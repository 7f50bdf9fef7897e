"""Webhooks out: everything that happens is brought to every callback that wants to hear of it."""

from collections.abc import Callable, Sequence
from typing import Final

from server.simulator.ledger import Ledger
from server.simulator.statuses import is_again, is_lost, message_in
from server.simulator.waits import Waits
from server.simulator.webhook_body import Notice, WebhookBody
from server.simulator.webhook_line import Line, Update
from server.simulator.webhook_manners import Callback, Manners
from server.simulator.world import World

MOST_CALLBACKS: Final = 100


class Webhooks:
    """All callbacks. One for each simulator; its lines belong to the running loop."""

    def __init__(
        self, world: World, ledger: Ledger, waits: Waits, callbacks: Sequence[Callback], manners: Manners
    ) -> None:
        self._world = world
        self._ledger = ledger
        self._waits = waits
        self._lines: list[Line] = []
        self.manners = manners
        self.wanted = False
        """Whether anybody wants to hear."""
        self.call_back(callbacks)

    @property
    def lines(self) -> Sequence[Line]:
        """One for each callback."""
        return self._lines

    def call_back(self, callbacks: Sequence[Callback]) -> None:
        """Bring everything to these from now on; what waited for callbacks that are not among them is forgotten."""
        kept = [line for line in self._lines if line.callback in callbacks]
        for line in self._lines:
            if line not in kept:
                line.close()
        known = {line.callback for line in kept}
        added = [self._line_to(callback) for callback in dict.fromkeys(callbacks) if callback not in known]
        self._lines = kept + added
        self.wanted = bool(self._lines)
        self.use(self.manners)

    def use(self, manners: Manners) -> None:
        """Deliver in this manner from now on."""
        self.manners = manners
        for line in self._lines:
            line.use(manners)

    def tell_statuses(self, happened: list[int]) -> None:
        """These statuses happened: write them into the books, and tell whoever wants to know."""
        books = self._ledger.statuses
        told = []
        for packed in happened:
            if not is_again(packed):
                books.produce(packed)
            if is_lost(packed):
                books.lost += 1
            else:
                told.append(packed)
        for line in self._lines:
            number = line.callback.phone_number_id
            line.put(told if number is None else [one for one in told if self._is_of(one, number)])
        self.look()

    def look(self) -> None:
        """Something happened: answer those who wait for it."""
        if self._waits:
            self._waits.look()

    def tell(self, notice: Notice) -> None:
        """Something else happened."""
        for line in self._lines:
            if line.callback.phone_number_id in {None, notice.number_id} or notice.number_id is None:
                line.put([notice])

    def tell_before(self, packed: int, then: Callable[[], None]) -> None:
        """Tell this status at once, and call back when every callback has answered or failed."""
        self._ledger.statuses.produce(packed)
        number = self._ledger.accepted[message_in(packed) - 1].phone_number_id
        lines = [line for line in self._lines if line.callback.phone_number_id in {None, number}]
        left = len(lines)

        def one_answered() -> None:
            nonlocal left
            left -= 1
            if left == 0:
                then()

        for line in lines:
            line.bring_now(packed, one_answered)
        if not lines:
            then()

    @property
    def idle(self) -> bool:
        """Whether everything was brought."""
        return all(line.idle for line in self._lines)

    def close(self) -> None:
        """Bring nothing more."""
        for line in self._lines:
            line.close()
        self._lines = []

    def _is_of(self, packed: int, number_id: str) -> bool:
        return self._ledger.accepted[message_in(packed) - 1].phone_number_id == number_id

    def _line_to(self, callback: Callback) -> Line:
        body = WebhookBody(self._world, self._ledger, callback.waba_id or self._world.waba_id)
        return Line(callback, body, self._world.time_scale, self._heard, self._dropped)

    def _heard(self, updates: list[Update]) -> None:
        self._ledger.hear([one for one in updates if isinstance(one, int)], is_all=len(self._lines) == 1)
        for update in updates:
            if not isinstance(update, int):
                update.acknowledged = True
        self.look()

    def _dropped(self, updates: list[Update]) -> None:
        self._ledger.statuses.dropped += sum(isinstance(update, int) for update in updates)
        self.look()
