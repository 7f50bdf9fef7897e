"""Quiet hours and a frequency cap of a business, and its time zone.

Revision: 0020
"""

from alembic import op

revision = "0020"
down_revision = "0024"
branch_labels = None
depends_on = None

# Nothing of it is on unless a person says so.
_UP = """
ALTER TABLE businesses
    ADD COLUMN time_zone TEXT NOT NULL DEFAULT 'UTC',
    ADD COLUMN quiet_hours JSONB,
    ADD COLUMN frequency_cap JSONB;
-- What the template was when the last run began; of those before, what it is now.
ALTER TABLE whatsapp_broadcasts ADD COLUMN is_marketing BOOLEAN NOT NULL DEFAULT false;
UPDATE whatsapp_broadcasts b SET is_marketing = true
 WHERE b.started_at IS NOT NULL AND EXISTS (
       SELECT FROM templates t JOIN channels c ON c.waba_id = t.waba_id AND c.business_id = t.business_id
        WHERE t.business_id = b.business_id AND c.id = coalesce(b.channel_id, c.id) AND upper(t.category) = 'MARKETING'
          AND t.name = b.message #>> '{template,name}' AND t.language = b.message #>> '{template,language}');
-- Whoever waited and is being sent to carries this instant from now on; a run that takes over looks for it.
UPDATE whatsapp_broadcast_recipients SET next_attempt_at = to_timestamp(0)
 WHERE next_attempt_at IS NOT NULL AND status = 'sending';
"""

_DOWN = """
ALTER TABLE whatsapp_broadcasts DROP COLUMN is_marketing;
ALTER TABLE businesses DROP COLUMN time_zone, DROP COLUMN quiet_hours, DROP COLUMN frequency_cap;
"""


def upgrade() -> None:
    """Add the settings; none of them is on."""
    op.get_bind().exec_driver_sql(_UP)


def downgrade() -> None:
    """Drop them: everybody may be sent to at any hour again."""
    op.get_bind().exec_driver_sql(_DOWN)
