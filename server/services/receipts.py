"""The receipt of a broadcast: counted set-based in one snapshot, chained to its history, signed (`domain/receipts`).

Cost: a few passes over its recipients and their statuses, some seconds for a million (3.6 s with two statuses each); no
statement of it lasts longer than LONGEST_COUNT_SECONDS. Nothing is locked: a broadcast that runs goes on meanwhile, and
its receipt is not final.
"""

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Final

import psycopg
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from server.domain.errors import DatabaseAway, NotFound
from server.domain.history import break_in, instant
from server.domain.receipts import FORMAT, checks_of, public_text, sign
from server.domain.sentences import said
from server.domain.states import FINAL, RecipientStatus
from server.secrets import Vault
from server.services.events import read_events
from server.services.steward import RETENTION_OF_STATUSES_DAYS
from server.tenancy import Connects

LONGEST_COUNT_SECONDS: Final = 120
_COUNTERS: Final = (
    "total_recipients", "processed_count", "sent_count", "delivered_count", "read_count", "failed_count",
    "cancelled_count", "skipped_count", "unknown_count",
)  # fmt: skip

_BROADCAST = text("""
    /* receipts.broadcast */
    SELECT b.*, c.phone_number_id, b.created_at > clock_timestamp() - :days * interval '1 day' AS is_recent
      FROM whatsapp_broadcasts b LEFT JOIN channels c ON c.id = b.channel_id WHERE b.id = :broadcast_id
""")

_RECIPIENTS = text("""
    /* receipts.recipients
       Why:  each by their status, and whether their own attempts add up: those that are kept beside the row, and one
             more where the last was accepted, or is under way.
       Cost: one pass over the recipients, and one sort of their phones. */
    WITH kept AS (
        SELECT recipient_id, count(*) FILTER (WHERE is_counted) AS counted
          FROM send_attempts WHERE broadcast_id = :broadcast_id GROUP BY recipient_id
    ), people AS (
        SELECT r.id, r.phone, r.status, r.message_id, r.claim_number > 0 AS is_ours,
               CASE WHEN r.claim_number > 0 THEN r.attempts ELSE 0 END AS attempts,
               CASE WHEN r.claim_number > 0 THEN r.attempts ELSE 0 END - coalesce(k.counted, 0) AS more,
               r.status IN ('sent', 'delivered', 'read') AS is_accepted
          FROM whatsapp_broadcast_recipients r LEFT JOIN kept k ON k.recipient_id = r.id
         WHERE r.broadcast_id = :broadcast_id
    )
    SELECT count(*) AS count, count(DISTINCT phone) AS different_phones,
           count(*) FILTER (WHERE status = 'queued') AS queued, count(*) FILTER (WHERE status = 'sending') AS sending,
           count(*) FILTER (WHERE status = 'sent') AS sent, count(*) FILTER (WHERE status = 'delivered') AS delivered,
           count(*) FILTER (WHERE status = 'read') AS read, count(*) FILTER (WHERE status = 'failed') AS failed,
           count(*) FILTER (WHERE status = 'unknown') AS unknown,
           count(*) FILTER (WHERE status = 'cancelled') AS cancelled,
           count(*) FILTER (WHERE status = 'skipped') AS skipped,
           coalesce(sum(attempts), 0)::bigint AS attempts,
           coalesce(sum(more) FILTER (WHERE status <> 'sending'), 0)::bigint AS accepted,
           coalesce(sum(more) FILTER (WHERE status = 'sending'), 0)::bigint AS under_way,
           count(*) FILTER (WHERE is_ours AND NOT CASE WHEN status = 'sending' THEN more = 1
                                                       WHEN is_accepted THEN more IN (0, 1)
                                                       WHEN status = 'failed' AND message_id IS NOT NULL
                                                       THEN more IN (0, 1)
                                                       ELSE more = 0 END) AS unexplained,
           count(*) FILTER (WHERE is_accepted AND message_id IS NOT NULL) AS with_id,
           count(*) FILTER (WHERE is_accepted AND message_id IS NULL AND NOT is_ours) AS without_id_adopted,
           count(*) FILTER (WHERE is_accepted AND NOT is_ours) AS adopted
      FROM people
""")

_SETTLED_BY_HAND = text("""
    /* receipts.settled_by_hand   Accepted by a person's word: WhatsApp never gave an id for it. */
    SELECT count(*) FROM whatsapp_broadcast_recipients r
     WHERE r.broadcast_id = :broadcast_id AND r.status IN ('sent', 'delivered', 'read') AND r.message_id IS NULL
       AND r.claim_number > 0
       AND r.id IN (SELECT recipient_id FROM broadcast_events
                     WHERE broadcast_id = :broadcast_id AND move = 'settle_by_hand' AND recipient_id IS NOT NULL)
""")

_ATTEMPTS = text("""
    /* receipts.attempts   Those that did not simply end in acceptance, which are few. */
    SELECT count(*) FILTER (WHERE is_counted AND outcome = 'accepted') AS accepted_then_failed,
           count(*) FILTER (WHERE is_counted AND outcome = 'failed') AS failed,
           count(*) FILTER (WHERE is_counted AND outcome = 'put_off') AS put_off,
           count(*) FILTER (WHERE is_counted AND outcome = 'unknown') AS unknown,
           count(*) FILTER (WHERE NOT is_counted) AS not_counted
      FROM send_attempts WHERE broadcast_id = :broadcast_id
""")

_MESSAGES = text("""
    /* receipts.messages
       Why:  every message id that is known of anybody: of the row, of an earlier attempt, or only by a report of
             WhatsApp. Who has two that did not fail got it twice.
       Cost: one join of the statuses with the recipients, and one sort of the message ids. */
    WITH people AS (
        SELECT id, message_id, status FROM whatsapp_broadcast_recipients WHERE broadcast_id = :broadcast_id
    ), others AS MATERIALIZED (
        SELECT s.recipient_id, s.message_id
          FROM message_statuses s JOIN people p ON p.id = s.recipient_id
         WHERE s.broadcast_id = :broadcast_id AND s.message_id IS DISTINCT FROM p.message_id
         UNION
        SELECT a.recipient_id, a.message_id
          FROM send_attempts a JOIN people p ON p.id = a.recipient_id
         WHERE a.broadcast_id = :broadcast_id AND a.message_id IS DISTINCT FROM p.message_id
           AND a.message_id IS NOT NULL
    ), known AS (
        SELECT message_id FROM people WHERE message_id IS NOT NULL UNION ALL SELECT message_id FROM others
    ), got AS (
        SELECT recipient_id FROM others o
         WHERE NOT EXISTS (SELECT FROM message_statuses f WHERE f.message_id = o.message_id AND f.status = 'failed')
           AND NOT EXISTS (SELECT FROM send_attempts a WHERE a.broadcast_id = :broadcast_id
                              AND a.recipient_id = o.recipient_id AND a.message_id = o.message_id)
         UNION ALL
        SELECT id FROM people
         WHERE status IN ('sent', 'delivered', 'read') AND message_id IS NOT NULL
           AND id IN (SELECT recipient_id FROM others)
    )
    SELECT (SELECT count(*) FROM known) AS ids, (SELECT count(DISTINCT message_id) FROM known) AS different_ids,
           (SELECT count(*) FROM (SELECT FROM got GROUP BY recipient_id HAVING count(*) > 1) twice) AS doubles
""")

_STATUSES = text("""
    /* receipts.statuses   Cost: one pass over the statuses of the broadcast. */
    WITH said AS (
        SELECT recipient_id, status FROM message_statuses
         WHERE broadcast_id = :broadcast_id AND recipient_id IS NOT NULL
    )
    SELECT count(*) FILTER (WHERE status = 'sent') AS sent, count(*) FILTER (WHERE status = 'delivered') AS delivered,
           count(*) FILTER (WHERE status = 'read') AS read, count(*) FILTER (WHERE status = 'failed') AS failed,
           count(DISTINCT recipient_id) AS people,
           (SELECT count(*) FROM whatsapp_broadcast_recipients r
             WHERE r.broadcast_id = :broadcast_id AND r.status IN ('delivered', 'read')
               AND r.id IN (SELECT recipient_id FROM said WHERE status IN ('delivered', 'read', 'played'))
           ) AS delivered_with_a_report
      FROM said
""")

_KEY = text("SELECT private_key_encrypted FROM receipt_keys")
_KEEP_KEY = text("""
    INSERT INTO receipt_keys (private_key_encrypted, public_key) VALUES (:private_key, :public_key)
        ON CONFLICT DO NOTHING
""")


async def issue(engine: Connects, vault: Vault, business_id: int | None, broadcast_id: int) -> dict[str, Any]:
    """The signed receipt of a broadcast as it stands now.

    business_id: whose it must be; None is the operator at the command line. Raises `NotFound`; `DatabaseAway` where
    counting takes too long.
    """
    async with engine.begin() as connection:
        key = await signing_key(connection, vault)
    async with _snapshot(engine) as connection:
        return sign(await _draw_up(connection, business_id, broadcast_id), key)


async def signing_key(connection: AsyncConnection, vault: Vault) -> Ed25519PrivateKey:
    """The key that signs, one for all processes of this database; made at its first use, kept encrypted.

    Raises `BadInput` where CLARION_SECRET_KEY is not the one that it was kept with.
    """
    kept = await connection.scalar(_KEY)
    if kept is None:
        made = Ed25519PrivateKey.generate()
        private_key = vault.encrypt(base64.b64encode(made.private_bytes_raw()).decode())
        await connection.execute(_KEEP_KEY, {"private_key": private_key, "public_key": public_text(made.public_key())})
        kept = await connection.scalar(_KEY)  # of two that are made at once the first stays
    return Ed25519PrivateKey.from_private_bytes(base64.b64decode(vault.decrypt(str(kept))))


@asynccontextmanager
async def _snapshot(engine: Connects) -> AsyncIterator[AsyncConnection]:
    """One state of the database for several statements, and a bound on how long each takes."""
    async with engine.connect() as connection:
        await connection.execution_options(isolation_level="REPEATABLE READ")
        await connection.execute(text(f"SET LOCAL statement_timeout = '{LONGEST_COUNT_SECONDS}s'"))
        try:
            yield connection
        except DBAPIError as error:
            if isinstance(error.orig, psycopg.errors.QueryCanceled):
                took = f"Counting this broadcast took longer than {LONGEST_COUNT_SECONDS} s."
                raise DatabaseAway(f"{took} Try again when the database has less to do.") from error
            raise


async def _draw_up(connection: AsyncConnection, business_id: int | None, broadcast_id: int) -> dict[str, Any]:
    which = {"broadcast_id": broadcast_id, "days": RETENTION_OF_STATUSES_DAYS}
    row = (await connection.execute(_BROADCAST, which)).one_or_none()
    if row is None or business_id not in (None, row.business_id):
        raise NotFound(said("There is no broadcast %(number)s.", number=broadcast_id))
    counts = await _counts(connection, which, is_recent=row.is_recent)
    counts["counters"] = {name: getattr(row, name) for name in _COUNTERS}
    checks = checks_of(counts)
    events = await read_events(connection, broadcast_id)
    holds = all(check.holds for check in checks) and break_in(events, row.history_head) is None
    return {
        "format": FORMAT,
        "issued_at": instant(datetime.now(UTC)),
        "final": row.status in FINAL and row.unknown_count == 0,
        "holds": holds,
        "broadcast": {
            **{name: getattr(row, name) for name in ("id", "business_id", "name", "status", "message", "retry_of")},
            "phone_number_id": row.phone_number_id,
            **{
                name: None if getattr(row, name) is None else instant(getattr(row, name))
                for name in ("created_at", "started_at", "completed_at")
            },
        },
        "counts": counts,
        "checks": [check.as_json() for check in checks],
        "history": {"count": len(events), "head": row.history_head, "events": events},
    }


async def _counts(connection: AsyncConnection, which: dict[str, Any], *, is_recent: bool) -> dict[str, Any]:
    people = dict((await connection.execute(_RECIPIENTS, which)).mappings().one())
    ended = dict((await connection.execute(_ATTEMPTS, which)).mappings().one())
    messages = dict((await connection.execute(_MESSAGES, which)).mappings().one())
    told = dict((await connection.execute(_STATUSES, which)).mappings().one())
    by_hand = await connection.scalar(_SETTLED_BY_HAND, which)
    not_counted = ended.pop("not_counted")
    doubles = messages.pop("doubles")
    return {
        "recipients": {
            "count": people["count"],
            "different_phones": people["different_phones"],
            "by_status": {status.value: people[status.value] for status in RecipientStatus},
        },
        "attempts": {
            "count": people["attempts"],
            "ended": {"accepted": people["accepted"], **ended, "under_way": people["under_way"]},
            "not_counted": not_counted,
            "unexplained": people["unexplained"],
        },
        "messages": {
            **messages,
            "with_id": people["with_id"],
            "without_id_settled_by_hand": by_hand,
            "without_id_adopted": people["without_id_adopted"],
        },
        # What WhatsApp said is forgotten after a while, and an older system kept none of it.
        "statuses": {**told, "are_all_kept": is_recent and not people["adopted"]},
        "doubles": doubles,
        "unknowns": people["unknown"],
    }
