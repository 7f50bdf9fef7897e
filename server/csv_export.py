"""The people of a broadcast as a CSV file, streamed: of any size, and harmless in a spreadsheet."""

import csv
import io
import re
from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime
from typing import Any, Final

from fastapi.responses import StreamingResponse

from server.services import recipients
from server.tenancy import Connects

# With these a spreadsheet begins a formula (OWASP, "CSV injection"); a phone number is none.
_FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r")
_PLAIN_NUMBER: Final = re.compile(r"[+-]?\d+")
_PAGE: Final = 5_000
_COLUMNS: Final = (
    "id", "phone", "status", "attempts", "message_id", "error_code", "error_message", "sent_at", "delivered_at",
    "read_at", "failed_at",
)  # fmt: skip


class CsvResponse(StreamingResponse):
    """A file to keep."""

    media_type = "text/csv"


def recipients_csv(engine: Connects, broadcast_id: int, status: str | None) -> CsvResponse:
    """Everybody of a broadcast, or those of one status. Whether the caller may is the caller's to know."""
    headers = {"Content-Disposition": f'attachment; filename="broadcast-{broadcast_id}.csv"'}
    return CsvResponse(_lines(engine, broadcast_id, status), headers=headers)


async def _lines(engine: Connects, broadcast_id: int, status: str | None) -> AsyncIterator[str]:
    """A page at a time, each read on its own: a slow reader holds no connection and no old rows."""
    yield _written([_COLUMNS])
    after_id = 0
    while True:
        async with engine.connect() as connection:
            people = await recipients.page(connection, broadcast_id, status=status, after_id=after_id, limit=_PAGE)
        if not people:
            return
        yield _written([person[column] for column in _COLUMNS] for person in people)
        after_id = people[-1]["id"]


def _written(rows: Iterable[Iterable[Any]]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer).writerows([_field(value) for value in row] for row in rows)
    return buffer.getvalue()


def _field(value: Any) -> Any:
    """A value as a spreadsheet can take it. A text that it would run as a formula becomes one that it shows."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, str) and value.startswith(_FORMULA_STARTS) and not _PLAIN_NUMBER.fullmatch(value):
        return f"'{value}"
    return value
