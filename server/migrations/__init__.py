"""The schema and how it came to be. One entrance: `upgrade`.

Two commands that start at once may both find an old schema; an advisory lock lets one of them work and the other wait.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import text

from server.database import sync_engine
from server.domain.errors import SchemaIsNewer
from server.migrations.cursor_column import ensure_cursor_column

if TYPE_CHECKING:
    from alembic.config import Config
    from sqlalchemy import Connection

HEAD = "0026"
# Any fixed number: only Clarion's migrations take it.
_MIGRATION_LOCK = 0x636C6172696F6E


def current_revision(connection: "Connection") -> str | None:
    """The revision of the database, or None where Clarion has not been there."""
    if connection.scalar(text("SELECT to_regclass('alembic_version')")) is None:
        return None
    revision: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return revision


def upgrade(database_url: str) -> bool:
    """Bring the database to the newest schema; adopt an older `whatsapp_broadcasts` table where there is one.

    Idempotent and quick where nothing is to do (one look, Alembic is not even imported). True if anything changed.
    Raises `DatabaseAway` where the database does not answer, `SchemaIsNewer` where another version was here.
    """
    with sync_engine(database_url) as engine, engine.begin() as connection:
        if current_revision(connection) == HEAD:
            return ensure_cursor_column(connection)
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
        revision = current_revision(connection)
        if revision == HEAD:
            return False
        _refuse_what_is_newer(revision)
        from alembic import command  # noqa: PLC0415 - 0.3 s that a warm start does without

        command.upgrade(_alembic(connection), HEAD)
        ensure_cursor_column(connection)
        return True


def _refuse_what_is_newer(revision: str | None) -> None:
    if revision is not None and not any((Path(__file__).parent / "versions").glob(f"v{revision}_*.py")):
        raise SchemaIsNewer(
            f"A newer Clarion has migrated this database, to {revision}; this one knows it up to {HEAD}. "
            "Install that version on this machine too."
        )


def downgrade(database_url: str, revision: str = "base") -> None:
    """Take the schema back to a revision. Tables that were adopted stay, with the columns that were added."""
    with sync_engine(database_url) as engine, engine.begin() as connection:
        from alembic import command  # noqa: PLC0415 - see upgrade

        command.downgrade(_alembic(connection), revision)


def _alembic(connection: "Connection") -> "Config":
    from alembic.config import Config  # noqa: PLC0415 - see upgrade

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.attributes["connection"] = connection
    return config
