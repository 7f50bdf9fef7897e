"""What can be proven of a broadcast over HTTP: one person's story, who is unknown, the receipt and its key."""

from http import HTTPStatus

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from server.api_models.broadcasts import Broadcast
from server.api_models.truth import PublicKey, Receipt, SettleRequest, Story, UnknownPage
from server.cursors import page, read_cursor
from server.domain.receipts import named
from server.parameters import Cursor, Id, Limit
from server.problems import responses
from server.services import broadcast_json, receipts, settlements, stories, unknowns
from server.web_resources import BusinessId, ProcessResources, Resources, Transaction

router = APIRouter(
    prefix="/broadcasts/{broadcast_id}",
    tags=["Truth"],
    responses=responses(
        HTTPStatus.UNAUTHORIZED, HTTPStatus.NOT_FOUND, HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.SERVICE_UNAVAILABLE
    ),
)

# Beside the others: the key is the same for every broadcast, and public.
key_router = APIRouter(tags=["Truth"], responses=responses(HTTPStatus.SERVICE_UNAVAILABLE))


@router.get("/recipients/{recipient_id}")
async def show_story(
    broadcast_id: Id, recipient_id: Id, connection: Transaction, business_id: BusinessId, resources: Resources
) -> Story:
    """One person's story: every attempt with what was asked and answered, every webhook about them, in order."""
    await broadcast_json.show(connection, business_id, broadcast_id)
    version = resources.settings.graph_api_version
    return Story.model_validate(await stories.tell(connection, broadcast_id, recipient_id, api_version=version))


@router.get("/unknowns")
async def list_unknowns(
    broadcast_id: Id,
    connection: Transaction,
    business_id: BusinessId,
    resources: Resources,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> UnknownPage:
    """Who is unknown, for how long, by when it is decided, and what the evidence says now."""
    await broadcast_json.show(connection, business_id, broadcast_id)
    after_id = read_cursor(cursor) or 0
    patience = unknowns.Patience.of(resources.settings)
    found = await unknowns.page(connection, broadcast_id, patience, after_id=after_id, limit=limit + 1)
    return UnknownPage.model_validate(page(found, limit))


@router.post("/recipients/{recipient_id}/settle", responses=responses(HTTPStatus.CONFLICT))
async def settle_unknown(
    broadcast_id: Id, recipient_id: Id, wanted: SettleRequest, connection: Transaction, business_id: BusinessId
) -> Broadcast:
    """Settle somebody unknown by hand; it is kept in the history. The last one ends a broadcast that settles.

    `resend` sends it again, also to somebody who has got it already: it takes effect within a few seconds.
    """
    await broadcast_json.show(connection, business_id, broadcast_id)
    await settlements.settle(connection, broadcast_id, recipient_id, wanted.settlement)
    return Broadcast.model_validate(await broadcast_json.show(connection, business_id, broadcast_id))


@router.get("/receipt", response_model=Receipt)
async def show_receipt(broadcast_id: Id, resources: Resources, business_id: BusinessId) -> JSONResponse:
    """The signed reconciliation of audience, rows, attempts, message ids and statuses, with the chain of its history.

    Before the broadcast has ended it says `"final": false`. Counting a million people takes some seconds.
    """
    # As it was signed: a model could write an instant or a number in another way.
    return JSONResponse(await receipts.issue(resources.engine, resources.vault, business_id, broadcast_id))


@key_router.get("/receipt-key")
async def show_receipt_key(resources: ProcessResources) -> PublicKey:
    """The public key that receipts are checked with. It needs no API key: whoever is given a receipt may ask."""
    async with resources.engine.begin() as connection:
        return PublicKey.model_validate(named(await receipts.signing_key(connection, resources.vault)))
