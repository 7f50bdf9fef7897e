"""The part of `/_sim/` that is about people and webhooks. The table of all requests is in control.py."""

import itertools
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from server.simulator.contents import ButtonSeen
from server.simulator.faces import name_of
from server.simulator.happenings import Happenings
from server.simulator.ledger import Accepted, Ledger
from server.simulator.orders import Orders
from server.simulator.validation import digits_of, wa_id_of
from server.simulator.voices import Said
from server.simulator.webhook_manners import Callback, Manners
from server.simulator.webhooks import MOST_CALLBACKS
from server.simulator.world import World

PEOPLE_AT_ONCE: Final = 100
LOOKED_BACK: Final = 1_000
"""Of the last messages and voices, for the list of people."""
WATCHED_AT_ONCE: Final = 100
SEEN_BY_ONE: Final = 200
"""Messages of one person that are shown at once, the newest."""


class WebhookOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of `PUT /_sim/webhooks`; what is left out stays."""

    callbacks: tuple[Callback, ...] | None = None
    manners: Manners | None = None
    """These manners and no others: what they leave out is as by default."""


class Writing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of `POST /_sim/people/{phone}/writes`."""

    text: str
    context: bool | str = False
    """Whether it answers the last message to this person, or the id of the message that it answers."""
    hidden: bool = False
    """Whether the webhook has a user id and no phone number."""
    phone_number_id: str | None = None
    """Who is written to; None: whoever wrote last, else the first number."""


class Tapping(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of `POST /_sim/people/{phone}/taps`."""

    button: str
    """The words on it."""
    context: bool | str = True
    """Whether the webhook names the message; an id taps a button of that message, true and false one of the last."""
    hidden: bool = False


class Choosing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of `POST /_sim/people/{phone}/marketing`."""

    value: str
    phone_number_id: str | None = None

    def __post_init__(self) -> None:
        if self.value not in {"stop", "resume"}:
            raise ValueError("value must be stop or resume")


class Watched:
    """The messages of those who are looked at, found anew only among what has come since: a page asks every second."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._accepted = ledger.accepted
        self._found: dict[str, tuple[int, list[Accepted]]] = {}

    def messages_to(self, person: str) -> list[Accepted]:
        """Every message that was accepted for this person."""
        accepted = self._ledger.accepted
        if accepted is not self._accepted:  # the books were begun anew
            self._accepted = accepted
            self._found.clear()
        begin, found = self._found.pop(person, (0, []))
        found += [accepted[place] for place in range(begin, len(accepted)) if accepted[place].wa_id == person]
        self._found[person] = (len(accepted), found)
        if len(self._found) > WATCHED_AT_ONCE:
            del self._found[next(iter(self._found))]
        return found


class LifeControl:
    """Shows and steers what happens after a message was accepted."""

    def __init__(self, world: World, ledger: Ledger, happenings: Happenings) -> None:
        self._world = world
        self._ledger = ledger
        self._happenings = happenings
        self._orders = Orders(world, happenings)
        self._watched = Watched(ledger)
        self._said = happenings.voices.said

    def show_webhooks(self) -> dict[str, Any]:
        """How webhooks are delivered, and how each callback fares."""
        webhooks = self._happenings.webhooks
        return {
            "callbacks": [{**_plain(line.report()), **_filters(line.callback)} for line in webhooks.lines],
            "manners": webhooks.manners,
            "still_to_happen": self._happenings.life.waiting,
            "idle": self._happenings.idle,
        }

    def change(self, method: str, path: list[str], body: bytes) -> dict[str, Any]:
        """Change something. LookupError where there is nothing of that name."""
        match (method, path):
            case ("PUT", ["webhooks"]):
                return self._change_webhooks(body)
            case ("POST", ["people", phone, deed]):
                return self._act(phone, deed, body)
            case ("POST", [*path]):
                return self._orders.carry_out(path, body)
            case _:
                raise LookupError

    def _change_webhooks(self, body: bytes) -> dict[str, Any]:
        order = msgspec.json.decode(body, type=WebhookOrder)
        webhooks = self._happenings.webhooks
        if order.callbacks is not None:
            if len(order.callbacks) > MOST_CALLBACKS:
                raise ValueError(f"at most {MOST_CALLBACKS} callbacks")
            webhooks.call_back(order.callbacks)
        if order.manners is not None:
            webhooks.use(order.manners)
        return self.show_webhooks()

    def told(self) -> dict[str, Any]:
        """How far the messages got, and how far they got as callbacks have acknowledged it."""
        books = self._ledger.statuses
        return {
            "produced": books.all_produced(),
            "acknowledged": books.all_acknowledged(),
            "lost": books.lost,
            "dropped": books.dropped,
            "said": self._happenings.voices.count,
        }

    def statuses(self, begin: int, end: int) -> list[dict[str, Any]]:
        """The statuses of the messages behind `begin` up to `end`."""
        return [self._fate(entry) for entry in self._ledger.accepted[begin:end]]

    def said(self, after: int, limit: int) -> list[dict[str, Any]]:
        """What people said, behind the one with this `n`."""
        return [one.shown() for one in self._said if one.n > after][:limit]

    def people(self) -> dict[str, Any]:
        """Who received or said something last, the newest first."""
        lately: dict[str, str] = {}
        voices = [
            (one.unix_seconds, one.wa_id, one.text) for one in itertools.islice(reversed(self._said), LOOKED_BACK)
        ]
        entries = self._ledger.accepted[-LOOKED_BACK:]
        letters = [(entry.unix_seconds, entry.wa_id, entry.template or entry.type) for entry in entries]
        for _, person, last in sorted(voices + letters, reverse=True):
            if len(lately) == PEOPLE_AT_ONCE:
                break
            lately.setdefault(person, last)
        return {
            "accepted": len(self._ledger.accepted),
            "people": len(self._ledger.people),
            "callbacks": len(self._happenings.webhooks.lines),
            "items": [{"wa_id": person, "name": name_of(person), "last": last} for person, last in lately.items()],
        }

    def person(self, phone: str) -> dict[str, Any]:
        """What one person has seen and said, the oldest first."""
        person = self.person_of(phone)
        entries = self._watched.messages_to(person)[-SEEN_BY_ONE:]
        received = [{**self._fate(entry), "letter": self._happenings.contents.letter(entry.n)} for entry in entries]
        said = [one.shown() for one in self._said if one.wa_id == person]
        people = self._world.people
        return {
            "wa_id": person,
            "name": name_of(person),
            "received": received,
            "said": said[-SEEN_BY_ONE:],
            "blocks": person in people.blocking,
            "left_marketing": person in people.left,
        }

    def _act(self, phone: str, deed: str, body: bytes) -> dict[str, Any]:
        person = self.person_of(phone)
        match deed:
            case "writes":
                said = self._write(person, msgspec.json.decode(body, type=Writing))
            case "taps":
                said = self._tap(person, msgspec.json.decode(body, type=Tapping))
            case "marketing":
                choice = msgspec.json.decode(body, type=Choosing)
                number = self._number_for(person, choice.phone_number_id)
                said = self._happenings.voices.choose(person, number, choice.value)
            case _:
                raise LookupError
        return said.shown()

    def person_of(self, phone: str) -> str:
        """Who has this phone number or user id."""
        digits = digits_of(phone)
        return wa_id_of(digits) if digits is not None else self._world.people.behind(phone)

    def _write(self, person: str, writing: Writing) -> Said:
        context_id = writing.context if isinstance(writing.context, str) else None
        if writing.context is True:
            context_id = self._last_to(person).message_id
        number = self._number_for(person, writing.phone_number_id)
        return self._happenings.voices.write(person, number, writing.text, context_id=context_id, hidden=writing.hidden)

    def _tap(self, person: str, tapping: Tapping) -> Said:
        entry = self._last_to(person, tapping.context if isinstance(tapping.context, str) else None)
        return self._happenings.voices.tap(
            entry, self._button(entry, tapping.button), with_context=tapping.context is not False, hidden=tapping.hidden
        )

    def _button(self, entry: Accepted, text: str) -> ButtonSeen:
        letter = self._happenings.contents.letter(entry.n)
        if letter is None:
            raise ValueError("what this message said is no longer known, so its buttons cannot be tapped")
        buttons = [button for button in letter.buttons if button.payload is not None]
        for button in buttons:
            if button.text == text:
                return button
        known = ", ".join(button.text for button in buttons) or "none"
        raise ValueError(f"the message has no button {text!r} that answers; it has {known}")

    def _last_to(self, person: str, message_id: str | None = None) -> Accepted:
        for entry in reversed(self._watched.messages_to(person)):
            if message_id in {None, entry.message_id}:
                return entry
        raise ValueError("this person has not received such a message")

    def _number_for(self, person: str, wanted: str | None) -> str:
        """Who the person writes to. Refusal where there is no such number."""
        if wanted is None and person in self._ledger.people:
            wanted = self._last_to(person).phone_number_id
        return next(iter(self._world.numbers)) if wanted is None else self._world.number(wanted).id

    def _fate(self, entry: Accepted) -> dict[str, Any]:
        books = self._ledger.statuses
        return {
            "n": entry.n,
            "message_id": entry.message_id,
            "to": entry.to,
            "wa_id": entry.wa_id,
            "biz_opaque_callback_data": entry.biz_opaque_callback_data,
            "phone_number_id": entry.phone_number_id,
            "template": entry.template,
            "unix_seconds": entry.unix_seconds,
            "produced": books.produced(entry.n),
            "acknowledged": books.acknowledged(entry.n),
            "code": books.codes.get(entry.n),
        }


def _plain(report: msgspec.Struct) -> Mapping[str, Any]:
    return msgspec.structs.asdict(report)


def _filters(callback: Callback) -> dict[str, str | None]:
    """Everything of a callback but its secret."""
    return {"phone_number_id": callback.phone_number_id, "waba_id": callback.waba_id}
