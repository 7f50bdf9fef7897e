"""The schema goes up, down and over an older table; the cursor column comes where it is missing."""

import psycopg
import pytest
from psycopg.rows import dict_row
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from server.database import sync_engine
from server.domain.errors import SchemaIsNewer
from server.migrations import downgrade, upgrade
from server.migrations.cursor_column import ensure_cursor_column
from server.models import Base

OLDER_TABLES = """
    CREATE TYPE old_status AS ENUM ('pending', 'processing', 'completed');
    CREATE TABLE whatsapp_broadcasts (
        id SERIAL PRIMARY KEY, business_id INTEGER NOT NULL, created_by INTEGER NOT NULL,
        message_text VARCHAR(200) NOT NULL, status old_status NOT NULL DEFAULT 'pending',
        sent_count INTEGER, created_at TIMESTAMP DEFAULT now());
    INSERT INTO whatsapp_broadcasts (business_id, created_by, message_text, status)
         VALUES (7, 1, 'Hello', 'processing'), (9, 1, 'Hello', 'completed');
    CREATE TABLE whatsapp_broadcast_recipients (
        id SERIAL PRIMARY KEY, broadcast_id INTEGER NOT NULL, phone_number VARCHAR(20), status VARCHAR(20));
    INSERT INTO whatsapp_broadcast_recipients (broadcast_id, phone_number, status)
         VALUES (1, '+972500000001', 'sent'), (1, '+972500000002', 'pending'), (1, '+972500000003', 'in_progress');
"""

AT_WORK = """
    INSERT INTO businesses (id, name) VALUES (1, 'Acme');
    INSERT INTO channels (id, business_id, phone_number_id, waba_id, token_encrypted, app_secret_encrypted,
                          verify_token_encrypted, rate_per_second)
         VALUES (1, 1, '1', '2', '', '', '', 80);
    INSERT INTO templates (business_id, waba_id, provider_id, name, language, status, category, components)
         VALUES (1, '2', '3', 'sale', 'en', 'APPROVED', 'MARKETING', '[]');
    INSERT INTO whatsapp_broadcasts (id, business_id, channel_id, name, message, status, total_recipients, started_at,
                                     lease_holder, lease_expires_at)
         VALUES (1, 1, 1, 'Sale', '{"template": {"name": "sale", "language": "en"}}', 'running', 4, now(), 'h', now());
    INSERT INTO whatsapp_broadcast_recipients (broadcast_id, business_id, row_number, phone, variables, status,
                                               next_attempt_at, claim_number)
         VALUES (1, 1, 1, '+972500000001', '{}', 'sending', now(), 2),
                (1, 1, 2, '+972500000002', '{}', 'sending', NULL, 1),
                (1, 1, 3, '+972500000003', '{}', 'queued', now(), 1),
                (1, 1, 4, '+972500000004', '{}', 'sent', NULL, 1);
"""


def columns_of(database_url: str) -> set[tuple[str, str]]:
    with psycopg.connect(database_url) as connection:
        rows = connection.execute(
            "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public'"
        ).fetchall()
    return {(table, column) for table, column in rows}


def test_the_models_are_what_the_migrations_made(database_url: str) -> None:
    made = columns_of(database_url) - {("alembic_version", "version_num")}
    assert {(table.name, column.name) for table in Base.metadata.tables.values() for column in table.columns} == made


def test_the_schema_goes_up_down_and_up_again(empty_database_url: str) -> None:
    assert upgrade(empty_database_url)
    first = columns_of(empty_database_url)
    assert not upgrade(empty_database_url)
    downgrade(empty_database_url)
    assert columns_of(empty_database_url) == {("alembic_version", "version_num")}
    assert upgrade(empty_database_url)
    assert columns_of(empty_database_url) == first


def test_an_older_table_is_adopted_with_its_rows(empty_database_url: str) -> None:
    with psycopg.connect(empty_database_url, autocommit=True) as connection:
        connection.execute(OLDER_TABLES)

    assert upgrade(empty_database_url)

    with psycopg.connect(empty_database_url, row_factory=dict_row) as connection:
        rows = connection.execute("SELECT * FROM whatsapp_broadcasts ORDER BY id").fetchall()
        people = connection.execute("SELECT phone, status FROM whatsapp_broadcast_recipients ORDER BY id").fetchall()
    assert [(row["business_id"], row["status"], row["message_text"]) for row in rows] == [
        (7, "paused", "Hello"),  # nothing of an older system starts by itself
        (9, "completed", "Hello"),
    ]
    assert (rows[0]["total_recipients"], rows[0]["sent_count"], rows[0]["unknown_count"]) == (3, 1, 1)
    assert rows[0]["last_processed_recipient_id"] == 0
    assert rows[0]["created_at"].tzinfo is not None
    assert [(person["phone"], person["status"]) for person in people] == [
        ("+972500000001", "sent"),
        ("+972500000002", "queued"),
        ("+972500000003", "unknown"),
    ]


def test_an_adopted_table_outlives_a_downgrade(empty_database_url: str) -> None:
    with psycopg.connect(empty_database_url, autocommit=True) as connection:
        connection.execute(OLDER_TABLES)
    upgrade(empty_database_url)
    downgrade(empty_database_url)
    with psycopg.connect(empty_database_url) as connection:
        row = connection.execute("SELECT count(*) FROM whatsapp_broadcasts").fetchone()
    assert row == (2,)
    assert upgrade(empty_database_url)


def test_the_cursor_column_is_added_where_it_is_missing_and_only_there(database_url: str) -> None:
    with sync_engine(database_url) as engine, engine.begin() as connection:
        connection.execute(text("ALTER TABLE whatsapp_broadcasts DROP COLUMN last_processed_recipient_id"))
        assert ensure_cursor_column(connection)
        assert not ensure_cursor_column(connection)
        default = connection.scalar(
            text("SELECT column_default FROM information_schema.columns"
                 " WHERE column_name = 'last_processed_recipient_id'")
        )  # fmt: skip
    assert default == "0"


def test_a_failed_attempt_to_add_the_cursor_column_is_rolled_back_alone(empty_database_url: str) -> None:
    with sync_engine(empty_database_url) as engine, engine.begin() as connection:
        connection.execute(text("CREATE TABLE kept (id INTEGER)"))
        with pytest.raises(SQLAlchemyError):
            ensure_cursor_column(connection)  # there is no table to add it to
        assert connection.scalar(text("SELECT count(*) FROM kept")) == 0


def test_a_database_at_work_comes_from_the_revision_before_with_all_that_is_under_way(empty_database_url: str) -> None:
    upgrade(empty_database_url)
    downgrade(empty_database_url, "0016")
    with psycopg.connect(empty_database_url, autocommit=True) as connection:
        connection.execute(AT_WORK)

    assert upgrade(empty_database_url)

    with psycopg.connect(empty_database_url, row_factory=dict_row) as connection:
        row = connection.execute("SELECT * FROM whatsapp_broadcasts").fetchone()
        people = connection.execute(
            "SELECT status, extract(epoch FROM next_attempt_at)::int AS at"
            " FROM whatsapp_broadcast_recipients ORDER BY id"
        ).fetchall()
    assert row is not None
    assert (row["status"], row["is_marketing"], row["approval_requested_at"]) == ("running", True, None)
    # Who waited and is being sent to is found by the run that takes over; who waits still waits until then.
    assert [person["at"] for person in people if person["status"] == "sending"] == [0, None]
    assert all(person["at"] for person in people if person["status"] == "queued")
    downgrade(empty_database_url, "0016")
    assert upgrade(empty_database_url)


def test_a_database_that_a_newer_version_has_migrated_is_left_alone_and_says_so(database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        with pytest.raises(SchemaIsNewer, match="to 9999; this one knows it up to"):
            upgrade(database_url)
        assert connection.execute("SELECT version_num FROM alembic_version").fetchone() == ("9999",)
