"""Endpoints that a business wants told of events, and the outbox: what is to be delivered, and what was.

Revision: 0021
"""

from alembic import op

from server.migrations.row_security import protect

revision = "0021"
down_revision = "0022"
branch_labels = None
depends_on = None

_UP = """
CREATE TABLE webhook_endpoints (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    business_id BIGINT NOT NULL REFERENCES businesses ON DELETE CASCADE,
    url TEXT NOT NULL,
    description TEXT NOT NULL DEFAULT '',
    events TEXT[] NOT NULL,
    secret_encrypted TEXT NOT NULL,
    old_secret_encrypted TEXT,
    old_secret_until TIMESTAMPTZ,
    failing_since TIMESTAMPTZ,
    rest_until TIMESTAMPTZ,
    disabled_at TIMESTAMPTZ,
    disabled_reason TEXT,
    removed_at TIMESTAMPTZ CHECK (removed_at IS NULL OR disabled_at IS NOT NULL),
    created_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX webhook_endpoints_by_business ON webhook_endpoints (business_id, id);

-- An event for one endpoint. No foreign key to the endpoint: it would lock its row for every recipient that fails.
CREATE TABLE webhook_deliveries (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    business_id BIGINT NOT NULL REFERENCES businesses ON DELETE CASCADE,
    endpoint_id BIGINT NOT NULL,
    event TEXT NOT NULL,
    message_id TEXT NOT NULL DEFAULT 'msg_' || replace(gen_random_uuid()::text, '-', ''),
    data JSON NOT NULL,
    status TEXT NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'delivered', 'failed')),
    created_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    next_attempt_at TIMESTAMPTZ DEFAULT clock_timestamp(),
    leased_until TIMESTAMPTZ,
    attempt_count INTEGER NOT NULL DEFAULT 0,
    trying_since TIMESTAMPTZ,
    delivered_at TIMESTAMPTZ,
    attempts JSONB NOT NULL DEFAULT '[]',
    CHECK ((status = 'pending') = (next_attempt_at IS NOT NULL))
);
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (endpoint_id, next_attempt_at, id)
    WHERE next_attempt_at IS NOT NULL;
CREATE INDEX webhook_deliveries_by_endpoint ON webhook_deliveries (endpoint_id, id);
CREATE INDEX webhook_deliveries_failed ON webhook_deliveries (endpoint_id, id) WHERE status = 'failed';
"""


def upgrade() -> None:
    """Make and guard them."""
    connection = op.get_bind()
    connection.exec_driver_sql(_UP)
    protect(connection, "webhook_endpoints")
    protect(connection, "webhook_deliveries")


def downgrade() -> None:
    """Drop them: what was not delivered is lost."""
    op.get_bind().exec_driver_sql("DROP TABLE webhook_deliveries, webhook_endpoints")
