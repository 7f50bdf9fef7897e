"""Quiet hours of a business, and its time zone.

Revision: 0020
"""

from alembic import op

revision = "0020"
down_revision = "0016"
branch_labels = None
depends_on = None

# Nothing of it is on unless a person says so.
_UP = """
ALTER TABLE businesses
    ADD COLUMN time_zone TEXT NOT NULL DEFAULT 'UTC',
    ADD COLUMN quiet_hours JSONB;
-- Whoever waited and is being sent to carries this instant from now on; a run that takes over looks for it.
UPDATE whatsapp_broadcast_recipients SET next_attempt_at = to_timestamp(0)
 WHERE next_attempt_at IS NOT NULL AND status = 'sending';
"""


def upgrade() -> None:
    """Add the settings; none of them is on."""
    op.get_bind().exec_driver_sql(_UP)


def downgrade() -> None:
    """Drop them: everybody may be sent to at any hour again."""
    op.get_bind().exec_driver_sql("ALTER TABLE businesses DROP COLUMN time_zone, DROP COLUMN quiet_hours")
