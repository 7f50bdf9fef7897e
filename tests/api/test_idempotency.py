"""A request that comes again, also at the same time, gets the answer that it got, for a day."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import text, update
from sqlalchemy.ext.asyncio import AsyncEngine

from server.models import WhatsAppBroadcastRecipient
from server.services.steward import Policy, go_round
from tests.api.conftest import Api, an_order
from tests.support.builders import Tenant, a_broadcast
from tests.support.simulator import Simulator

POLICY = Policy(unknown_grace_seconds=60, unknown_max_wait_seconds=60, max_attempts=3)


@pytest.fixture
async def failed(api: Api, engine: AsyncEngine) -> str:
    """Where a broadcast whose people all failed is retried."""
    async with engine.begin() as connection:
        channel_id = await connection.scalar(text("SELECT min(id) FROM channels"))
    made = await a_broadcast(engine, 3, status="failed", tenant=Tenant(api.business_id, int(channel_id or 0)))
    async with engine.begin() as connection:
        await connection.execute(update(WhatsAppBroadcastRecipient).values(status="failed"))
    return f"/broadcasts/{made.id}/retry"


def test_identical_retries_at_once_are_one_broadcast(api: Api, failed: str) -> None:
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: api.post(failed, Idempotency_Key="again"), range(6)))
    assert {answer.status for answer in answers} == {202}
    assert len({answer.json["id"] for answer in answers}) == 1
    assert api.post(failed, {"include": ["failed", "unknown"]}, Idempotency_Key="again").status == 409
    assert api.post(failed).status == 422  # nobody is left; without the key it is another request


def test_a_key_of_one_call_is_not_taken_for_another(api: Api, failed: str) -> None:
    assert api.post("/broadcasts", an_order(start=False), Idempotency_Key="k").status == 202
    assert api.post(failed, Idempotency_Key="k").status == 409


def test_two_businesses_may_use_the_same_key(api: Api, other: Api) -> None:
    made = [each.post("/broadcasts", an_order(start=False), Idempotency_Key="k") for each in (api, other)]
    assert [answer.status for answer in made] == [202, 202]
    assert made[0].json["id"] != made[1].json["id"]


async def test_after_a_day_a_key_is_free_again(api: Api, engine: AsyncEngine) -> None:
    def ask() -> int:
        return int(api.post("/broadcasts", an_order(start=False), Idempotency_Key="k").json["id"])

    first = ask()
    for hours, is_forgotten in ((23, False), (24, True)):
        async with engine.begin() as connection:
            values = {"age": f"{hours} hours 1 second"}
            aged = "UPDATE idempotency_keys SET created_at = clock_timestamp() - CAST(:age AS interval)"
            await connection.execute(text(aged), values)
        await go_round(engine, POLICY)
        assert (ask() != first) is is_forgotten


CONTACT = {"phone": "+972501234567", "name": "Dana"}
SEGMENT = {"name": "Everybody", "audience": {}}
CHANNEL = {
    "phone_number_id": "1", "waba_id": "102290129340398", "token": "t", "app_secret": "s", "verify_token": "v",
}  # fmt: skip
# What is made, with what, where it is counted, and with what other body the key does not go.
MAKE = [
    ("/contacts", CONTACT, "contacts", {**CONTACT, "name": "Noa"}),
    ("/segments", SEGMENT, "segments", {**SEGMENT, "name": "All"}),
    ("/channels", CHANNEL, "channels", {**CHANNEL, "token": "u"}),
    ("/contacts/import", {"contacts": [CONTACT]}, "contacts", {"contacts": [CONTACT, CONTACT]}),
]


async def count(engine: AsyncEngine, table: str) -> int:
    async with engine.connect() as connection:
        return int(await connection.scalar(text(f"SELECT count(*) FROM {table}")) or 0)  # noqa: S608 - our own table


@pytest.mark.parametrize(("path", "body", "table", "another"), MAKE, ids=[path for path, *_ in MAKE])
async def test_what_is_made_with_a_key_is_made_once_and_the_answer_is_the_same(
    api: Api, engine: AsyncEngine, path: str, body: object, table: str, another: object
) -> None:
    before = await count(engine, table)
    first = api.post(path, body, Idempotency_Key="k")
    assert first.status in {200, 201}, first.json
    again = api.post(path, body, Idempotency_Key="k")
    assert (again.status, again.json) == (first.status, first.json)
    assert again.headers["content-type"] == "application/json"
    refused = api.post(path, another, Idempotency_Key="k")
    assert (refused.status, refused.headers["content-type"]) == (409, "application/problem+json")
    assert await count(engine, table) == before + 1


@pytest.mark.parametrize(
    ("path", "body", "table"), [made[:3] for made in MAKE[:3]], ids=[path for path, *_ in MAKE[:3]]
)
async def test_of_several_at_once_one_does_it_and_all_get_its_answer(
    api: Api, engine: AsyncEngine, path: str, body: object, table: str
) -> None:
    before = await count(engine, table)
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: api.post(path, body, Idempotency_Key="k"), range(6)))
    assert len({(answer.status, answer.body) for answer in answers}) == 1, answers
    assert answers[0].status == 201
    assert await count(engine, table) == before + 1


def test_a_list_is_added_once_and_answered_as_it_was_then(api: Api) -> None:
    draft = api.post("/broadcasts", an_order(start=False, recipients=[])).json["id"]
    path = f"/broadcasts/{draft}/recipients"
    person = {"phone": "+972501234567", "variables": {"first_name": "Dana", "order_id": "A"}}
    first = api.post(path, {"recipients": [person]}, Idempotency_Key="k")
    assert (first.status, first.json["total_recipients"], first.json["rejected_count"]) == (202, 1, 0)
    again = api.post(path, {"recipients": [person]}, Idempotency_Key="k")
    assert (again.status, again.json) == (202, first.json)
    listed = b"phone,first_name,order_id\n+972501234568,Noa,B\n"
    for key, status, total in (("f", 202, 2), ("f", 202, 2), ("k", 409, None)):
        answer = api.call("POST", f"/api/whatsapp{path}", listed, content_type="text/csv", Idempotency_Key=key)
        assert (answer.status, answer.json.get("total_recipients")) == (status, total)
    other = api.post("/broadcasts", an_order(start=False, recipients=[])).json["id"]
    assert api.post(f"/broadcasts/{other}/recipients", {"recipients": [person]}, Idempotency_Key="k").status == 409


def test_a_test_message_with_a_key_is_sent_once(api: Api, simulator: Simulator) -> None:
    draft = api.post("/broadcasts", an_order(start=False)).json["id"]
    wanted = {"phones": ["+972501234567"]}
    with ThreadPoolExecutor(4) as pool:
        path = f"/broadcasts/{draft}/test"
        answers = list(pool.map(lambda _: api.post(path, wanted, Idempotency_Key="k"), range(4)))
    assert {answer.status for answer in answers} <= {200, 409}
    assert api.post(path, wanted, Idempotency_Key="k").json["items"][0]["status"] == "sent"
    assert simulator.summary()["accepted"] == 1


async def test_a_test_that_was_cut_off_is_not_sent_again(api: Api, engine: AsyncEngine, simulator: Simulator) -> None:
    draft = api.post("/broadcasts", an_order(start=False)).json["id"]
    path, wanted = f"/broadcasts/{draft}/test", {"phones": ["+972501234567"]}
    assert api.post(path, wanted, Idempotency_Key="k").status == 200
    async with engine.begin() as connection:  # as a process leaves it that dies before the answer
        await connection.execute(text("UPDATE idempotency_keys SET answer = NULL, status = NULL"))
    cut_off = api.post(path, wanted, Idempotency_Key="k")
    assert (cut_off.status, "was cut off" in cut_off.json["detail"]) == (409, True)
    assert simulator.summary()["accepted"] == 1


def test_a_request_that_was_refused_is_not_kept(api: Api) -> None:
    assert api.post("/contacts", {"phone": "12"}, Idempotency_Key="k").status == 422
    assert api.post("/contacts/import", {"contacts": [{"phone": "12"}]}, Idempotency_Key="k").status == 422
    assert api.post("/contacts", CONTACT, Idempotency_Key="k").status == 201
    assert api.post("/contacts", CONTACT, Idempotency_Key="another").status == 409  # there is a contact with this phone
    assert api.post("/segments", SEGMENT, Idempotency_Key="x" * 256).status == 422


def test_a_key_of_a_broadcast_is_not_taken_for_a_contact_nor_back(api: Api, other: Api) -> None:
    assert api.post("/broadcasts", an_order(start=False), Idempotency_Key="k").status == 202
    assert api.post("/contacts", CONTACT, Idempotency_Key="k").status == 409
    assert other.post("/contacts", CONTACT, Idempotency_Key="k").status == 201
    assert other.post("/broadcasts", an_order(start=False), Idempotency_Key="k").status == 409
