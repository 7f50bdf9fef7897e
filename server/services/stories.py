"""One person's story: every attempt with what was asked and answered, every webhook about them, in order.

The order is that in which Clarion learned of things; what WhatsApp gives as its own time (whole seconds) stands beside
it. What was asked is not kept: it is built again from the message and the person's values, by the code that built it
then, and says so. Secrets are in none of it: the token of a number is only ever in a request's headers.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from sqlalchemy import Row, TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection

from server.domain.callbacks import write_callback
from server.domain.errors import BadInput, NotFound
from server.domain.messages import MessagePlan, plan_template, plan_text
from server.domain.states import RecipientStatus
from server.services import channels, templates
from server.services.recipients import SHOWN

# Of each kind of thing; a person whom more happened to is a machine.
MOST: Final = 500

_PERSON: Final = text("""
    /* stories.person */
    SELECT r.id, r.phone, r.status, r.attempts, r.message_id, r.error_code, r.error_message, r.variables, r.sent_at,
           r.delivered_at, r.read_at, r.failed_at, r.claim_number, r.claimed_at, r.heard_at,
           b.business_id, b.channel_id, b.message
      FROM whatsapp_broadcast_recipients r JOIN whatsapp_broadcasts b ON b.id = r.broadcast_id
     WHERE r.broadcast_id = :broadcast_id AND r.id = :recipient_id
""")

_ATTEMPTS: Final = text("""
    /* stories.attempts */
    SELECT claim_number, claimed_at, ended_at, outcome, is_counted, message_id, error_code, error_message
      FROM send_attempts WHERE broadcast_id = :broadcast_id AND recipient_id = :recipient_id
     ORDER BY claim_number LIMIT :most
""")

_STATUSES: Final = text("""
    /* stories.statuses */
    SELECT received_at, at, status, message_id, raw
      FROM message_statuses WHERE broadcast_id = :broadcast_id AND recipient_id = :recipient_id
     ORDER BY received_at, at LIMIT :most
""")

_REPLIES: Final = text("""
    /* stories.replies */
    SELECT received_at, at, kind AS type, body, message_id, raw
      FROM inbound_messages WHERE broadcast_id = :broadcast_id AND recipient_id = :recipient_id ORDER BY id LIMIT :most
""")

_CONSENTS: Final = text("""
    /* stories.consents */
    SELECT recorded_at, at, wish, source, proof FROM consent_changes
     WHERE business_id = :business_id AND phone = :phone ORDER BY id LIMIT :most
""")

_HISTORY: Final = text("""
    /* stories.history   What happened to the broadcast as a whole, and to this person; not each run of its worker. */
    SELECT at, actor, move, from_status, to_status, reason, detail, recipient_id FROM broadcast_events
     WHERE broadcast_id = :broadcast_id
       AND (recipient_id = :recipient_id OR recipient_id IS NULL AND move NOT IN ('run', 'yield'))
     ORDER BY id LIMIT :most
""")

_KINDS: Final = ("history", "attempt", "status", "reply", "consent")
_MOST_BRACKETS: Final = 200
_WORDS: Final = ("sent", "delivered", "read", "failed")


class _Asked(NamedTuple):
    """How the request to a person is built again; or why it cannot be."""

    path: str | None
    plan: MessagePlan | None
    problem: str | None = None


async def tell(
    connection: AsyncConnection, broadcast_id: int, recipient_id: int, *, api_version: str
) -> dict[str, Any]:
    """The story of one recipient: `recipient`, as a list of recipients shows them, and `entries`. Raises `NotFound`."""
    which = {"broadcast_id": broadcast_id, "recipient_id": recipient_id, "most": MOST}
    person = (await connection.execute(_PERSON, which)).one_or_none()
    if person is None:
        raise NotFound("This person is not in the broadcast.")
    which |= {"business_id": person.business_id, "phone": person.phone}
    asked = await _asked(connection, person, api_version)

    async def rows(statement: TextClause) -> list[dict[str, Any]]:
        return [dict(row) for row in (await connection.execute(statement, which)).mappings()]

    kept = (await connection.execute(_ATTEMPTS, which)).all()
    entries = [
        *_attempts(broadcast_id, person, kept, asked),
        *map(_status, await rows(_STATUSES)),
        *map(_reply, await rows(_REPLIES)),
        *map(_consent, await rows(_CONSENTS)),
        *map(_history, await rows(_HISTORY)),
    ]
    shown = {name: getattr(person, name) for name in SHOWN}
    return {"broadcast_id": broadcast_id, "recipient": shown, "entries": sorted(entries, key=_in_order)}


def _in_order(entry: Mapping[str, Any]) -> tuple[datetime, int, datetime, int]:
    """What came in one webhook has one instant of ours, and then goes by WhatsApp's own, and by what follows what."""
    word = entry.get("status", "")
    rank = _WORDS.index(word) if word in _WORDS else len(_WORDS)
    return entry["at"], _KINDS.index(entry["kind"]), entry.get("said_at", entry["at"]), rank


async def _asked(connection: AsyncConnection, person: Row[Any], api_version: str) -> _Asked:
    try:
        channel_id = await channels.choose(connection, person.business_id, person.channel_id)
        number = await channels.number_of(connection, channel_id)
        path = f"/{api_version}/{number.phone_number_id}/messages"
        if "text" in person.message:
            return _Asked(path, plan_text(person.message))
        # Whatever WhatsApp thinks of the template by now: it was asked then.
        template = await templates.find(connection, person.business_id, number.waba_id, person.message)
        return _Asked(path, plan_template(person.message, template.components, template.parameter_format))
    except BadInput as error:
        return _Asked(None, None, str(error))


def _attempts(broadcast_id: int, person: Row[Any], kept: Sequence[Row[Any]], asked: _Asked) -> Iterator[dict[str, Any]]:
    for row in kept:
        yield {
            "kind": "attempt",
            "at": row.claimed_at or row.ended_at,
            "claim_number": row.claim_number,
            "outcome": row.outcome,
            "answered_at": row.ended_at,
            "is_counted": row.is_counted,
            "message_id": row.message_id,
            "error_code": row.error_code,
            "error_message": row.error_message,
            **_rendered(broadcast_id, person, row.claim_number, asked),
        }
    outcome = _outcome_of_the_last(person, kept)
    if outcome is not None:
        yield {
            "kind": "attempt",
            "at": person.claimed_at,
            "claim_number": person.claim_number,
            "outcome": outcome,
            "answered_at": person.sent_at or person.heard_at,
            "is_counted": True,
            "message_id": person.message_id,
            "error_code": None,
            "error_message": None,
            **_rendered(broadcast_id, person, person.claim_number, asked),
        }


def _outcome_of_the_last(person: Row[Any], kept: Sequence[Row[Any]]) -> str | None:
    """What the row alone knows of an attempt: accepted, or still under way; None where all of them are kept."""
    counted = sum(row.is_counted for row in kept)
    if person.claimed_at is None or person.attempts <= counted:
        return None
    if person.status == RecipientStatus.SENDING:
        return "under_way"
    return "accepted" if person.message_id is not None else None


def _rendered(broadcast_id: int, person: Row[Any], claim_number: int, asked: _Asked) -> dict[str, Any]:
    if asked.plan is None:
        return {"asked": None, "not_rendered_because": asked.problem}
    body = asked.plan.render(person.phone, person.variables, write_callback(broadcast_id, person.id, claim_number))
    request = {"rendered_now": True, "method": "POST", "path": asked.path, "body": json.loads(body)}
    return {"asked": request, "not_rendered_because": None}


def _status(row: Mapping[str, Any]) -> dict[str, Any]:
    said = {name: row[name] for name in ("status", "message_id")}
    return {"kind": "status", "at": row["received_at"], "said_at": row["at"], **said, "webhook": _raw(row["raw"])}


def _reply(row: Mapping[str, Any]) -> dict[str, Any]:
    said = {name: row[name] for name in ("type", "body", "message_id")}
    return {"kind": "reply", "at": row["received_at"], "said_at": row["at"], **said, "webhook": _raw(row["raw"])}


def _consent(row: Mapping[str, Any]) -> dict[str, Any]:
    said = {name: row[name] for name in ("wish", "source", "proof")}
    return {"kind": "consent", "at": row["recorded_at"], "said_at": row["at"], **said}


def _history(row: Mapping[str, Any]) -> dict[str, Any]:
    said = {name: row[name] for name in ("actor", "move", "from_status", "to_status", "reason", "detail")}
    return {"kind": "history", "at": row["at"], "is_about_them": row["recipient_id"] is not None, **said}


def _raw(webhook: str) -> Any:
    """A part of a webhook as it came; what no JSON of ours can give back stays the text that it is."""
    if webhook.count("{") + webhook.count("[") > _MOST_BRACKETS:
        return webhook  # it may be nested deeper than an answer can be
    try:
        found = json.loads(webhook)
        json.dumps(found, ensure_ascii=False, allow_nan=False).encode()
    except ValueError:
        return webhook  # no JSON at all, a number without bounds, half of a character
    return found
