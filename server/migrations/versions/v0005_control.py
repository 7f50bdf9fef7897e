"""What a running broadcast can be asked: when it will be done, and whether somebody chose how fast its number sends.

Revision: 0005
"""

from alembic import op

revision = "0005"
down_revision = "0010"
branch_labels = None
depends_on = None

# Until now a rate of 80, and the 1,000 that an upgrade made of it, were taken for what nobody chose.
_UP = """
ALTER TABLE channels ADD COLUMN rate_is_chosen BOOLEAN NOT NULL DEFAULT false;
UPDATE channels SET rate_is_chosen = true WHERE rate_per_second NOT IN (80, 1000);
ALTER TABLE whatsapp_broadcasts
    ADD COLUMN allowed_rate DOUBLE PRECISION,
    ADD COLUMN reachable_count BIGINT,
    ADD COLUMN waits_until TIMESTAMPTZ;
"""

_DOWN = """
ALTER TABLE whatsapp_broadcasts DROP COLUMN allowed_rate, DROP COLUMN reachable_count, DROP COLUMN waits_until;
ALTER TABLE channels DROP COLUMN rate_is_chosen;
"""


def upgrade() -> None:
    """Add the columns."""
    op.get_bind().exec_driver_sql(_UP)


def downgrade() -> None:
    """Drop them."""
    op.get_bind().exec_driver_sql(_DOWN)
