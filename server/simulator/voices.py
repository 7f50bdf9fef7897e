"""What people say: texts, taps on buttons, and what they choose in WhatsApp's own menu, each told by webhook."""

import time
from collections import deque
from typing import Any, Final

import msgspec

from server.simulator.contents import ButtonSeen
from server.simulator.faces import name_of, user_id_of
from server.simulator.ledger import Accepted
from server.simulator.message_ids import MessageIds
from server.simulator.webhook_body import Notice
from server.simulator.webhooks import Webhooks
from server.simulator.world import World

KEPT_VOICES: Final = 100_000


class Said(msgspec.Struct, gc=False):
    """One thing that a person said. `n` counts from 1."""

    n: int
    wa_id: str
    message_id: str | None
    """None for a choice in WhatsApp's own menu, which is no message."""
    phone_number_id: str
    type: str
    text: str
    payload: str | None
    context_id: str | None
    """The message that it answers, as the webhook has it."""
    unix_seconds: float
    notice: Notice

    def shown(self) -> dict[str, Any]:
        """As the control API shows it."""
        fields = {name: getattr(self, name) for name in self.__struct_fields__ if name != "notice"}
        return {**fields, "acknowledged": self.notice.acknowledged}


class Voices:
    """Speaks for everybody, and keeps the last that was said."""

    def __init__(self, world: World, webhooks: Webhooks, ids: MessageIds) -> None:
        self._world = world
        self._webhooks = webhooks
        self._ids = ids
        self.said: deque[Said] = deque(maxlen=KEPT_VOICES)
        self.count = 0

    def forget(self) -> None:
        """As if nobody ever said anything."""
        self.said.clear()
        self.count = 0

    def write(
        self, wa_id: str, number_id: str, text: str, *, context_id: str | None = None, hidden: bool = False
    ) -> Said:
        """The person writes a text. hidden: the webhook knows a user id and no phone number."""
        return self._message(wa_id, number_id, {"type": "text", "text": {"body": text}}, text, context_id, hidden)

    def tap(self, answered: Accepted, button: ButtonSeen, *, with_context: bool = True, hidden: bool = False) -> Said:
        """The person taps a button of a message. A tap may come without the context that names the message."""
        payload = button.payload or button.text
        content: dict[str, Any]
        if button.kind == "reply":
            reply = {"type": "button_reply", "button_reply": {"id": payload, "title": button.text}}
            content = {"type": "interactive", "interactive": reply}
        else:
            content = {"type": "button", "button": {"payload": payload, "text": button.text}}
        context_id = answered.message_id if with_context else None
        return self._message(
            answered.wa_id, answered.phone_number_id, content, button.text, context_id, hidden, payload
        )

    def choose(self, wa_id: str, number_id: str, value: str) -> Said:
        """The person stops marketing from the business, or resumes it, in WhatsApp's own menu."""
        if value == "stop":
            self._world.people.left.add(wa_id)
        else:
            self._world.people.left.discard(wa_id)
        who = self._who(wa_id, hidden=False)
        preference = {
            **who,
            "detail": f"User requested to {value} marketing messages",
            "category": "marketing_messages",
            "value": value,
            "timestamp": int(time.time()),
        }
        return self._tell(
            "user_preferences",
            {"contacts": [who], "user_preferences": [preference]},
            wa_id,
            number_id,
            type="user_preferences",
            text=value,
        )

    def _message(
        self,
        wa_id: str,
        number_id: str,
        content: dict[str, Any],
        text: str,
        context_id: str | None,
        hidden: bool,
        payload: str | None = None,
    ) -> Said:
        message_id = self._ids.next_for(wa_id)
        self._world.people.wrote(wa_id, time.time())
        who = self._who(wa_id, hidden=hidden)
        contact = {**who, "profile": {"name": name_of(wa_id), **({"username": f"u{wa_id[-7:]}"} if hidden else {})}}
        message: dict[str, Any] = {"id": message_id, "timestamp": str(int(time.time())), **content}
        message["from_user_id"] = user_id_of(wa_id)
        if "wa_id" in who:
            message["from"] = wa_id
        if context_id is not None:
            message["context"] = {"from": self._world.number(number_id).digits, "id": context_id}
        return self._tell(
            "messages",
            {"contacts": [contact], "messages": [message]},
            wa_id,
            number_id,
            message_id=message_id,
            type=content["type"],
            text=text,
            payload=payload,
            context_id=context_id,
        )

    def _who(self, wa_id: str, *, hidden: bool) -> dict[str, str]:
        user_id = user_id_of(wa_id)
        self._world.people.known_as(user_id, wa_id)
        if hidden or wa_id is user_id:
            return {"user_id": user_id}
        return {"wa_id": wa_id, "user_id": user_id}

    def _tell(self, field: str, value: dict[str, Any], wa_id: str, number_id: str, **said: Any) -> Said:
        notice = Notice(field, value, number_id)
        self.count += 1
        nothing = {"message_id": None, "payload": None, "context_id": None}
        one = Said(
            n=self.count,
            wa_id=wa_id,
            phone_number_id=number_id,
            unix_seconds=time.time(),
            notice=notice,
            **{**nothing, **said},
        )
        self.said.append(one)
        self._webhooks.tell(notice)
        return one
