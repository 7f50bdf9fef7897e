"""What befalls templates, numbers and the account by order: now, and told by webhook like what comes by itself."""

from enum import StrEnum, auto
from typing import Annotated, Any, assert_never

import msgspec

from server.simulator import notices
from server.simulator.happenings import Happenings
from server.simulator.templates import Template
from server.simulator.webhook_body import Notice
from server.simulator.world import World


class TemplateDeed(StrEnum):
    """What can befall a template."""

    PAUSE = auto()
    UNPAUSE = auto()
    DISABLE = auto()
    RELEASE = auto()
    DROP = auto()
    QUALITY = auto()


class TemplateOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of `POST /_sim/templates`."""

    name: str
    do: TemplateDeed
    language: str | None = None
    """None: every language it has."""
    score: str = "GREEN"
    """What `quality` makes of it: GREEN, YELLOW or RED, which pauses it."""


class AccountDeed(StrEnum):
    """What can befall the account."""

    RESTRICT = auto()
    DISABLE = auto()
    REINSTATE = auto()
    ALERT = auto()
    LIMIT = auto()


class AccountOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of `POST /_sim/account`."""

    do: AccountDeed
    hours: Annotated[float, msgspec.Meta(gt=0)] = 24.0
    """How long `restrict` lasts, by Meta's clock."""
    tier: str = "TIER_UNLIMITED"
    """What `limit` allows from now on."""
    alert_type: str = notices.ALERTS[0]


class NumberDeed(StrEnum):
    """What can befall a number."""

    UPGRADE = auto()


class NumberOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of `POST /_sim/numbers/{id}`."""

    do: NumberDeed
    maintenance_seconds: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    """How long it cannot send before (131057), by Meta's clock."""


class Telling(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of `POST /_sim/tell`."""

    field: str
    value: dict[str, Any]
    phone_number_id: str | None = None
    """The number it is about, whose metadata then comes with it."""


class Orders:
    """Carries out what is ordered. One for each simulator."""

    def __init__(self, world: World, happenings: Happenings) -> None:
        self._world = world
        self._happenings = happenings

    def carry_out(self, path: list[str], body: bytes) -> dict[str, Any]:
        """Do it now. LookupError where there is nothing of that name, ValueError where it cannot be."""
        match path:
            case ["templates"]:
                return {"messages": self._on_templates(msgspec.json.decode(body, type=TemplateOrder))}
            case ["account"]:
                self._on_account(msgspec.json.decode(body, type=AccountOrder))
            case ["numbers", number_id] if number_id in self._world.numbers:
                order = msgspec.json.decode(body, type=NumberOrder)
                self._happenings.account.upgrade(self._world.numbers[number_id], order.maintenance_seconds)
            case ["tell"]:
                telling = msgspec.json.decode(body, type=Telling)
                wanted = telling.phone_number_id
                about = None if wanted is None else self._world.number(wanted).id
                notice = Notice(telling.field, telling.value, about)
                self._happenings.webhooks.tell(notice)
            case _:
                raise LookupError
        return {}

    def _on_templates(self, order: TemplateOrder) -> int:
        """Returns how many held messages were released or dropped."""
        named = self._happenings.templates.named(order.name, order.language)
        return sum(self._on_template(one, order) for one in named)

    def _on_template(self, template: Template, order: TemplateOrder) -> int:
        health = self._happenings.templates
        match order.do:
            case TemplateDeed.RELEASE:
                return health.release(template)
            case TemplateDeed.DROP:
                return health.drop(template)
            case TemplateDeed.PAUSE:
                health.pause(template)
            case TemplateDeed.UNPAUSE:
                health.unpause(template)
            case TemplateDeed.DISABLE:
                health.disable(template)
            case TemplateDeed.QUALITY:
                health.rate(template, order.score)
            case _:
                assert_never(order.do)
        return 0

    def _on_account(self, order: AccountOrder) -> None:
        account = self._happenings.account
        match order.do:
            case AccountDeed.RESTRICT:
                account.restrict(order.hours * 3600)
            case AccountDeed.DISABLE:
                account.disable()
            case AccountDeed.REINSTATE:
                account.reinstate()
            case AccountDeed.LIMIT:
                account.allow(order.tier)
            case AccountDeed.ALERT:
                self._happenings.webhooks.tell(notices.alert(order.alert_type))
            case _:
                assert_never(order.do)
