"""Caution: the canary, the wish to spread over days, and counts of what was reported since the last resume.

Revision: 0003
"""

from alembic import op

revision = "0003"
down_revision = "0005"
branch_labels = None
depends_on = None

_UP = """
ALTER TABLE whatsapp_broadcasts
    ADD COLUMN canary JSONB,
    ADD COLUMN canary_judged_at TIMESTAMPTZ,
    ADD COLUMN spread_over_days BOOLEAN NOT NULL DEFAULT false,
    ADD COLUMN reported_count BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN reported_failed_count BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN reported_alike_count BIGINT NOT NULL DEFAULT 0;
"""

_DOWN = """
ALTER TABLE whatsapp_broadcasts
    DROP COLUMN canary, DROP COLUMN canary_judged_at, DROP COLUMN spread_over_days,
    DROP COLUMN reported_count, DROP COLUMN reported_failed_count, DROP COLUMN reported_alike_count;
-- Whatever a canary held up is a person's to resume: the code before knows no such reason.
UPDATE whatsapp_broadcasts SET pause_reason = 'user', resume_at = NULL WHERE pause_reason = 'canary';
"""


def upgrade() -> None:
    """Add the columns."""
    op.get_bind().exec_driver_sql(_UP)


def downgrade() -> None:
    """Drop them."""
    op.get_bind().exec_driver_sql(_DOWN)
