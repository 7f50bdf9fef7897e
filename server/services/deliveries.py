"""Deliveries: what of the outbox is due, who has taken it, and what came of it. The log that a business sees.

A delivery is taken under a lease, so that no two workers send it at once, and what a killed worker had comes back. What
came of it is written for the very attempt that was taken and for no other.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import msgspec
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from server.domain.errors import NotFound, NotNow
from server.domain.sentences import said
from server.domain.webhook_events import PING
from server.models import WebhookDelivery
from server.secrets import Vault
from server.services import webhook_endpoints

# Delivered or not, an event is forgotten after so long.
RETENTION_DAYS: Final = 7
ATTEMPTS_KEPT: Final = 50
_D = WebhookDelivery

_DUE = text("""
    /* deliveries.due   Which endpoints have something to be delivered. Cost: one look-up an endpoint. */
    SELECT e.id FROM webhook_endpoints e
     WHERE e.disabled_at IS NULL AND (e.rest_until IS NULL OR e.rest_until <= now())
       AND EXISTS (SELECT FROM webhook_deliveries d
                    WHERE d.endpoint_id = e.id AND d.next_attempt_at <= now()
                      AND (d.leased_until IS NULL OR d.leased_until <= now()))
     ORDER BY e.id
""")

_ENDPOINT = text("""
    /* deliveries.endpoint */
    SELECT id, business_id, url, secret_encrypted,
           CASE WHEN old_secret_until > clock_timestamp() THEN old_secret_encrypted END AS old_secret_encrypted,
           extract(epoch FROM clock_timestamp() - failing_since)::float8 AS failing_seconds
      FROM webhook_endpoints
     WHERE id = :endpoint_id AND disabled_at IS NULL AND (rest_until IS NULL OR rest_until <= now())
""")

_TAKE = text("""
    /* deliveries.take
       Lock: the deliveries; what another worker is taking is skipped. Of what is due, by `now()` so that the index
       ends the search: a million that wait for another attempt are not looked at. */
    WITH due AS (
        SELECT d.id FROM webhook_deliveries d
         WHERE d.endpoint_id = :endpoint_id AND d.next_attempt_at <= now()
           AND (d.leased_until IS NULL OR d.leased_until <= now())
         ORDER BY d.next_attempt_at, d.id LIMIT :most FOR UPDATE SKIP LOCKED
    )
    UPDATE webhook_deliveries d
       SET leased_until = clock_timestamp() + :seconds * interval '1 second', attempt_count = d.attempt_count + 1,
           trying_since = coalesce(d.trying_since, clock_timestamp())
      FROM due WHERE d.id = due.id
    RETURNING d.id, d.event, d.message_id, d.data::text AS data, d.created_at, d.attempt_count,
              extract(epoch FROM clock_timestamp() - d.trying_since)::float8 AS trying_seconds
""")

_RECORD = text("""
    /* deliveries.record   Only what this worker still has: the attempt that it took. */
    UPDATE webhook_deliveries d
       SET status = o.status, leased_until = NULL, attempt_count = d.attempt_count - o.unused,
           next_attempt_at = CASE WHEN o.status = 'pending'
                                  THEN clock_timestamp() + o.retry_in_seconds * interval '1 second' END,
           delivered_at = CASE WHEN o.status = 'delivered' THEN clock_timestamp() ELSE d.delivered_at END,
           attempts = CASE WHEN o.entry IS NULL THEN d.attempts
                           WHEN jsonb_array_length(d.attempts) < :most THEN d.attempts || o.entry
                           ELSE (d.attempts - 0) || o.entry END
      FROM jsonb_to_recordset(CAST(:results AS jsonb))
           AS o (id bigint, number int, status text, retry_in_seconds float8, unused int, entry jsonb)
     WHERE d.id = o.id AND d.attempt_count = o.number AND d.leased_until IS NOT NULL
""")

_TAKES_IT = text("""
    /* deliveries.takes_it   A success ends a time of failures. Written where it ends one. */
    UPDATE webhook_endpoints SET failing_since = NULL, rest_until = NULL
     WHERE id = :endpoint_id AND failing_since IS NOT NULL
""")

_FAILS = text("""
    /* deliveries.fails   The first failure begins a time of failures. */
    UPDATE webhook_endpoints SET failing_since = coalesce(failing_since, clock_timestamp()),
           rest_until = clock_timestamp() + :seconds * interval '1 second'
     WHERE id = :endpoint_id
""")

_WAKE = text("/* deliveries.wake */ UPDATE webhook_endpoints SET rest_until = NULL WHERE id = :endpoint_id")

_DISABLE = text("""
    /* deliveries.disable */
    UPDATE webhook_endpoints SET disabled_at = clock_timestamp(), disabled_reason = :reason
     WHERE id = :endpoint_id AND disabled_at IS NULL RETURNING business_id
""")

_AGAIN = text("""
    /* deliveries.again   As new, and before whatever else is due; what is on its way at this moment is on its way. */
    UPDATE webhook_deliveries
       SET status = 'pending', next_attempt_at = now() - :days * interval '1 day', trying_since = NULL
     WHERE id = :delivery_id
""")

_PING = text("""
    /* deliveries.ping   Before whatever else is due: somebody is watching. */
    INSERT INTO webhook_deliveries (business_id, endpoint_id, event, data, next_attempt_at)
    VALUES (:business_id, :endpoint_id, :event, CAST(:data AS json), now() - :days * interval '1 day') RETURNING id
""")

_FORGET = text("""
    /* deliveries.forget   Cost: the oldest five thousand are looked at, by their key. */
    WITH oldest AS (SELECT id, created_at FROM webhook_deliveries ORDER BY id LIMIT 5000)
    DELETE FROM webhook_deliveries WHERE id IN (
        SELECT id FROM oldest WHERE created_at < clock_timestamp() - :days * interval '1 day')
""")

_FORGET_ENDPOINTS = text("""
    /* deliveries.forget_endpoints   Of those that were removed, when their log is gone too. */
    DELETE FROM webhook_endpoints e
     WHERE e.removed_at < clock_timestamp() - :days * interval '1 day'
       AND NOT EXISTS (SELECT FROM webhook_deliveries d WHERE d.endpoint_id = e.id)
""")


class Receiver(NamedTuple):
    """An endpoint as it is at this moment. failing_seconds: since its first failure after its last success."""

    id: int
    business_id: int
    url: str
    secrets: tuple[str, ...]
    failing_seconds: float | None


class Taken(NamedTuple):
    """A delivery under our lease. number: of the attempt. trying_seconds: since the first one. data: JSON."""

    id: int
    event: str
    message_id: str
    data: str
    created_at: datetime
    number: int
    trying_seconds: float


class Result(msgspec.Struct, frozen=True):
    """What came of an attempt. unused: 1 where it was not made after all. entry: for the log."""

    id: int
    number: int
    status: str
    retry_in_seconds: float | None = None
    unused: int = 0
    entry: dict[str, Any] | None = None


async def due_endpoints(connection: AsyncConnection) -> list[int]:
    """The endpoints for which something is due and nobody is at it."""
    return list(await connection.scalars(_DUE))


async def receiver(connection: AsyncConnection, vault: Vault, endpoint_id: int) -> Receiver | None:
    """An endpoint with what signs for it; None where it is disabled. Raises `BadInput`: unreadable."""
    row = (await connection.execute(_ENDPOINT, {"endpoint_id": endpoint_id})).one_or_none()
    if row is None:
        return None
    stored = (row.secret_encrypted, row.old_secret_encrypted)
    secrets = tuple(vault.decrypt(secret) for secret in stored if secret is not None)
    return Receiver(row.id, row.business_id, row.url, secrets, row.failing_seconds)


async def take(connection: AsyncConnection, endpoint_id: int, most: int, seconds: float) -> list[Taken]:
    """Take what is due for an endpoint under a lease of so many seconds, the longest due first, at most so many."""
    values = {"endpoint_id": endpoint_id, "most": most, "seconds": seconds}
    return sorted((Taken(*row) for row in await connection.execute(_TAKE, values)), key=lambda taken: taken.id)


async def record(connection: AsyncConnection, results: Sequence[Result]) -> None:
    """Write down what came of attempts, for those that are still ours."""
    encoded = msgspec.json.encode(results).decode()
    await connection.execute(_RECORD, {"results": encoded, "most": ATTEMPTS_KEPT})


async def takes_it(connection: AsyncConnection, endpoint_id: int) -> None:
    """Note that an endpoint takes what it is sent."""
    await connection.execute(_TAKES_IT, {"endpoint_id": endpoint_id})


async def fails(connection: AsyncConnection, endpoint_id: int, rest_seconds: float) -> None:
    """Note that an endpoint fails, and leave it alone for so long."""
    await connection.execute(_FAILS, {"endpoint_id": endpoint_id, "seconds": rest_seconds})


async def disable(connection: AsyncConnection, endpoint_id: int, reason: str) -> bool:
    """Send it nothing more, until a person enables it. False: it is disabled already."""
    return await connection.scalar(_DISABLE, {"endpoint_id": endpoint_id, "reason": reason}) is not None


async def ping(connection: AsyncConnection, business_id: int, endpoint_id: int) -> int:
    """Have a test sent to an endpoint, whatever it wants to be told of. Returns the id of the delivery.

    Raises `NotFound`, or `NotNow` where the endpoint is disabled.
    """
    await _refuse_disabled(connection, business_id, endpoint_id)
    data = msgspec.json.encode({"webhook_id": endpoint_id}).decode()
    values = {"business_id": business_id, "endpoint_id": endpoint_id, "event": PING, "data": data}
    await connection.execute(_WAKE, {"endpoint_id": endpoint_id})
    return int(await connection.scalar(_PING, {**values, "days": RETENTION_DAYS}) or 0)


async def redeliver(connection: AsyncConnection, business_id: int, endpoint_id: int, delivery_id: int) -> None:
    """Have an event delivered once more, now, under the same id, and with another 24 hours to try.

    Raises `NotFound`, or `NotNow` where the endpoint is disabled.
    """
    await show(connection, business_id, endpoint_id, delivery_id)
    await _refuse_disabled(connection, business_id, endpoint_id)
    await connection.execute(_WAKE, {"endpoint_id": endpoint_id})
    await connection.execute(_AGAIN, {"delivery_id": delivery_id, "days": RETENTION_DAYS})


async def _refuse_disabled(connection: AsyncConnection, business_id: int, endpoint_id: int) -> None:
    shown = await webhook_endpoints.show(connection, business_id, endpoint_id)
    if not shown["enabled"]:
        raise NotNow(said("This webhook is disabled: %(why)s Enable it first.", why=shown["disabled_reason"]))


async def page(
    connection: AsyncConnection, endpoint_id: int, *, status: str | None, before_id: int | None, limit: int
) -> list[dict[str, Any]]:
    """At most `limit` deliveries of an endpoint, the newest first, without what they say."""
    columns = (_D.id, _D.event, _D.message_id, _D.status, _D.attempt_count, _D.created_at, _D.next_attempt_at)
    statement = select(*columns, _D.delivered_at).where(_D.endpoint_id == endpoint_id)
    if status is not None:
        statement = statement.where(_D.status == status)
    if before_id is not None:
        statement = statement.where(_D.id < before_id)
    rows = await connection.execute(statement.order_by(_D.id.desc()).limit(limit))
    return [dict(row) for row in rows.mappings()]


async def show(connection: AsyncConnection, business_id: int, endpoint_id: int, delivery_id: int) -> dict[str, Any]:
    """One delivery with what it says and what came of each attempt. Raises `NotFound`."""
    await webhook_endpoints.show(connection, business_id, endpoint_id)
    columns = (_D.id, _D.event, _D.message_id, _D.status, _D.attempt_count, _D.created_at, _D.next_attempt_at)
    statement = select(*columns, _D.delivered_at, _D.data, _D.attempts).where(
        _D.id == delivery_id, _D.endpoint_id == endpoint_id, _D.business_id == business_id
    )
    row = (await connection.execute(statement)).mappings().one_or_none()
    if row is None:
        raise NotFound(
            said("There is no delivery %(number)s of webhook %(webhook)s.", number=delivery_id, webhook=endpoint_id)
        )
    shown = dict(row)
    shown["body"] = {"type": row["event"], "timestamp": instant(row["created_at"]), "data": shown.pop("data")}
    return shown


async def forget(connection: AsyncConnection) -> None:
    """Delete what is past its retention."""
    await connection.execute(_FORGET, {"days": RETENTION_DAYS})
    await connection.execute(_FORGET_ENDPOINTS, {"days": RETENTION_DAYS})


def body_of(taken: Taken) -> bytes:
    """What is sent: the same bytes at every attempt."""
    said = {"type": taken.event, "timestamp": instant(taken.created_at), "data": msgspec.Raw(taken.data.encode())}
    return msgspec.json.encode(said)


def instant(at: datetime) -> str:
    """RFC 3339, in UTC."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")
