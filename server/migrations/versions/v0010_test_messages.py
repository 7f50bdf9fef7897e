"""Messages that were sent as a test of a broadcast.

Revision: 0010
"""

from alembic import op

revision = "0010"
down_revision = "0002"
branch_labels = None
depends_on = None

_UP = """
CREATE TABLE test_messages (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    business_id BIGINT NOT NULL REFERENCES businesses ON DELETE CASCADE,
    broadcast_id BIGINT NOT NULL REFERENCES whatsapp_broadcasts (id) ON DELETE CASCADE,
    channel_id BIGINT NOT NULL,
    phone TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('sending', 'sent', 'failed', 'unknown', 'skipped')),
    message_id TEXT,
    error_code INTEGER,
    error_message TEXT,
    sent_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX test_messages_by_broadcast ON test_messages (broadcast_id, id);
"""


def upgrade() -> None:
    """Add the table."""
    op.get_bind().exec_driver_sql(_UP)


def downgrade() -> None:
    """Drop it, with what was tested."""
    op.get_bind().exec_driver_sql("DROP TABLE test_messages")
