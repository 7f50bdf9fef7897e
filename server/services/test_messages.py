"""The real message of a broadcast to a few phones of one's own, before everybody gets it.

It is marked as a test, counts nowhere and moves nothing of the broadcast. The rows are committed before a request
leaves, as everywhere; whoever's answer did not come stays `unknown`, and is not sent to again by itself.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, assert_never

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from server.domain.errors import BadInput, Problem
from server.domain.meanings import explain
from server.domain.messages import MessagePlan
from server.domain.outcomes import Accepted, Ambiguous, NeverLeft, Outcome, Refused
from server.domain.phones import normalise
from server.domain.sentences import said
from server.providers.whatsapp import WhatsAppClient
from server.secrets import Vault
from server.services import channels, templates
from server.services.channels import Sender

_MESSAGE = text("""
    /* test_messages.message */
    SELECT business_id, channel_id, message, default_country FROM whatsapp_broadcasts WHERE id = :broadcast_id
""")

_VARIABLES = text("""
    /* test_messages.variables   Their own where they are on the list, else those of the first who is. */
    SELECT w.phone,
           coalesce(own.variables, (SELECT variables FROM whatsapp_broadcast_recipients
                                     WHERE broadcast_id = :broadcast_id ORDER BY id LIMIT 1), '{}') AS variables,
           EXISTS (SELECT FROM suppressions s WHERE s.business_id = :business_id AND s.phone = w.phone) AS opted_out
      FROM unnest(CAST(:phones AS text[])) WITH ORDINALITY AS w (phone, place)
      LEFT JOIN whatsapp_broadcast_recipients own ON own.broadcast_id = :broadcast_id AND own.phone = w.phone
     ORDER BY w.place
""")

_ASK = text("""
    /* test_messages.ask */
    INSERT INTO test_messages (business_id, broadcast_id, channel_id, phone, status, error_message)
    VALUES (:business_id, :broadcast_id, :channel_id, :phone, :status, :error_message) RETURNING id
""")

_ANSWER = text("""
    /* test_messages.answer */
    UPDATE test_messages
       SET status = :status, message_id = :message_id, error_code = :error_code, error_message = :error_message
     WHERE id = :id
""")

# A test is over within the time-outs of one request: who is `sending` after this had a process that died.
_SHOW = text("""
    /* test_messages.show   What WhatsApp reported afterwards stands with the other statuses. */
    SELECT t.id, t.phone, t.message_id, t.error_code, t.error_message, t.sent_at, said.status AS said, said.raw,
           CASE WHEN t.status = 'sending' AND t.sent_at < clock_timestamp() - interval '2 minutes'
                THEN 'unknown' ELSE t.status END AS status
      FROM test_messages t
      LEFT JOIN LATERAL (
           SELECT s.status, s.raw FROM message_statuses s
            WHERE s.message_id = t.message_id AND s.channel_id = t.channel_id
              AND s.status IN ('delivered', 'read', 'failed')
            ORDER BY array_position(ARRAY['delivered', 'read', 'failed'], s.status) DESC LIMIT 1) said ON true
     WHERE t.broadcast_id = :broadcast_id AND t.id > :after_id
       AND (CAST(:ids AS bigint[]) IS NULL OR t.id = ANY(:ids))
     ORDER BY t.id LIMIT :limit
""")


class _Error(msgspec.Struct):
    code: int | None = None
    title: str | None = None


class _Status(msgspec.Struct):
    """What a status webhook says of a failure."""

    errors: list[_Error] = []


_read_status = msgspec.json.Decoder(_Status, strict=False).decode


@dataclass(frozen=True, slots=True)
class TestSend:
    """What is about to be sent, its rows committed.

    ids: every row, of those too who opted out. messages: the row's id and the body of each request.
    """

    __test__ = False  # for pytest: this is no test of ours

    sender: Sender
    ids: tuple[int, ...]
    messages: tuple[tuple[int, bytes], ...]


async def prepare(
    connection: AsyncConnection,
    vault: Vault,
    broadcast_id: int,
    phones: Sequence[str],
    variables: Mapping[str, str] | None,
) -> TestSend:
    """Write down who gets the message, in the caller's transaction, which is committed before `send`.

    variables: for all of them; None takes each person's own from the list, or else those of its first.
    Raises `BadInput` where a phone is none, or the message cannot be built.
    """
    row = (await connection.execute(_MESSAGE, {"broadcast_id": broadcast_id})).one()
    wanted = _normalised(phones, row.default_country)
    channel_id = await channels.choose(connection, row.business_id, row.channel_id)
    sender = await channels.sender(connection, vault, channel_id)
    plan = await templates.plan_message(connection, row.business_id, sender.waba_id, row.message)
    which = {"broadcast_id": broadcast_id, "business_id": row.business_id}
    ids, messages = [], []
    for person in (await connection.execute(_VARIABLES, {**which, "phones": wanted})).all():
        values = dict(variables) if variables is not None else person.variables
        _check(plan, values)
        asked = {
            **which,
            "channel_id": channel_id,
            "phone": person.phone,
            "status": "skipped" if person.opted_out else "sending",
            "error_message": "opted out" if person.opted_out else None,
        }
        test_id = int(await connection.scalar(_ASK, asked) or 0)
        ids.append(test_id)
        if not person.opted_out:
            messages.append((test_id, plan.render(person.phone, values, f"b{broadcast_id}:t{test_id}")))
    return TestSend(sender, tuple(ids), tuple(messages))


async def send(client: WhatsAppClient, wanted: TestSend) -> list[dict[str, Any]]:
    """Send, each once. Gives what `record` writes down."""
    sender = wanted.sender
    outcomes = await asyncio.gather(
        *(client.send(sender.phone_number_id, sender.token, body) for _, body in wanted.messages)
    )
    ids = [test_id for test_id, _ in wanted.messages]
    return [{"id": test_id, **_answer_of(outcome)} for test_id, outcome in zip(ids, outcomes, strict=True)]


async def record(connection: AsyncConnection, answers: Sequence[dict[str, Any]]) -> None:
    """Write down what became of each."""
    if answers:
        await connection.execute(_ANSWER, list(answers))


async def page(
    connection: AsyncConnection, broadcast_id: int, *, after_id: int, limit: int, ids: Sequence[int] | None = None
) -> list[dict[str, Any]]:
    """The test messages of a broadcast, the oldest first, with what WhatsApp reported of them. ids: only these."""
    values = {
        "broadcast_id": broadcast_id,
        "after_id": after_id,
        "limit": limit,
        "ids": None if ids is None else list(ids),
    }
    return [_shown(dict(row)) for row in (await connection.execute(_SHOW, values)).mappings()]


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    said, raw = row.pop("said"), row.pop("raw")
    if said is not None:
        row["status"] = said
    if said == "failed":
        row |= _reason_of(raw)
    return row


def _reason_of(raw: str) -> dict[str, Any]:
    try:
        errors = _read_status(raw).errors
    except (msgspec.DecodeError, ValueError, RecursionError):
        return {}  # a shape of Meta's that we do not know: that it failed is known
    return {"error_code": errors[0].code, "error_message": errors[0].title} if errors else {}


def _normalised(phones: Sequence[str], default_country: str | None) -> list[str]:
    found: dict[str, None] = {}
    problems = []
    for place, phone in enumerate(phones):
        try:
            found[normalise(phone, default_country)] = None
        except ValueError as error:
            problems.append(Problem(f"/phones/{place}", str(error)))
    if problems:
        raise BadInput("Not every phone can be sent to.", problems=problems)
    return list(found)


def _check(plan: MessagePlan, values: Mapping[str, str]) -> None:
    problem = plan.problem_with(values)
    if problem is not None:
        raise BadInput(said("The message cannot be built: %(why)s.", why=problem), pointer="/variables")


def _answer_of(outcome: Outcome) -> dict[str, Any]:
    answer: dict[str, Any] = {"message_id": None, "error_code": None, "error_message": None}
    match outcome:
        case Accepted():
            return answer | {"status": "sent", "message_id": outcome.message_id}
        case Refused():
            return answer | {"status": "failed", "error_code": outcome.code, "error_message": explain(outcome)}
        case NeverLeft():
            return answer | {"status": "failed", "error_message": outcome.reason}
        case Ambiguous():
            return answer | {"status": "unknown", "error_message": outcome.reason}
        case _:
            assert_never(outcome)
