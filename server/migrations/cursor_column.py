"""The cursor column of older databases, added where it is missing."""

from sqlalchemy import Connection, text
from sqlalchemy.exc import SQLAlchemyError

from server.logs import Event, get_logger

_log = get_logger(__name__)


def ensure_cursor_column(connection: Connection) -> bool:
    """Add `whatsapp_broadcasts.last_processed_recipient_id` where an older database lacks it.

    Idempotent: looks in `information_schema` first. Works inside a savepoint, so that an error rolls back this step
    alone; it is logged and raised. True if the column was added.
    """
    present = connection.scalar(
        text(
            "SELECT true FROM information_schema.columns WHERE table_schema = current_schema()"
            " AND table_name = 'whatsapp_broadcasts' AND column_name = 'last_processed_recipient_id'"
        )
    )
    if present:
        return False
    savepoint = connection.begin_nested()
    try:
        # IF NOT EXISTS: two runs may have looked at the same moment.
        connection.execute(
            text(
                "ALTER TABLE whatsapp_broadcasts"
                " ADD COLUMN IF NOT EXISTS last_processed_recipient_id BIGINT NOT NULL DEFAULT 0"
            )
        )
        savepoint.commit()
    except SQLAlchemyError as error:
        savepoint.rollback()
        _log.error(Event.CURSOR_COLUMN_FAILED, error=str(error.__cause__ or error))
        raise
    _log.info(Event.CURSOR_COLUMN_ADDED, table="whatsapp_broadcasts", column="last_processed_recipient_id")
    return True
