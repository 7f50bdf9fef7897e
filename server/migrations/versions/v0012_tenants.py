"""Scopes of API keys, and row-level security by business.

Revision: 0012
"""

from alembic import op

from server.migrations.row_security import make_role, protect, protect_through, tables_of_businesses, unprotect_all
from server.tenancy import ROLE

revision = "0012"
down_revision = "0009"
branch_labels = None
depends_on = None

# Keys of before could do everything, and still can; a new one says what it may.
_SCOPES = """
ALTER TABLE api_keys
    ADD COLUMN scope TEXT NOT NULL DEFAULT 'admin' CHECK (scope IN ('read', 'send', 'admin'));
ALTER TABLE api_keys ALTER COLUMN scope DROP DEFAULT;
"""


def upgrade() -> None:
    """Guard every table whose rows are a business's own. Later migrations guard what they make."""
    connection = op.get_bind()
    connection.exec_driver_sql(_SCOPES)
    make_role(connection)
    protect(connection, "businesses", "id", may="SELECT, UPDATE")
    for table in tables_of_businesses(connection):
        protect(connection, table)
    protect_through(connection, "message_statuses", "channel_id", "channels", may="SELECT")
    # How long bodies wait may be asked; what is in them, which may be of several businesses, may not.
    protect_through(connection, "webhook_inbox", "channel_id", "channels", may="SELECT (channel_id, received_at)")
    # One key for all businesses: the first receipt makes it. It is stored encrypted.
    connection.exec_driver_sql(f"GRANT SELECT, INSERT, UPDATE ON receipt_keys TO {ROLE}")
    protect_through(connection, "account_updates", "channel_id", "channels", may="SELECT")


def downgrade() -> None:
    """Take the guards and the scopes away; the role stays, because other databases of the server may use it."""
    connection = op.get_bind()
    connection.exec_driver_sql(f"REVOKE ALL ON receipt_keys FROM {ROLE}")
    unprotect_all(connection)
    connection.exec_driver_sql("ALTER TABLE api_keys DROP COLUMN scope")
