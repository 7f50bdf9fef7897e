"""`POST /{phone_number_id}/messages`: the endpoint that everything else is there for.

In this order: token and body; faults before acceptance; the number, its limits, the person; the ledger; faults after
acceptance; the answer. A message is accepted when it is in the ledger, whether or not anybody hears of it.
"""

import asyncio
import time
from typing import Final

import msgspec

from server.simulator.errors import BAD_GATEWAY, Refusal, error_response
from server.simulator.faults import Fault, Mishap, Weather
from server.simulator.happenings import Happenings
from server.simulator.http import Exchange, response
from server.simulator.ledger import Accepted, Ledger, Refused
from server.simulator.people import ORDINARY, Habit
from server.simulator.validation import Message, ReadMark, check
from server.simulator.waits import Holds, Waits
from server.simulator.world import BLOCKED_BY_STATUS, Number, World

BEFORE_ACCEPTANCE: Final = frozenset({Fault.LOSE, Fault.SERVER_ERROR, Fault.CODE})

_SUCCESS: Final = response(200, b'{"success":true}')


class Sending:
    """Takes messages on, or refuses them. One for each simulator."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        world: World,
        ledger: Ledger,
        weather: Weather,
        holds: Holds,
        waits: Waits,
        happenings: Happenings,
    ) -> None:
        self._loop = loop
        self._world = world
        self._ledger = ledger
        self._weather = weather
        self._holds = holds
        self._waits = waits
        self._webhooks = happenings.webhooks
        self._life = happenings.life
        self._contents = happenings.contents
        self._ids = happenings.ids
        self._account = happenings.account
        self._templates = happenings.templates
        self._usage = happenings.usage

    def send(self, exchange: Exchange, number: Number) -> None:
        """Handle one request to send from this number."""
        self._ledger.requests += 1
        to: str | None = None
        try:
            self._world.check_token(exchange.authorization)
            message = check(exchange.body, self._world.templates)
            if isinstance(message, ReadMark):
                exchange.answer(_SUCCESS)
                return
            to = message.to
            mishap = None if self._weather.calm else self._weather.befalls(to)
            if mishap is None or mishap.fault not in BEFORE_ACCEPTANCE:
                self._accept(exchange, number, message, mishap)
            else:
                self._fail(exchange, number, message, mishap)
        except Refusal as refusal:
            self._refuse(exchange, refusal, to, number.id)
        if self._waits:
            self._waits.look()

    def turn_away(self, exchange: Exchange, refusal: Refusal, number_id: str) -> None:
        """Handle one request to send from a number that is not there."""
        self._ledger.requests += 1
        self._refuse(exchange, refusal, None, number_id)

    def _refuse(self, exchange: Exchange, refusal: Refusal, to: str | None, number_id: str) -> None:
        self._note(refusal.code, refusal.details or refusal.message, to, number_id)
        self._answer(exchange, error_response(refusal))

    def _accept(self, exchange: Exchange, number: Number, message: Message, mishap: Mishap | None) -> None:
        now = time.monotonic()
        person = message.wa_id or self._world.people.behind(message.to)
        habit = self._world.people.habit_of(person)
        self._check_number(number, message, person, habit, now)
        strict = self._world.strict
        if strict:
            self._account.check(person)
        number.throughput.take()
        if number.pairs is not None:
            number.pairs.take(person, now)
        n = len(self._ledger.accepted) + 1
        message_id = self._ids.next_for(person)
        entry = Accepted(
            n,
            message_id,
            message.to,
            person,
            message.opaque,
            number.id,
            message.type,
            message.template,
            message.language,
            now,
            time.time(),
        )
        self._ledger.accept(entry)
        self._contents.keep(n, exchange.body)
        if strict or self._webhooks.wanted or habit is not ORDINARY:
            self._live(exchange, message, entry, habit, mishap)
        else:
            self._give(exchange, _accepted(message, message_id, "accepted", self._usage.headers), mishap)

    def _live(self, exchange: Exchange, message: Message, entry: Accepted, habit: Habit, mishap: Mishap | None) -> None:
        """The message begins its life, or is held back, and is answered: after a status that must be told before."""
        code = self._world.failure(entry, habit)
        early, status = None, "accepted"
        if code is None and self._world.strict:
            code = self._account.failure(entry)
            if code is None and self._templates.holds(entry, habit):
                status = "held_for_quality_assessment"
        if status == "accepted":
            early = self._life.begin(entry, habit, code, may_be_early=mishap is None)
        answer = _accepted(message, entry.message_id, status, self._usage.headers)
        if early is None:
            self._give(exchange, answer, mishap)
            return
        first = early
        self._ledger.when_written(lambda: self._webhooks.tell_before(first, lambda: self._give(exchange, answer, None)))

    def _give(self, exchange: Exchange, answer: bytes, mishap: Mishap | None) -> None:
        """Give the answer to an accepted message, unless it goes astray or is kept back."""
        if mishap is not None:
            self._mislay(exchange, answer, mishap)
        elif not (self._holds.active and self._holds.keeps(exchange, answer)):
            self._answer(exchange, answer)

    def _check_number(self, number: Number, message: Message, person: str, habit: Habit, now: float) -> None:
        """Limits and people. Raises Refusal; nothing is taken from a limit then."""
        code = BLOCKED_BY_STATUS.get(self._world.status)
        if code is not None:
            raise Refusal(code, f"The phone number is {self._world.status}")
        if self._world.restriction is not None:
            raise Refusal(self._world.restriction, "The WhatsApp Business Account is restricted")
        if number.in_maintenance:
            raise Refusal(131057, "The throughput of the phone number is being upgraded")
        if person == number.digits:
            raise Refusal(131021, "The sender and the recipient are the same phone number")
        if not number.throughput.allows(now):
            raise Refusal(130429, "Cloud API message throughput has been reached.", subcode=2494055)
        if number.pairs is not None and not number.pairs.allows(person, now):
            raise Refusal(
                131056,
                "Message failed to send because there were too many messages sent from this phone number "
                "to the same phone number in a short period of time.",
            )
        if habit is ORDINARY:
            return
        code = self._world.people.refusal(person, habit, webhook=self._webhooks.wanted)
        if code is not None:
            raise Refusal(code, f"The message could not be delivered to {message.to}")

    def _fail(self, exchange: Exchange, number: Number, message: Message, mishap: Mishap) -> None:
        """A fault before acceptance: the message is not in the ledger."""
        self._ledger.faults[mishap.fault] += 1
        match mishap.fault:
            case Fault.LOSE:
                exchange.break_off()
            case Fault.SERVER_ERROR:
                self._note(502, "a page of HTML", message.to, number.id)
                self._answer(exchange, BAD_GATEWAY)
            case _:
                raise Refusal(mishap.code or 1, "This error was ordered")

    def _mislay(self, exchange: Exchange, answer: bytes, mishap: Mishap) -> None:
        """A fault after acceptance: the message is in the ledger, its answer does not arrive, or late."""
        self._ledger.faults[mishap.fault] += 1
        match mishap.fault:
            case Fault.DROP:
                self._ledger.when_written(exchange.break_off)
            case Fault.SLOW:
                self._answer(exchange, answer, self._weather.faults.slow_seconds)
            case _:
                pass  # it hangs: nobody ever answers

    def _answer(self, exchange: Exchange, http_response: bytes, more_seconds: float = 0.0) -> None:
        """Answer when the books are written and the time has passed that the network takes."""
        seconds = more_seconds if self._weather.calm else more_seconds + self._weather.delay_seconds()
        if seconds:
            self._ledger.when_written(lambda: _later(self._loop, seconds, exchange, http_response))
        elif self._ledger.all_written:
            exchange.answer(http_response)
        else:
            self._ledger.when_written(lambda: exchange.answer(http_response))

    def _note(self, code: int, details: str, to: str | None, number_id: str) -> None:
        self._ledger.refuse(Refused(code, to, number_id, details, time.time()))


def _later(loop: asyncio.AbstractEventLoop, seconds: float, exchange: Exchange, http_response: bytes) -> None:
    loop.call_later(seconds, exchange.answer, http_response)


def _accepted(message: Message, message_id: str, message_status: str, headers: bytes) -> bytes:
    """The answer to an accepted message. Only templates have a message_status."""
    status = f',"message_status":"{message_status}"' if message.template is not None else ""
    if message.wa_id is None:
        contact = msgspec.json.encode({"input": message.input, "user_id": message.input}).decode()
    elif message.input.isascii():  # a checked number: nothing in it needs escaping
        contact = f'{{"input":"{message.input}","wa_id":"{message.wa_id}"}}'
    else:
        contact = msgspec.json.encode({"input": message.input, "wa_id": message.wa_id}).decode()
    body = f'{{"messaging_product":"whatsapp","contacts":[{contact}],"messages":[{{"id":"{message_id}"{status}}}]}}'
    return response(200, body.encode(), more_headers=headers)
