"""What messages cost: the price list of a business.

Revision: 0023
"""

from alembic import op

from server.migrations.row_security import protect

revision = "0023"
down_revision = "0016"
branch_labels = None
depends_on = None

_UP = """
CREATE TABLE rate_card_prices (
    business_id BIGINT NOT NULL REFERENCES businesses ON DELETE CASCADE,
    country TEXT NOT NULL,
    category TEXT NOT NULL CHECK (category IN ('marketing', 'utility', 'authentication')),
    valid_from DATE NOT NULL,
    price NUMERIC(12, 6) NOT NULL CHECK (price >= 0),
    currency TEXT NOT NULL,
    imported_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    PRIMARY KEY (business_id, country, category, valid_from)
);
"""


def upgrade() -> None:
    """Add the table."""
    connection = op.get_bind()
    connection.exec_driver_sql(_UP)
    protect(connection, "rate_card_prices")


def downgrade() -> None:
    """Drop it, with its prices."""
    op.get_bind().exec_driver_sql("DROP TABLE rate_card_prices")
