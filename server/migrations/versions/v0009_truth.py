"""What makes a broadcast's story provable: a chain through its history, the attempts that did not end well, a key.

Revision: 0009
"""

import hashlib
import json
from datetime import UTC

from alembic import op
from sqlalchemy import text

revision = "0009"
down_revision = "0007"
branch_labels = None
depends_on = None

_UP = """
ALTER TABLE whatsapp_broadcasts ADD COLUMN history_head TEXT NOT NULL DEFAULT repeat('0', 64);
ALTER TABLE broadcast_events ADD COLUMN recipient_id BIGINT, ADD COLUMN hash TEXT;

-- Only attempts that did not simply end in acceptance: nothing is written here for the others. No foreign keys, as for
-- the recipients: each would lock a row of another table for every attempt that fails.
CREATE TABLE send_attempts (
    broadcast_id BIGINT NOT NULL,
    recipient_id BIGINT NOT NULL,
    claim_number INTEGER NOT NULL,
    business_id BIGINT NOT NULL,
    claimed_at TIMESTAMPTZ,
    ended_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    outcome TEXT NOT NULL CHECK (outcome IN ('failed', 'put_off', 'unknown', 'accepted')),
    is_counted BOOLEAN NOT NULL,
    message_id TEXT,
    error_code INTEGER,
    error_message TEXT,
    PRIMARY KEY (broadcast_id, recipient_id, claim_number)
);

CREATE TABLE receipt_keys (
    id SMALLINT PRIMARY KEY DEFAULT 1 CHECK (id = 1),
    private_key_encrypted TEXT NOT NULL,
    public_key TEXT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now()
);
"""

# Broadcasts of before: how many attempts there were is known, and how the last one ended.
_EARLIER_ATTEMPTS = """
INSERT INTO send_attempts (broadcast_id, recipient_id, claim_number, business_id, claimed_at, ended_at, outcome,
                           is_counted, error_code, error_message)
SELECT r.broadcast_id, r.id, r.claim_number - r.attempts + n, r.business_id,
       CASE WHEN n = r.attempts THEN r.claimed_at END,
       coalesce(r.failed_at, r.unknown_at, r.claimed_at, r.sent_at, now()),
       CASE WHEN n = r.attempts AND r.status IN ('failed', 'unknown') THEN r.status ELSE 'put_off' END, true,
       CASE WHEN n = r.attempts THEN r.error_code END,
       CASE WHEN n = r.attempts THEN r.error_message ELSE 'What became of it was not kept then.' END
  FROM whatsapp_broadcast_recipients r
 CROSS JOIN LATERAL generate_series(1, r.attempts - CASE WHEN r.status IN ('sending', 'sent', 'delivered', 'read')
                                                           OR r.status = 'failed' AND r.message_id IS NOT NULL
                                                         THEN 1 ELSE 0 END) AS n
 WHERE r.claim_number >= r.attempts AND r.attempts > 0;
"""

_EVENTS = text("""
    SELECT id, broadcast_id, at, actor, move, from_status, to_status, reason, detail
      FROM broadcast_events ORDER BY broadcast_id, id
""")
_CHAIN = text("UPDATE broadcast_events SET hash = :hash WHERE id = :id")
_HEAD = text("UPDATE whatsapp_broadcasts SET history_head = :hash WHERE id = :broadcast_id")

_DOWN = """
DROP TABLE receipt_keys, send_attempts;
ALTER TABLE broadcast_events DROP COLUMN hash, DROP COLUMN recipient_id;
ALTER TABLE whatsapp_broadcasts DROP COLUMN history_head;
"""


def upgrade() -> None:
    """Add them, and chain the events that are there already."""
    connection = op.get_bind()
    connection.exec_driver_sql(_UP)
    connection.exec_driver_sql(_EARLIER_ATTEMPTS)
    heads: dict[int, str] = {}
    chained = []
    for row in connection.execute(_EVENTS).mappings():
        broadcast_id = row["broadcast_id"]
        event = {**row, "at": row["at"].astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"), "recipient_id": None}
        del event["id"]
        heads[broadcast_id] = _hash(heads.get(broadcast_id, "0" * 64), event)
        chained.append({"id": row["id"], "hash": heads[broadcast_id]})
    if chained:
        connection.execute(_CHAIN, chained)
        connection.execute(_HEAD, [{"broadcast_id": number, "hash": head} for number, head in heads.items()])
    connection.exec_driver_sql("ALTER TABLE broadcast_events ALTER COLUMN hash SET NOT NULL")


def downgrade() -> None:
    """Drop them, with the attempts and the key: receipts signed with it can still be checked by those who have it."""
    op.get_bind().exec_driver_sql(_DOWN)


def _hash(previous: str, event: dict[str, object]) -> str:
    # For texts, whole numbers and null this is canonical JSON (RFC 8785). A migration stays as it is, whatever the
    # engine's own code becomes.
    content = json.dumps(event, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256((previous + content).encode()).hexdigest()
