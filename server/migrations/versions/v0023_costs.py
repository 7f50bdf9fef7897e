"""What messages cost, what is written back to people who stop or start, and answers that are given again.

Revision: 0023
"""

from alembic import op

from server.migrations.row_security import protect

revision = "0023"
down_revision = "0016"
branch_labels = None
depends_on = None

_UP = """
CREATE TABLE rate_card_prices (
    business_id BIGINT NOT NULL REFERENCES businesses ON DELETE CASCADE,
    country TEXT NOT NULL,
    category TEXT NOT NULL CHECK (category IN ('marketing', 'utility', 'authentication')),
    valid_from DATE NOT NULL,
    price NUMERIC(12, 6) NOT NULL CHECK (price >= 0),
    currency TEXT NOT NULL,
    imported_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    PRIMARY KEY (business_id, country, category, valid_from)
);

ALTER TABLE idempotency_keys ALTER COLUMN broadcast_id DROP NOT NULL, ADD COLUMN status INTEGER, ADD COLUMN answer TEXT;

ALTER TABLE businesses ADD COLUMN opt_out_reply TEXT, ADD COLUMN opt_in_reply TEXT;

CREATE TABLE wish_replies (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    business_id BIGINT NOT NULL REFERENCES businesses ON DELETE CASCADE,
    channel_id BIGINT NOT NULL,
    phone TEXT NOT NULL,
    wish TEXT NOT NULL CHECK (wish IN ('stop', 'start')),
    answers TEXT NOT NULL,
    written_at TIMESTAMPTZ NOT NULL,
    body TEXT NOT NULL,
    status TEXT NOT NULL DEFAULT 'waiting'
        CHECK (status IN ('waiting', 'sending', 'sent', 'failed', 'unknown', 'dropped')),
    attempts INTEGER NOT NULL DEFAULT 0,
    next_attempt_at TIMESTAMPTZ,
    claimed_at TIMESTAMPTZ,
    message_id TEXT,
    error_code INTEGER,
    error_message TEXT,
    created_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (channel_id, answers)
);
CREATE INDEX wish_replies_open ON wish_replies (id) WHERE status IN ('waiting', 'sending');
CREATE INDEX wish_replies_by_phone ON wish_replies (business_id, phone);
"""

_DOWN = """
DROP TABLE wish_replies, rate_card_prices;
DELETE FROM idempotency_keys WHERE broadcast_id IS NULL;
ALTER TABLE idempotency_keys ALTER COLUMN broadcast_id SET NOT NULL, DROP COLUMN status, DROP COLUMN answer;
ALTER TABLE businesses DROP COLUMN opt_out_reply, DROP COLUMN opt_in_reply;
"""


def upgrade() -> None:
    """Add the tables and columns."""
    connection = op.get_bind()
    connection.exec_driver_sql(_UP)
    protect(connection, "rate_card_prices")
    protect(connection, "wish_replies")


def downgrade() -> None:
    """Drop them, with prices and replies."""
    op.get_bind().exec_driver_sql(_DOWN)
