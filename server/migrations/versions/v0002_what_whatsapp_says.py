"""What WhatsApp says afterwards: the inbox of webhooks, statuses, inbound messages, people's wishes; links of retries.

Revision: 0002
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_UP = """
ALTER TABLE whatsapp_broadcasts
    ADD COLUMN IF NOT EXISTS retry_of BIGINT,
    ADD COLUMN IF NOT EXISTS replied_count BIGINT NOT NULL DEFAULT 0;
CREATE INDEX IF NOT EXISTS whatsapp_broadcasts_retries ON whatsapp_broadcasts (retry_of) WHERE retry_of IS NOT NULL;
ALTER TABLE whatsapp_broadcast_recipients
    ADD COLUMN IF NOT EXISTS was_unknown BOOLEAN NOT NULL DEFAULT false,
    ADD COLUMN IF NOT EXISTS claimed_at TIMESTAMPTZ,
    ADD COLUMN IF NOT EXISTS heard_at TIMESTAMPTZ,
    ADD COLUMN IF NOT EXISTS replied_at TIMESTAMPTZ,
    ADD COLUMN IF NOT EXISTS price_category TEXT,
    ADD COLUMN IF NOT EXISTS price_type TEXT;

ALTER TABLE channels ADD COLUMN last_status_at TIMESTAMPTZ;
ALTER TABLE businesses
    ADD COLUMN messaging_limit BIGINT,
    ADD COLUMN stop_words JSONB NOT NULL DEFAULT '[]',
    ADD COLUMN start_words JSONB NOT NULL DEFAULT '[]';

-- Raw bodies, committed before the 200 and deleted by whoever has applied them. Bodies are stored as they are:
-- compressing a quarter of a megabyte costs more than writing it.
CREATE TABLE webhook_inbox (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    channel_id BIGINT NOT NULL REFERENCES channels ON DELETE CASCADE,
    received_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    body BYTEA NOT NULL
);
ALTER TABLE webhook_inbox ALTER COLUMN body SET STORAGE EXTERNAL;
ALTER TABLE webhook_inbox SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000);

-- What nothing could be done with: unknown kinds, words that Meta added, bodies that are no JSON. Kept as they came.
CREATE TABLE webhook_oddities (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    channel_id BIGINT NOT NULL REFERENCES channels ON DELETE CASCADE,
    received_at TIMESTAMPTZ NOT NULL,
    reason TEXT NOT NULL,
    raw BYTEA NOT NULL
);
CREATE INDEX webhook_oddities_by_age ON webhook_oddities (received_at);

-- Every status once: the story of a message, and the way from a message id to its recipient.
CREATE TABLE message_statuses (
    message_id TEXT NOT NULL,
    status TEXT NOT NULL,
    channel_id BIGINT NOT NULL,
    broadcast_id BIGINT,
    recipient_id BIGINT,
    at TIMESTAMPTZ NOT NULL,
    received_at TIMESTAMPTZ NOT NULL,
    raw TEXT NOT NULL,
    PRIMARY KEY (message_id, status, channel_id)
);
CREATE INDEX message_statuses_by_recipient ON message_statuses (broadcast_id, recipient_id);
CREATE INDEX message_statuses_by_age ON message_statuses USING brin (received_at);

CREATE TABLE inbound_messages (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    business_id BIGINT NOT NULL REFERENCES businesses ON DELETE CASCADE,
    channel_id BIGINT NOT NULL,
    message_id TEXT NOT NULL,
    phone TEXT,
    user_id TEXT,
    kind TEXT NOT NULL,
    body TEXT,
    at TIMESTAMPTZ NOT NULL,
    received_at TIMESTAMPTZ NOT NULL,
    broadcast_id BIGINT,
    recipient_id BIGINT,
    raw TEXT NOT NULL,
    UNIQUE (channel_id, message_id)
);
CREATE INDEX inbound_messages_by_phone ON inbound_messages (business_id, phone, at);
CREATE INDEX inbound_messages_by_broadcast ON inbound_messages (broadcast_id, id) WHERE broadcast_id IS NOT NULL;

CREATE TABLE consent_changes (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    business_id BIGINT NOT NULL REFERENCES businesses ON DELETE CASCADE,
    phone TEXT NOT NULL,
    wish TEXT NOT NULL CHECK (wish IN ('stop', 'start')),
    source TEXT NOT NULL,
    proof TEXT,
    at TIMESTAMPTZ NOT NULL,
    recorded_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    UNIQUE NULLS NOT DISTINCT (business_id, phone, wish, source, proof, at)
);

CREATE TABLE account_updates (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    channel_id BIGINT NOT NULL REFERENCES channels ON DELETE CASCADE,
    field TEXT NOT NULL,
    hash BYTEA NOT NULL,
    received_at TIMESTAMPTZ NOT NULL,
    raw TEXT NOT NULL,
    UNIQUE (channel_id, hash)
);
"""

_DOWN = """
DROP TABLE account_updates, consent_changes, inbound_messages, message_statuses, webhook_oddities, webhook_inbox;
ALTER TABLE businesses DROP COLUMN messaging_limit, DROP COLUMN stop_words, DROP COLUMN start_words;
ALTER TABLE channels DROP COLUMN last_status_at;
ALTER TABLE whatsapp_broadcast_recipients
    DROP COLUMN was_unknown, DROP COLUMN claimed_at, DROP COLUMN heard_at, DROP COLUMN replied_at,
    DROP COLUMN price_category, DROP COLUMN price_type;
ALTER TABLE whatsapp_broadcasts DROP COLUMN retry_of, DROP COLUMN replied_count;
"""


def upgrade() -> None:
    """Add the tables and columns."""
    op.get_bind().exec_driver_sql(_UP)


def downgrade() -> None:
    """Drop them, with what was heard."""
    op.get_bind().exec_driver_sql(_DOWN)
