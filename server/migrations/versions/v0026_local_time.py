"""Broadcasts that everybody gets at a time of their own clock, and how many wait until when.

Revision: 0026
"""

from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None

# `local_time` is kept of every schedule that is made from now on; whether it counts is said by the flag.
_UP = """
ALTER TABLE whatsapp_broadcasts
    ADD COLUMN by_local_time BOOLEAN NOT NULL DEFAULT false,
    ADD COLUMN local_time TIMESTAMP,
    ADD COLUMN starts_at TIMESTAMPTZ,
    ADD COLUMN waits JSONB NOT NULL DEFAULT '{}',
    ADD CONSTRAINT whatsapp_broadcasts_local_time CHECK (NOT by_local_time OR local_time IS NOT NULL);
"""

# One that waits for people's own time would send to them too early: a person has to decide.
_DOWN = """
UPDATE whatsapp_broadcasts SET status = 'draft' WHERE by_local_time AND status = 'scheduled';
UPDATE whatsapp_broadcasts
   SET status = 'paused', pause_reason = 'user', resume_at = NULL,
       status_detail = 'It was to go by local time, which this version does not know.'
 WHERE by_local_time AND status IN ('queued', 'running', 'paused');
ALTER TABLE whatsapp_broadcasts
    DROP COLUMN by_local_time, DROP COLUMN local_time, DROP COLUMN starts_at, DROP COLUMN waits;
"""


def upgrade() -> None:
    """Add what a schedule by local time needs; no broadcast has one yet."""
    op.get_bind().exec_driver_sql(_UP)


def downgrade() -> None:
    """Forget it. What waits for people's own time is paused, or a draft again."""
    op.get_bind().exec_driver_sql(_DOWN)
