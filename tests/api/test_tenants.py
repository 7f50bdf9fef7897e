"""Every route there is, called with the key of one business and the ids of another: nothing is found or changed.

New routes are walked by themselves. One that names a kind of thing which Acme does not have yet fails the walk: say in
`everything_of` how to make one, and in `TABLES` where it is kept if that is not the plural of its name.
"""

import functools
import json
from datetime import date
from typing import Any

import psycopg
import pytest
from sqlalchemy import insert, update
from sqlalchemy.ext.asyncio import AsyncEngine

from server.app import API, create_app
from server.config import Settings
from server.domain.scopes import KeyScope
from server.domain.states import Actor, Move
from server.models import (
    Contact,
    RateCardPrice,
    Segment,
    Suppression,
    WebhookDelivery,
    WebhookEndpoint,
    WhatsAppBroadcast,
    WhatsAppBroadcastRecipient,
)
from server.models import TestMessage as MessageOfATest
from server.services import accounts
from server.services.events import add_event
from tests.api.conftest import Answer, Api
from tests.support.builders import VAULT, Tenant, a_broadcast
from tests.support.openapi import Operation, Request, operations

# Neither stands in an example of the document: whoever reads one has it from Acme.
SECRET = "Secret of Acme"
PHONE = "+972509990001"
TABLES = {
    "broadcast_id": "whatsapp_broadcasts",
    "key_id": "api_keys",
    "recipient_id": "whatsapp_broadcast_recipients",
    "webhook_id": "webhook_endpoints",
    "delivery_id": "webhook_deliveries",
}
# The only list that is not empty for a business that has nothing: the key that asks stands on it.
NEVER_EMPTY = f"{API}/api-keys"
DOCUMENT = create_app(Settings()).openapi()
# A public key is for whoever checks a receipt.
OPEN = f"{API}/receipt-key"
WALK = [operation for operation in operations(DOCUMENT) if operation.path.startswith(API) and operation.path != OPEN]

_WITHOUT_POLICIES = """
    DO $$ DECLARE t regclass; BEGIN
        FOR t IN SELECT oid::regclass FROM pg_class WHERE relrowsecurity
        LOOP EXECUTE format('ALTER TABLE %s DISABLE ROW LEVEL SECURITY', t); END LOOP;
    END $$
"""


async def everything_of(engine: AsyncEngine, tenant: Tenant) -> None:
    """One of each kind of thing, with Acme's secret in it."""
    made = await a_broadcast(engine, recipients=1, status="completed", tenant=tenant)
    ours = {"business_id": tenant.business_id, "broadcast_id": made.id}
    test = {**ours, "channel_id": tenant.channel_id, "phone": PHONE, "status": "sent", "error_message": SECRET}
    async with engine.begin() as connection:
        await connection.execute(update(WhatsAppBroadcast).values(name=SECRET))
        await connection.execute(update(WhatsAppBroadcastRecipient).values(phone=PHONE, variables={"name": SECRET}))
        await add_event(connection, made.id, Move.QUEUE, by=Actor.USER, before="draft", detail=SECRET)
        await connection.execute(insert(MessageOfATest).values(test))
        values = {"business_id": tenant.business_id, "phone": PHONE, "reason": SECRET}
        await connection.execute(insert(Suppression).values(values))
        await accounts.create_api_key(connection, tenant.business_id, SECRET, KeyScope.READ)
        contact = {"business_id": tenant.business_id, "phone": PHONE, "name": SECRET, "tags": ["vip"]}
        await connection.execute(insert(Contact).values(contact))
        price = {"country": "IL", "category": "utility", "price": 1, "currency": "EUR", "valid_from": date(2026, 1, 1)}
        await connection.execute(insert(RateCardPrice).values(business_id=tenant.business_id, **price))
        segment = {"business_id": tenant.business_id, "name": SECRET, "audience": {"tags": ["vip"]}}
        await connection.execute(insert(Segment).values(segment))
        endpoint = {"business_id": tenant.business_id, "url": "https://acme.example/", "events": ["recipient.failed"]}
        endpoint |= {"description": SECRET, "secret_encrypted": VAULT.encrypt("whsec_" + "MDAw" * 8)}
        endpoint_id = await connection.scalar(insert(WebhookEndpoint).values(endpoint).returning(WebhookEndpoint.id))
        delivery = {"business_id": tenant.business_id, "endpoint_id": endpoint_id, "event": "recipient.failed"}
        await connection.execute(insert(WebhookDelivery).values({**delivery, "data": {"phone": PHONE}}))


@pytest.fixture
async def acme(api: Api, engine: AsyncEngine) -> Api:
    """A client of a business that has everything."""
    with psycopg.connect(database_of(engine)) as connection:
        row = connection.execute("SELECT id FROM channels WHERE business_id = %s", [api.business_id]).fetchone()
    assert row is not None
    await everything_of(engine, Tenant(api.business_id, row[0]))
    return api


@pytest.fixture
async def stranger(api: Api, engine: AsyncEngine) -> Api:
    """A client of a business that has nothing, with a key that may do everything."""
    async with engine.begin() as connection:
        business_id = await accounts.create_business(connection, "Stranger", "s@example.com", "a password")
        return Api(api.address, await accounts.create_api_key(connection, business_id, "its own"), business_id)


def database_of(engine: AsyncEngine) -> str:
    """The database of an engine, for psycopg."""
    return engine.url.set(drivername="postgresql").render_as_string(hide_password=False)


def id_of(connection: psycopg.Connection, owner: Api, name: str) -> Any:
    """The id of a thing of the owner's, for a parameter such as `broadcast_id`."""
    if name == "phone":
        return PHONE
    table = TABLES.get(name, f"{name.removesuffix('_id')}s")
    exists = connection.execute("SELECT to_regclass(%s) IS NOT NULL", [table]).fetchone()
    assert exists == (True,), f"say in TABLES where a {name} is kept"
    row = connection.execute(
        f"SELECT max(id) FROM {table} WHERE business_id = %s",  # noqa: S608 - our own table
        [owner.business_id],
    ).fetchone()
    assert row is not None
    assert row[0] is not None, f"say in everything_of how to make a {name}"
    return row[0]


def call(caller: Api, request: Request) -> Answer:
    """Make a request of the walk."""
    return caller.call(request.method, request.path, request.body, content_type=request.content_type)


def rows_of(connection: psycopg.Connection, business_id: int) -> dict[str, Any]:
    """Everything that a business has, a fingerprint for each table."""
    tables = connection.execute(
        "SELECT table_name FROM information_schema.columns"
        " WHERE table_schema = 'public' AND column_name = 'business_id'"
    ).fetchall()
    return {
        table: connection.execute(
            f"SELECT md5(string_agg(t::text, ',' ORDER BY t::text)) FROM {table} t WHERE business_id = %s",  # noqa: S608 - our own tables
            [business_id],
        ).fetchone()
        for (table,) in tables
    }


def assert_nothing_is_given_away(operation: Operation, answer: Answer) -> None:
    """The answer to a stranger holds nothing of Acme's."""
    said = f"{operation}: {answer.status} {answer.body.decode()[:300]}"
    assert SECRET not in answer.body.decode(), said
    assert PHONE not in answer.body.decode(), said
    if operation.names_something:
        assert answer.status == 404, said
    elif operation.method == "GET":
        assert answer.status == 200, said
        if operation.path != NEVER_EMPTY and "items" in answer.json:
            assert answer.json["items"] == [], said
    else:
        # Made from nothing but the document's example, by a business that has no number yet; or of Acme's number.
        assert answer.status in {200, 201, 202, 204, 409, 422, 503}, said


@pytest.mark.parametrize("walls", ["the application's and PostgreSQL's", "the application's alone"])
def test_with_another_business_key_and_ids_nothing_is_found_or_changed(
    acme: Api, stranger: Api, database_url: str, walls: str
) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        if walls.endswith("alone"):
            connection.execute(_WITHOUT_POLICIES)
        ids = functools.cache(lambda name: id_of(connection, acme, name))
        before = rows_of(connection, acme.business_id)
        assert all(before[table] != (None,) for table in set(TABLES.values()))
        for operation in WALK:
            for request in operation.requests(ids):
                assert_nothing_is_given_away(operation, call(stranger, request))
        assert rows_of(connection, acme.business_id) == before
        # The same requests with Acme's own key find what they name: the walk went to the right places.
        for operation in WALK:
            for request in operation.requests(ids):
                answer = call(acme, request)
                assert answer.status not in {401, 403, 404, 405, 500}, f"{operation}: {answer.status} {answer.body!r}"


@pytest.mark.parametrize("operation", WALK, ids=str)
def test_every_route_says_which_scope_it_needs(operation: Operation) -> None:
    assert len(operation.scopes) == 1
    needed = KeyScope(operation.scopes[0])
    assert needed is not KeyScope.READ or operation.method == "GET"
    assert {"401", "403"} <= set(operation.spec["responses"])


def test_everything_in_the_document_but_health_needs_a_key() -> None:
    assert [str(operation) for operation in operations(DOCUMENT) if operation not in WALK] == [f"GET {OPEN}"]


def test_a_key_opens_what_its_scope_reaches_and_no_more(acme: Api, engine: AsyncEngine, database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        for scope in KeyScope:
            key = acme.post("/api-keys", {"name": scope, "scope": scope}).json["key"]
            caller = Api(acme.address, key, acme.business_id)
            for operation in WALK:
                if scope.includes(KeyScope(operation.scopes[0])):
                    continue
                for request in operation.requests(lambda name: id_of(connection, acme, name)):
                    answer = call(caller, request)
                    assert answer.status == 403, f"{scope}: {operation}: {answer.status}"
                    assert answer.headers["content-type"] == "application/problem+json"
                    assert json.loads(answer.body)["detail"].startswith(f"This API key has the scope `{scope}`")
