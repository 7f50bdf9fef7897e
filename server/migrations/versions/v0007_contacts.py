"""Contacts with tags and attributes, saved segments, the audience of a broadcast, and more proof of consents.

Revision: 0007
"""

from alembic import op

revision = "0007"
down_revision = "0003"
branch_labels = None
depends_on = None

_UP = """
-- Tags are an array on the row, not a table beside it: whoever takes an audience reads each person once, and an import
-- adds tags in the statement that writes the person.
CREATE TABLE contacts (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    business_id BIGINT NOT NULL REFERENCES businesses ON DELETE CASCADE,
    phone TEXT NOT NULL,
    name TEXT CHECK (name <> ''),
    tags TEXT[] NOT NULL DEFAULT '{}',
    attributes JSONB NOT NULL DEFAULT '{}',
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    updated_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    UNIQUE (business_id, phone)
);
CREATE INDEX contacts_by_business ON contacts (business_id, id);
CREATE INDEX contacts_by_tag ON contacts USING gin (tags);

CREATE TABLE segments (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    business_id BIGINT NOT NULL REFERENCES businesses ON DELETE CASCADE,
    name TEXT NOT NULL CHECK (name <> ''),
    audience JSONB NOT NULL,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    updated_at TIMESTAMPTZ NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX segments_name ON segments (business_id, lower(name));

ALTER TABLE whatsapp_broadcasts ADD COLUMN IF NOT EXISTS audience JSONB;
ALTER TABLE consent_changes ADD COLUMN ip TEXT, ADD COLUMN note TEXT;
"""

_DOWN = """
ALTER TABLE consent_changes DROP COLUMN ip, DROP COLUMN note;
ALTER TABLE whatsapp_broadcasts DROP COLUMN audience;
DROP TABLE segments, contacts;
"""


def upgrade() -> None:
    """Add the tables and columns."""
    op.get_bind().exec_driver_sql(_UP)


def downgrade() -> None:
    """Drop them, with everybody in them; who opted out stays opted out."""
    op.get_bind().exec_driver_sql(_DOWN)
