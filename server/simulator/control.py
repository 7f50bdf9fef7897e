"""`/_sim/`: how a test or a person looks into the simulator and orders what it does. JSON, no token, localhost only.

    GET  /_sim/ledger/summary                 counts; ?at_least=N&timeout_seconds=S waits until N messages are accepted
    GET  /_sim/ledger/accepted?after=&limit=  entries in order; after: the `n` of the last one seen
    GET  /_sim/ledger/refused                 the last refusals
    GET  /_sim/ledger/by-phone/{phone}        every message accepted for one person
    GET  /_sim/ledger/statuses?after=&limit=  what became of each message, and what of it was acknowledged
    GET  /_sim/ledger/said?after=&limit=      what people wrote, tapped and chose
    GET  /_sim/ledger/windows                 the pace; ?phone_number_id= of one number, ?after= behind one entry
    GET  /_sim/limits                         what was used of the 24-hour messaging limit
    GET, PUT /_sim/faults                     chance and orders (faults.py)
    POST /_sim/hold {"after": N}              accept, but keep answers back after N more messages
    GET  /_sim/holds                          how many are kept back; ?at_least=N&timeout_seconds=S waits
    POST /_sim/release                        give the answers that were kept back
    GET, PUT /_sim/world                      rate, limits, number, templates (world.py)
    GET  /_sim/webhooks                       how each callback fares; ?idle=true&timeout_seconds=S waits for the last
    PUT  /_sim/webhooks                       {"callbacks": [{"url": "http://…", "app_secret": "…"}], "manners": {…}}
    GET  /_sim/people                         who received or said something last
    GET  /_sim/people/{phone}                 what one person received and said
    POST /_sim/people/{phone}/writes          {"text": "STOP", "context": true}: a person writes, now
    POST /_sim/people/{phone}/taps            {"button": "Stop", "context": false}: taps a button
    POST /_sim/people/{phone}/marketing       {"value": "stop"}: stops marketing in WhatsApp's own menu, or "resume"
    POST /_sim/templates                      {"name": "…", "do": "pause"}: unpause, disable, release, drop, quality
    POST /_sim/account                        {"do": "restrict", "hours": 24}: disable, reinstate, alert, limit
    POST /_sim/numbers/{id}                   {"do": "upgrade"}
    POST /_sim/tell                           {"field": "…", "value": {…}}: any other webhook
    POST /_sim/reset                          everything as at the start, the ledger included

Waiting answers with what is there when the time is up; the caller looks at the numbers. What is malformed is a 400
with a sentence in `error`.
"""

from collections.abc import Callable
from typing import Annotated, Any, Final

import msgspec

from server.simulator.control_life import LifeControl
from server.simulator.errors import Refusal
from server.simulator.faults import Faults, Weather
from server.simulator.happenings import Happenings
from server.simulator.http import Exchange, response
from server.simulator.ledger import Ledger, windows
from server.simulator.limits import MESSAGING_LIMITS
from server.simulator.settings import SimulatorSettings
from server.simulator.waits import Holds, Waits
from server.simulator.world import World, WorldChange

PAGE: Final = 1_000
LONGEST_PAGE: Final = 10_000
LONGEST_WAIT_SECONDS: Final = 600.0


class HoldOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of `POST /_sim/hold`."""

    after: Annotated[int, msgspec.Meta(ge=0)] = 0


class Wish(msgspec.Struct, frozen=True):
    """The query of any control request, each part read where it means something."""

    after: Annotated[int, msgspec.Meta(ge=0)] = 0
    limit: Annotated[int, msgspec.Meta(ge=1, le=LONGEST_PAGE)] = PAGE
    at_least: Annotated[int, msgspec.Meta(ge=0)] = 0
    timeout_seconds: Annotated[float, msgspec.Meta(ge=0, le=LONGEST_WAIT_SECONDS)] = 30.0
    phone_number_id: str | None = None
    idle: bool = False


class Control:
    """Answers `/_sim/`. One for each simulator."""

    def __init__(
        self,
        settings: SimulatorSettings,
        world: World,
        ledger: Ledger,
        weather: Weather,
        holds: Holds,
        waits: Waits,
        happenings: Happenings,
    ) -> None:
        self._settings = settings
        self._world = world
        self._ledger = ledger
        self._weather = weather
        self._holds = holds
        self._waits = waits
        self._happenings = happenings
        self._life = LifeControl(world, ledger, happenings)

    def answer(self, exchange: Exchange, method: str, path: list[str], query: dict[str, str]) -> None:
        """Answer one request, or keep it until what it waits for has happened."""
        try:
            wish = msgspec.convert(query, Wish, strict=False)
            match (method, path):
                case ("GET", ["ledger", "summary"]):
                    self._wait(exchange, wish, lambda: len(self._ledger.accepted) >= wish.at_least, self._summary)
                case ("GET", ["webhooks"]):
                    self._wait(
                        exchange,
                        wish,
                        lambda: self._happenings.idle or not wish.idle,
                        self._life.show_webhooks,
                    )
                case ("GET", ["holds"]):
                    self._wait(
                        exchange,
                        wish,
                        lambda: len(self._holds) >= wish.at_least,
                        lambda: {"held": len(self._holds)},
                    )
                case ("GET", _):
                    exchange.answer(_json(self._show(path, wish)))
                case _:
                    exchange.answer(_json(self._change(method, path, exchange.body)))
        except Refusal as refusal:
            exchange.answer(_json({"error": refusal.message or refusal.details}, 400))
        except LookupError:
            exchange.answer(_json({"error": f"there is no {method} /_sim/{'/'.join(path)}"}, 404))
        except ValueError as error:  # msgspec.ValidationError is one
            exchange.answer(_json({"error": str(error)}, 400))

    def _wait(self, exchange: Exchange, wish: Wish, condition: Callable[[], bool], show: Callable[[], object]) -> None:
        self._waits.until(condition, lambda: exchange.answer(_json(show())), wish.timeout_seconds)

    def _show(self, path: list[str], wish: Wish) -> object:
        match path:
            case ["ledger", *rest]:
                return self._show_ledger(rest, wish)
            case ["limits"]:
                return self._limits()
            case ["faults"]:
                return self._weather.faults
            case ["world"]:
                return self._show_world()
            case ["people"]:
                return self._life.people()
            case ["people", phone]:
                return self._life.person(phone)
            case _:
                raise LookupError

    def _show_ledger(self, path: list[str], wish: Wish) -> object:
        accepted = self._ledger.accepted
        match path:
            case ["accepted"]:
                end = wish.after + wish.limit
                return {"items": accepted[wish.after : end], "next_after": end if end < len(accepted) else None}
            case ["refused"]:
                return {"items": list(self._ledger.last_refused)[-wish.limit :]}
            case ["by-phone", phone]:
                person = self._life.person_of(phone)
                return {"items": [entry for entry in accepted if entry.wa_id == person]}
            case ["statuses"]:
                end = wish.after + wish.limit
                items = self._life.statuses(wish.after, end)
                return {"items": items, "next_after": end if end < len(accepted) else None}
            case ["said"]:
                return {"items": self._life.said(wish.after, wish.limit)}
            case ["windows"]:
                return windows(
                    entry
                    for entry in accepted[wish.after :]
                    if wish.phone_number_id is None or entry.phone_number_id == wish.phone_number_id
                )
            case _:
                raise LookupError

    def _change(self, method: str, path: list[str], body: bytes) -> object:
        match (method, path):
            case ("PUT", ["faults"]):
                self._weather.change(msgspec.json.decode(body, type=Faults))
                return self._weather.faults
            case ("PUT", ["world"]):
                self._world.change(msgspec.json.decode(body, type=WorldChange))
                return self._show_world()
            case ("POST", ["hold"]):
                self._holds.begin(msgspec.json.decode(body or b"{}", type=HoldOrder).after)
                return {"held": len(self._holds)}
            case ("POST", ["release"]):
                released = len(self._holds)
                self._ledger.when_written(self._holds.release)
                return {"released": released}
            case ("POST", ["reset"]):
                self._reset()
                return self._summary()
            case _:
                return self._life.change(method, path, body)

    def _reset(self) -> None:
        self._holds.release()
        self._ledger.reset()
        self._world.reset()
        self._happenings.reset()
        self._weather.begin_anew(self._settings.faults, self._settings.seed)

    def _summary(self) -> dict[str, Any]:
        ledger = self._ledger
        return {
            "accepted": len(ledger.accepted),
            "unique_people": len(ledger.people),
            "most_to_one_person": ledger.most_to_one_person,
            "refused": {str(code): count for code, count in sorted(ledger.refused.items())},
            "requests": ledger.requests,
            "held": len(self._holds),
            "faults": dict(sorted(ledger.faults.items())),
            **self._life.told(),
        }

    def _limits(self) -> dict[str, Any]:
        used = self._happenings.account.used()
        limit = MESSAGING_LIMITS.get(self._world.messaging_limit)
        return {
            "messaging_limit": self._world.messaging_limit,
            "limit": limit,
            "used_in_24_hours": used,
            "exceeded": limit is not None and used > limit,
        }

    def _show_world(self) -> dict[str, Any]:
        world = self._world
        return {
            "rate": world.rate,
            "pair_limit": world.pair_limit,
            "not_on_whatsapp": world.people.shares.off,
            "habits": dict(world.people.shares.given()),
            "status": world.status,
            "quality_rating": world.quality_rating,
            "messaging_limit": world.messaging_limit,
            "limits": world.limits,
            "restriction": world.restriction,
            "numbers": list(world.numbers),
            "accounts": sorted(world.accounts),
            "templates": [
                {"name": one.name, "language": one.language, "status": one.status, "quality": one.quality}
                for one in world.templates
            ],
        }


def _json(content: object, status: int = 200) -> bytes:
    return response(status, msgspec.json.encode(content))
