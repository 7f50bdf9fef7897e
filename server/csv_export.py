"""The people of a broadcast, and contacts, as a CSV file, streamed: of any size, and harmless in a spreadsheet."""

import csv
import io
import re
from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from fastapi.responses import Response, StreamingResponse

from server.services import contacts, recipients, vocabulary
from server.services.contacts import Filters
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


def contacts_csv(engine: Connects, business_id: int, filters: Filters) -> CsvResponse:
    """Contacts as an import takes them: a column for each attribute, tags with a semicolon between them."""
    headers = {"Content-Disposition": 'attachment; filename="contacts.csv"'}
    return CsvResponse(_lines_of_contacts(engine, business_id, filters), headers=headers)


async def _lines_of_contacts(engine: Connects, business_id: int, filters: Filters) -> AsyncIterator[str]:
    async with engine.connect() as connection:
        attributes = await vocabulary.every_attribute(connection, business_id)
    yield _written([("phone", "name", "tags", "opted_out", *attributes)])
    after_id = 0
    while True:
        async with engine.connect() as connection:
            people = await contacts.page(connection, business_id, filters, after_id=after_id, limit=_PAGE)
        if not people:
            return
        yield _written(_of_contact(person, attributes) for person in people)
        after_id = people[-1]["id"]


def table_csv(name: str, head: Sequence[str], rows: Iterable[Sequence[Any]]) -> Response:
    """A small table as a file. name: of the file."""
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    # Without this mark a spreadsheet takes it for a file in an old alphabet.
    return Response("\N{BYTE ORDER MARK}" + _written([head, *rows]), media_type="text/csv", headers=headers)


def _of_contact(person: dict[str, Any], attributes: Iterable[str]) -> list[Any]:
    own = [person["phone"], person["name"], "; ".join(person["tags"]), "yes" if person["opted_out"] else "no"]
    return [*own, *(person["attributes"].get(name) for name in attributes)]


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
