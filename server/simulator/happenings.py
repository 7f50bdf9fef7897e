"""Everything that happens after a message was accepted, put together: its life, what people say, who is told."""

import asyncio

from server.simulator.account import Account
from server.simulator.contents import Contents
from server.simulator.ledger import Ledger
from server.simulator.life import Life
from server.simulator.message_ids import MessageIds
from server.simulator.settings import SimulatorSettings
from server.simulator.template_health import TemplateHealth
from server.simulator.usage import Usage
from server.simulator.voices import Voices
from server.simulator.waits import Waits
from server.simulator.webhooks import Webhooks
from server.simulator.world import World


class Happenings:
    """One for each simulator."""

    def __init__(
        self, settings: SimulatorSettings, loop: asyncio.AbstractEventLoop, world: World, ledger: Ledger, waits: Waits
    ) -> None:
        self._settings = settings
        self.ids = MessageIds()
        self.contents = Contents(world)
        self.webhooks = Webhooks(world, ledger, waits, settings.callbacks, settings.webhooks)
        self.voices = Voices(world, self.webhooks, self.ids)
        self.life = Life(loop, world, ledger, self.webhooks, self.voices, self.contents)
        self.templates = TemplateHealth(loop, world, ledger, self.webhooks, self.life)
        self.life.blocked = self.templates.blocked
        self.account = Account(loop, world, ledger, self.webhooks)
        self.usage = Usage(world)

    @property
    def idle(self) -> bool:
        """Whether nothing is still to happen, and everything that happened was brought to who wants to know."""
        return not self.life.waiting and self.webhooks.idle

    def reset(self) -> None:
        """Everything as at the start, the callbacks included."""
        self.life.forget()
        self.voices.forget()
        self.contents.forget()
        self.templates.forget()
        self.account.forget()
        self.usage.forget()
        self.webhooks.call_back(())
        self.webhooks.manners = self._settings.webhooks
        self.webhooks.call_back(self._settings.callbacks)

    def close(self) -> None:
        """Let nothing more happen."""
        self.life.forget()
        self.templates.forget()
        self.account.forget()
        self.webhooks.close()
