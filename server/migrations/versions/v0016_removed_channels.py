"""Numbers that a business has removed.

Revision: 0016
"""

from alembic import op

revision = "0016"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Remember when a number was removed: broadcasts that it sent still name it."""
    op.get_bind().exec_driver_sql("ALTER TABLE channels ADD COLUMN removed_at TIMESTAMPTZ")


def downgrade() -> None:
    """Forget it: removed numbers are there again, with a token that opens nothing."""
    op.get_bind().exec_driver_sql("ALTER TABLE channels DROP COLUMN removed_at")
