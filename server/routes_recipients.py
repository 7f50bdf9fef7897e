"""The people of a broadcast over HTTP: a list that comes in, and who got it, who did not and why."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Query, Request

from server.api_models.broadcasts import Broadcast
from server.api_models.recipients import RecipientPage
from server.csv_export import CsvResponse, recipients_csv
from server.cursors import page, read_cursor
from server.domain.states import RecipientStatus
from server.once import OnceInParts
from server.parameters import Cursor, Id, Limit
from server.problems import responses
from server.services import broadcast_json, drafts, recipients
from server.uploads import people_of, refuse_nobody
from server.web_resources import BusinessId, Resources, Transaction

router = APIRouter(
    prefix="/broadcasts/{broadcast_id}",
    tags=["Recipients"],
    responses=responses(
        HTTPStatus.UNAUTHORIZED, HTTPStatus.NOT_FOUND, HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.SERVICE_UNAVAILABLE
    ),
)


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


@router.get("/recipients.csv", response_class=CsvResponse)
async def export_recipients(
    broadcast_id: Id, resources: Resources, business_id: BusinessId, status: RecipientStatus | None = None
) -> CsvResponse:
    """Everybody as CSV, streamed."""
    async with resources.engine.connect() as connection:
        await broadcast_json.show(connection, business_id, broadcast_id)
    return recipients_csv(resources.engine, broadcast_id, status)
