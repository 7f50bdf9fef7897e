"""Tests of a broadcast over HTTP: its real message to a few phones, marked as a test and not counted."""

from http import HTTPStatus

from fastapi import APIRouter

from server import steering
from server.api_models.tests import TestMessagePage, TestRequest
from server.cursors import page, read_cursor
from server.once import OnceInParts
from server.parameters import Cursor, Id, Limit
from server.problems import responses
from server.services import broadcast_json, test_messages
from server.web_resources import BusinessId, Resources, Transaction

router = APIRouter(
    prefix="/broadcasts/{broadcast_id}",
    tags=["Tests"],
    responses=responses(
        HTTPStatus.UNAUTHORIZED, HTTPStatus.NOT_FOUND, HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.SERVICE_UNAVAILABLE
    ),
)


@router.post("/test", responses=responses(HTTPStatus.CONFLICT))
async def send_test(
    broadcast_id: Id, wanted: TestRequest, resources: Resources, business_id: BusinessId, once: OnceInParts
) -> TestMessagePage:
    """Send the real message to at most 10 phones now. Nobody who opted out gets it; nothing of it is counted."""
    return await steering.send_test(resources, business_id, broadcast_id, wanted.phones, wanted.variables, once)


@router.get("/tests")
async def list_tests(
    broadcast_id: Id, connection: Transaction, business_id: BusinessId, limit: Limit = 50, cursor: Cursor = None
) -> TestMessagePage:
    """The test messages of a broadcast, with what WhatsApp reported of them since."""
    await broadcast_json.show(connection, business_id, broadcast_id)
    after_id = read_cursor(cursor) or 0
    found = await test_messages.page(connection, broadcast_id, after_id=after_id, limit=limit + 1)
    return TestMessagePage.model_validate(page(found, limit))
