"""Whether webhooks wait, asked by whoever is a business.

Revision: 0022
"""

from alembic import op

from server.tenancy import ROLE

revision = "0022"
down_revision = "0020"
branch_labels = None
depends_on = None

# A body is kept under the number whose app secret signed it first, which may be another business's with the same
# secret. So a business has to ask about all of them; it learns no more than yes or no.
_MAKE = """
CREATE FUNCTION clarion_inbox_is_behind() RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT AS $$
    SELECT EXISTS (SELECT FROM webhook_inbox WHERE received_at < clock_timestamp() - interval '2 seconds')
$$
"""


def upgrade() -> None:
    """Make the function, and let web requests ask it."""
    connection = op.get_bind()
    connection.exec_driver_sql(_MAKE)
    connection.exec_driver_sql("REVOKE ALL ON FUNCTION clarion_inbox_is_behind() FROM PUBLIC")
    connection.exec_driver_sql(f"GRANT EXECUTE ON FUNCTION clarion_inbox_is_behind() TO {ROLE}")


def downgrade() -> None:
    """Take it away."""
    op.get_bind().exec_driver_sql("DROP FUNCTION clarion_inbox_is_behind()")
