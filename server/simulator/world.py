"""The one business that lives here: its account, its numbers, its templates, its people.

Unless the settings name a number or an account, the world is open: whatever id a client asks for is a number (or an
account) of this business from then on, so that any id a person types will do. With an id named, only that one exists.
Changes through the control API hold for all numbers, also for those that are yet to come.
"""

import zlib
from typing import Annotated, Final

import msgspec

from server.simulator.errors import Refusal, no_such_object
from server.simulator.faults import Probability
from server.simulator.ledger import Accepted
from server.simulator.limit_options import Limits
from server.simulator.limits import PairLimit, Throughput
from server.simulator.people import Habit, People, Shares
from server.simulator.settings import CannotStart, SimulatorSettings
from server.simulator.templates import Template, TemplateBook, builtin_nodes, read_nodes

DEFAULT_PHONE_NUMBER_ID: Final = "106540352242922"
DEFAULT_WABA_ID: Final = "102290129340398"
BUSINESS_ID: Final = "506914307656634"

BLOCKED_BY_STATUS: Final = {"BANNED": 131031, "RESTRICTED": 131031, "PENDING": 133010, "DISCONNECTED": 133010}
"""Which statuses of a number cannot send, and the code that says so. Every other status can."""


class TemplateChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A new status for a template, in one language or in all it has."""

    name: str
    status: str
    language: str | None = None


class WorldChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What `PUT /_sim/world` may change; what is left out stays."""

    rate: Annotated[float, msgspec.Meta(ge=0)] | None = None
    pair_limit: bool | None = None
    not_on_whatsapp: Probability | None = None
    habits: Shares | None = None
    """The shares of all habits; those that are left out are 0."""
    status: str | None = None
    quality_rating: str | None = None
    messaging_limit: str | None = None
    limits: Limits | None = None
    """These limits and no others (limit_options.py); its `messaging` is the messaging limit."""
    templates: tuple[TemplateChange, ...] = ()


class Number:
    """One number of the business, with what it has used up of its limits."""

    __slots__ = ("digits", "display_phone_number", "id", "in_maintenance", "pairs", "throughput", "upgraded")

    def __init__(self, number_id: str, rate: float, *, pair_limit: bool) -> None:
        self.id = number_id
        line = zlib.crc32(number_id.encode()) % 10_000
        self.digits = "15550783881" if number_id == DEFAULT_PHONE_NUMBER_ID else f"1555079{line:04d}"
        self.display_phone_number = f"+1 {self.digits[1:4]}-{self.digits[4:7]}-{self.digits[7:]}"
        self.throughput = Throughput(rate)
        self.pairs = PairLimit() if pair_limit else None
        self.upgraded = False
        self.in_maintenance = False

    def change(self, rate: float | None, *, pair_limit: bool | None) -> None:
        """Take other limits; None leaves one as it is."""
        if rate is not None:
            self.throughput.rate = rate
        if pair_limit is not None:
            self.pairs = PairLimit() if pair_limit else None


class World:
    """Everything that is there, as settings and later changes have it. CannotStart: templates that are unreadable."""

    def __init__(self, settings: SimulatorSettings) -> None:
        self._settings = settings
        self.seed = settings.seed
        self.time_scale = settings.time_scale
        self.waba_id = settings.waba_id or DEFAULT_WABA_ID
        self._start_anew()

    def _start_anew(self) -> None:
        settings = self._settings
        self.rate = settings.rate
        self.pair_limit = settings.pair_limit
        self.status = "CONNECTED"
        self.quality_rating = "GREEN"
        self._limit(settings.limits)
        self.restriction: int | None = None
        """The code that answers everything while the account is restricted or disabled."""
        self.people = People(settings.seed, _shares(settings), settings.time_scale)
        self.templates = _templates_of(settings)
        self.numbers: dict[str, Number] = {}
        self.accounts: set[str] = set()
        self.subscribed = False
        self.number(settings.phone_number_id or DEFAULT_PHONE_NUMBER_ID)
        self.check_account(self.waba_id)

    def reset(self) -> None:
        """Everything as it was at the start."""
        self._start_anew()

    def number(self, number_id: str) -> Number:
        """The number with this id. Refusal 100/33 where there is none."""
        number = self.numbers.get(number_id)
        if number is None:
            if self._settings.phone_number_id not in {None, number_id}:
                raise no_such_object(number_id, verb="post")
            number = self.numbers[number_id] = Number(number_id, self.rate, pair_limit=self.pair_limit)
        return number

    def check_account(self, waba_id: str) -> None:
        """Whether there is an account with this id. Refusal 100/33 where there is none."""
        if self._settings.waba_id not in {None, waba_id}:
            raise no_such_object(waba_id, verb="get")
        self.accounts.add(waba_id)

    def is_marketing(self, template: str | None, language: str | None) -> bool:
        """Whether a message with this template is marketing; one without a template is not."""
        if template is None or language is None:
            return False
        found = self.templates.get(template, language)
        return found is not None and found.category == "MARKETING"

    def failure(self, entry: Accepted, habit: Habit) -> int | None:
        """The code that a message fails with because of its person, after it was accepted; None where it does not."""
        return self.people.failure(entry.wa_id, habit, marketing=self.is_marketing(entry.template, entry.language))

    def check_token(self, authorization: bytes) -> None:
        """Whether the request may act for the business. Refusal 104 without a token, 190 with a wrong one."""
        scheme, _, token = authorization.partition(b" ")
        if scheme.lower() != b"bearer" or not token.strip():
            raise Refusal(104)
        if self._settings.token is not None and token.strip() != self._settings.token.encode():
            raise Refusal(190)

    def change(self, change: WorldChange) -> None:
        """Take what the change names. Raises ValueError, and changes nothing, where a template is not known."""
        for one in change.templates:
            if not self._templates_named(one):
                raise ValueError(f"there is no template {one.name} in {one.language or 'any language'}")
        for one in change.templates:
            for template in self._templates_named(one):
                template.status = one.status.upper()
        if change.limits is not None:
            self._limit(change.limits)
        for name in ("rate", "pair_limit", "status", "quality_rating", "messaging_limit"):
            value = getattr(change, name)
            if value is not None:
                setattr(self, name, value)
        self._change_people(change)
        for number in self.numbers.values():
            number.change(change.rate, pair_limit=change.pair_limit)

    def _limit(self, limits: Limits) -> None:
        self.limits = limits
        self.strict = limits != Limits()
        """Whether there are any of these limits: sending asks nothing more where there are none."""
        self.messaging_limit = limits.messaging

    def _change_people(self, change: WorldChange) -> None:
        shares = change.habits or self.people.shares
        if change.not_on_whatsapp is not None:
            shares = msgspec.convert({**msgspec.to_builtins(shares), "off": change.not_on_whatsapp}, Shares)
        self.people.shares = shares

    def _templates_named(self, change: TemplateChange) -> list[Template]:
        return [
            template
            for template in self.templates
            if template.name == change.name and change.language in {None, template.language}
        ]


def _shares(settings: SimulatorSettings) -> Shares:
    """The shares of all habits; `not_on_whatsapp` is one of them by another name."""
    try:
        return msgspec.convert(
            {**msgspec.to_builtins(settings.habits), "off": settings.habits.off + settings.not_on_whatsapp}, Shares
        )
    except msgspec.ValidationError as error:
        raise CannotStart(f"not-on-whatsapp and habits: {error}") from error


def _templates_of(settings: SimulatorSettings) -> TemplateBook:
    nodes = builtin_nodes()
    try:
        if settings.templates is not None:
            nodes += read_nodes(settings.templates)
        return TemplateBook(nodes)
    except (OSError, msgspec.DecodeError) as error:
        raise CannotStart(f"cannot read the templates in {settings.templates}: {error}") from error
    except Refusal as refusal:
        raise CannotStart(f"a template in {settings.templates} is malformed: {refusal.details}") from refusal
