"""Webhook bodies as Meta sends them, and their signatures."""

import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any

NOON = 1_795_608_000  # 2026-11-25T12:00:00Z


def a_status(message_id: str, status: str = "sent", *, callback: str | None = None, **more: Any) -> dict[str, Any]:
    """One status. callback: the text that the message carried, where the status brings it back."""
    said = {"id": message_id, "status": status, "timestamp": str(NOON), "recipient_id": "972500000001", **more}
    return said if callback is None else {**said, "biz_opaque_callback_data": callback}


def a_failure(message_id: str, code: int, *, callback: str | None = None) -> dict[str, Any]:
    """A `failed`, which has no contacts and may have no recipient."""
    errors = [{"code": code, "title": "…", "message": "…", "error_data": {"details": "as Meta puts it"}}]
    failure = a_status(message_id, "failed", callback=callback, errors=errors)
    del failure["recipient_id"]
    return failure


def a_text(text: str, *, sender: str = "972500000001", message_id: str = "wamid.in", **more: Any) -> dict[str, Any]:
    """A message that a person wrote."""
    return {"from": sender, "id": message_id, "timestamp": str(NOON), "type": "text", "text": {"body": text}, **more}


def a_body(
    phone_number_id: str, *, field: str = "messages", waba_id: str = "102290129340398", **kinds: Any
) -> dict[str, Any]:
    """An envelope with one change of one number: `a_body(number, statuses=[…], messages=[…])`."""
    metadata = {"display_phone_number": "15550783881", "phone_number_id": phone_number_id}
    value = {"messaging_product": "whatsapp", "metadata": metadata, **kinds}
    return an_envelope(field, value, waba_id)


def an_envelope(field: str, value: Mapping[str, Any], waba_id: str = "102290129340398") -> dict[str, Any]:
    """One change, whatever it is."""
    entry = {"id": waba_id, "changes": [{"field": field, "value": value}]}
    return {"object": "whatsapp_business_account", "entry": [entry]}


def signed(body: object, app_secret: str = "secret") -> tuple[bytes, dict[str, str]]:
    """The raw bytes and the header that proves them."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return raw, {"X-Hub-Signature-256": "sha256=" + hmac.new(app_secret.encode(), raw, hashlib.sha256).hexdigest()}
