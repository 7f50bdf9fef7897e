"""The people of a broadcast over HTTP: a list that comes in, and who got it, who did not and why."""

import csv
import io
import re
from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request
from fastapi.responses import StreamingResponse

from server.api_models.broadcasts import Broadcast
from server.api_models.recipients import RecipientPage
from server.cursors import page, read_cursor
from server.domain.states import RecipientStatus
from server.once import OnceInParts
from server.parameters import Cursor, Id, Limit
from server.problems import responses
from server.services import broadcast_json, drafts, recipients
from server.uploads import people_of, refuse_nobody
from server.web_resources import BusinessId, Resources, Transaction, WebResources

router = APIRouter(
    prefix="/broadcasts/{broadcast_id}",
    tags=["Recipients"],
    responses=responses(
        HTTPStatus.UNAUTHORIZED, HTTPStatus.NOT_FOUND, HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.SERVICE_UNAVAILABLE
    ),
)


class _CsvResponse(StreamingResponse):
    media_type = "text/csv"


@router.post(
    "/recipients",
    status_code=HTTPStatus.ACCEPTED,
    responses=responses(HTTPStatus.CONFLICT),
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {
                        "type": "object",
                        "required": ["recipients"],
                        "additionalProperties": False,
                        "properties": {
                            "recipients": {
                                "type": "array",
                                "minItems": 1,
                                "items": {"$ref": "#/components/schemas/Recipient"},
                            }
                        },
                    }
                },
                "text/csv": {"schema": {"type": "string"}, "example": "phone,first_name\n+972501234567,Dana\n"},
                "application/x-ndjson": {
                    "schema": {"type": "string"},
                    "example": '{"phone": "+972501234567", "variables": {"first_name": "Dana"}}\n',
                },
            },
        }
    },
)
async def add_recipients(
    broadcast_id: Id,
    request: Request,
    resources: Resources,
    business_id: BusinessId,
    once: OnceInParts,
    phone_column: Annotated[str | None, Query(max_length=200, description="of a CSV file")] = None,
) -> Broadcast:
    """Add people to a draft: JSON, or a list of any size as a CSV file or as JSON lines.

    Rows that cannot be used are in `rejected`, with their line, and stop nobody else.
    """
    async with resources.engine.connect() as connection:
        await broadcast_json.show(connection, business_id, broadcast_id)
    async with people_of(request, phone_column) as people, resources.engine.begin() as connection:
        await broadcast_json.show(connection, business_id, broadcast_id)
        await once.begin(connection)
        refuse_nobody(await drafts.add_recipients(connection, broadcast_id, people), people)
        shown = await broadcast_json.show(connection, business_id, broadcast_id)
        return await once.keep(connection, Broadcast.model_validate(shown))


@router.get("/recipients")
async def list_recipients(
    broadcast_id: Id,
    connection: Transaction,
    business_id: BusinessId,
    status: RecipientStatus | None = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> RecipientPage:
    """Who got it, who did not, and why."""
    await broadcast_json.show(connection, business_id, broadcast_id)
    after_id = read_cursor(cursor) or 0
    found = await recipients.page(connection, broadcast_id, status=status, after_id=after_id, limit=limit + 1)
    return RecipientPage.model_validate(page(found, limit))


@router.get("/recipients.csv", response_class=_CsvResponse)
async def export_recipients(
    broadcast_id: Id, resources: Resources, business_id: BusinessId, status: RecipientStatus | None = None
) -> StreamingResponse:
    """Everybody as CSV, streamed."""
    async with resources.engine.connect() as connection:
        await broadcast_json.show(connection, business_id, broadcast_id)
    headers = {"Content-Disposition": f'attachment; filename="broadcast-{broadcast_id}.csv"'}
    return _CsvResponse(_csv(resources, broadcast_id, status), headers=headers)


# With these a spreadsheet begins a formula (OWASP, "CSV injection"); a phone number is none.
_FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r")
_PLAIN_NUMBER: Final = re.compile(r"[+-]?\d+")
_EXPORT_PAGE: Final = 5_000
_CSV_COLUMNS: Final = (
    "id", "phone", "status", "attempts", "message_id", "error_code", "error_message", "sent_at", "delivered_at",
    "read_at", "failed_at",
)  # fmt: skip


async def _csv(resources: WebResources, broadcast_id: int, status: str | None) -> AsyncIterator[str]:
    """A page at a time, each read on its own: a slow reader holds no connection and no old rows."""
    yield _csv_lines([_CSV_COLUMNS])
    after_id = 0
    while True:
        async with resources.engine.connect() as connection:
            people = await recipients.page(
                connection, broadcast_id, status=status, after_id=after_id, limit=_EXPORT_PAGE
            )
        if not people:
            return
        yield _csv_lines([person[column] for column in _CSV_COLUMNS] for person in people)
        after_id = people[-1]["id"]


def _csv_lines(rows: Iterable[Iterable[Any]]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer).writerows([_csv_field(value) for value in row] for row in rows)
    return buffer.getvalue()


def _csv_field(value: Any) -> Any:
    """A value as a spreadsheet can take it. A text that it would run as a formula becomes one that it shows."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, str) and value.startswith(_FORMULA_STARTS) and not _PLAIN_NUMBER.fullmatch(value):
        return f"'{value}"
    return value
