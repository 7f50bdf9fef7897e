"""The JSON of webhooks, as Meta sends it.

One POST may carry many updates: an entry holds the changes of messages (for each number those with `contacts` and
those without), and every update of the account itself has an entry of its own, with a `time`.

Statuses are put together as text, because they are all alike and come by the thousand; whatever a client chose is
escaped by msgspec.
"""

import time
from collections.abc import Iterable
from typing import Final

import msgspec

from server.simulator.errors import KINDS
from server.simulator.faces import name_of, user_id_of
from server.simulator.ledger import Accepted, Ledger
from server.simulator.statuses import NAMES, Status, message_in, status_in, time_in
from server.simulator.webhook_manners import PayloadVersion
from server.simulator.world import World

DAY_SECONDS: Final = 86_400
HREF: Final = "https://developers.facebook.com/docs/whatsapp/cloud-api/support/error-codes/"

FAILURE_DETAILS: Final = {
    131026: "Message Undeliverable.",
    131047: "Message failed to send because more than 24 hours have passed since the customer last replied to this "
    "number.",
    131049: "In order to maintain a healthy ecosystem engagement, the message failed to be delivered.",
    131050: "Recipient has chosen to stop receiving marketing messages on WhatsApp from your business.",
    130472: "Failed to send message because this user's phone number is part of an experiment.",
    132015: "Template is paused or its held messages were dropped because of its quality.",
}


class Notice:
    """Anything that is told but the status of a message: what a person wrote, what befell a template or the account."""

    __slots__ = ("acknowledged", "at_unix", "field", "number_id", "value")

    def __init__(self, field: str, value: object, number_id: str | None = None) -> None:
        self.field = field
        self.value = value
        """What the change carries, without the metadata of the number."""
        self.number_id = number_id
        """The number it is about; None where it is about the account."""
        self.at_unix = int(time.time())
        self.acknowledged = False

    def change(self) -> str:
        """The change of an account, complete."""
        return f'{{"field":"{self.field}","value":{_json(self.value)}}}'

    def change_of(self, metadata: str) -> str:
        """The change of a number, complete. `metadata`: who the number is, as JSON members."""
        return f'{{"field":"{self.field}","value":{{{metadata},{_json(self.value)[1:]}}}'


class WebhookBody:
    """Puts updates together for one callback."""

    def __init__(self, world: World, ledger: Ledger, waba_id: str) -> None:
        self._world = world
        self._ledger = ledger
        self._waba_id = waba_id
        self.version = PayloadVersion.V24

    def of(self, updates: Iterable[int | Notice]) -> bytes:
        """The body of one POST with these updates."""
        statuses: dict[str, _Statuses] = {}
        of_numbers: list[str] = []
        entries: list[str] = []
        for update in updates:
            if isinstance(update, int):
                entry = self._ledger.accepted[message_in(update) - 1]
                group = statuses.get(entry.phone_number_id)
                if group is None:
                    group = statuses[entry.phone_number_id] = _Statuses()
                self._add(group, entry, update)
            elif update.number_id is not None:
                of_numbers.append(update.change_of(self._metadata(update.number_id)))
            else:
                entries.append(f'{{"id":"{self._waba_id}","time":{update.at_unix},"changes":[{update.change()}]}}')
        changes = [change for number, group in statuses.items() for change in group.changes(self._metadata(number))]
        if changes or of_numbers:
            entries.insert(0, f'{{"id":"{self._waba_id}","changes":[{",".join(changes + of_numbers)}]}}')
        return f'{{"object":"whatsapp_business_account","entry":[{",".join(entries)}]}}'.encode()

    def _metadata(self, number_id: str) -> str:
        number = self._world.number(number_id)
        return (
            '"messaging_product":"whatsapp","metadata":'
            f'{{"display_phone_number":"{number.digits}","phone_number_id":{_json(number_id)}}}'
        )

    def _add(self, group: "_Statuses", entry: Accepted, packed: int) -> None:
        status = status_in(packed)
        person = entry.wa_id
        user_id = user_id_of(person)
        # A message that was addressed by user id is told without the phone number.
        recipient = f'"recipient_id":"{person}",' if person is not user_id else ""
        opaque = entry.biz_opaque_callback_data
        text = (
            f'{{"id":"{entry.message_id}","status":"{NAMES[status]}","timestamp":"{time_in(packed)}",{recipient}'
            f'"recipient_user_id":{_json(user_id)}{"" if opaque is None else _opaque(opaque)}'
        )
        if status == Status.FAILED:
            code = self._ledger.statuses.codes[entry.n]
            group.failed.append(f"{text},{_errors(code)}}}")
            return
        if person not in group.contacts:
            known_as = f'"wa_id":"{person}",' if recipient else ""
            group.contacts[person] = (
                f'{{{known_as}"user_id":{_json(user_id)},"profile":{{"name":"{name_of(person)}"}}}}'
            )
        group.others.append(f"{text}{self._price(entry, status, packed)}}}")

    def _price(self, entry: Accepted, status: int, packed: int) -> str:
        """`pricing` comes with `sent` and the first of `delivered` and `read`; before v24 beside `conversation`."""
        if status == Status.READ and "delivered" in self._ledger.statuses.produced(entry.n):
            return ""
        category = "service"
        if entry.template is not None and entry.language is not None:
            template = self._world.templates.get(entry.template, entry.language)
            category = template.category.lower() if template is not None else "utility"
        kind = "free_customer_service" if category == "service" else "regular"
        billable = "false" if category == "service" else "true"
        price = f',"pricing":{{"billable":{billable},"pricing_model":"PMP","type":"{kind}","category":"{category}"}}'
        if self.version is PayloadVersion.V24:
            return price
        expires = f'"expiration_timestamp":"{time_in(packed) + DAY_SECONDS}",' if status == Status.SENT else ""
        conversation = f"{entry.n:032x}"
        return f',"conversation":{{"id":"{conversation}",{expires}"origin":{{"type":"{category}"}}}}{price}'


class _Statuses:
    """The statuses of one number in one POST. Those of failed messages carry no contacts and go apart."""

    __slots__ = ("contacts", "failed", "others")

    def __init__(self) -> None:
        self.contacts: dict[str, str] = {}
        self.others: list[str] = []
        self.failed: list[str] = []

    def changes(self, metadata: str) -> Iterable[str]:
        if self.others:
            contacts, statuses = ",".join(self.contacts.values()), ",".join(self.others)
            yield f'{{"field":"messages","value":{{{metadata},"contacts":[{contacts}],"statuses":[{statuses}]}}}}'
        if self.failed:
            yield f'{{"field":"messages","value":{{{metadata},"statuses":[{",".join(self.failed)}]}}}}'


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _opaque(opaque: str) -> str:
    return f',"biz_opaque_callback_data":{_json(opaque)}'


def _errors(code: int) -> str:
    kind = KINDS.get(code)
    title = kind.title if kind is not None else "An error"
    error = {
        "code": code,
        "title": title,
        "message": title,
        "error_data": {"details": FAILURE_DETAILS.get(code, title)},
        "href": HREF,
    }
    return f'"errors":{_json([error])}'
