"""What can be proven of a broadcast, over HTTP: stories, unknowns, settlements, receipts."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from server.domain.history import break_in
from server.domain.receipts import differences, read
from server.domain.states import FINAL
from tests.api.conftest import Api, an_order
from tests.support.engine import Engine, until
from tests.support.simulator import Simulator

_UNKNOWN = text("""
    WITH b AS (UPDATE whatsapp_broadcasts SET status = 'settling', unknown_count = 1 WHERE id = :id)
    UPDATE whatsapp_broadcast_recipients
       SET status = 'unknown', unknown_at = now(), attempts = 1, claim_number = 1, claimed_at = now()
     WHERE broadcast_id = :id
""")


async def an_unknown(engine: AsyncEngine, api: Api) -> str:
    """The path of a broadcast whose one person is unknown."""
    broadcast_id = api.post("/broadcasts", an_order()).json["id"]
    async with engine.begin() as connection:
        await connection.execute(_UNKNOWN, {"id": broadcast_id})
        await connection.execute(
            text("INSERT INTO send_attempts (broadcast_id, recipient_id, claim_number, business_id, claimed_at,"
                 " outcome, is_counted) SELECT broadcast_id, id, 1, business_id, claimed_at, 'unknown', true"
                 " FROM whatsapp_broadcast_recipients WHERE broadcast_id = :id"),
            {"id": broadcast_id},
        )  # fmt: skip
    return f"/broadcasts/{broadcast_id}"


def test_the_story_of_a_person_is_what_the_simulator_was_asked(api: Api, clarion: Engine, simulator: Simulator) -> None:
    clarion.start("worker")
    broadcast_id = api.post("/broadcasts", an_order()).json["id"]
    until(lambda: api.get(f"/broadcasts/{broadcast_id}").json["status"] in FINAL)
    story = api.get(f"/broadcasts/{broadcast_id}/recipients/1").json
    (attempt,) = [entry for entry in story["entries"] if entry["kind"] == "attempt"]
    assert (attempt["outcome"], attempt["asked"]["rendered_now"]) == ("accepted", True)
    assert attempt["message_id"] == simulator.accepted()[0]["message_id"]
    preview = api.get(f"/broadcasts/{broadcast_id}/preview?phone=%2B972501234567").json
    assert attempt["asked"]["body"] == preview
    moves = [entry["move"] for entry in story["entries"] if entry["kind"] == "history"]
    assert moves == ["queue", "complete"]
    assert story["recipient"]["status"] == "sent"

    receipt = read(api.get(f"/broadcasts/{broadcast_id}/receipt").body)
    key = Api(api.address, "", 0).get("/receipt-key").json
    assert differences(receipt, key["public_key"]) == []
    assert (receipt["final"], receipt["holds"], receipt["counts"]["recipients"]["count"]) == (True, True, 1)
    assert receipt["key"] == key


async def test_an_unknown_is_listed_settled_once_and_kept_in_the_history(engine: AsyncEngine, api: Api) -> None:
    path = await an_unknown(engine, api)
    (unknown,) = api.get(f"{path}/unknowns").json["items"]
    assert (unknown["id"], unknown["phone"], unknown["would_be"]) == (1, "+972501234567", "fail")
    assert "No status has ever come" in unknown["evidence"]
    settled = api.post(f"{path}/recipients/1/settle", {"as": "sent"})
    assert (settled.status, settled.json["status"], settled.json["sent_count"]) == (200, "completed", 1)
    again = api.post(f"{path}/recipients/1/settle", {"as": "failed"})
    assert (again.status, again.json["detail"]) == (
        409, "This recipient is sent, not unknown: there is nothing to settle.",
    )  # fmt: skip
    assert api.get(f"{path}/unknowns").json == {"items": [], "next_cursor": None}
    history = api.get(f"{path}/history").json["items"]
    assert [(item["actor"], item["move"], item["recipient_id"]) for item in history][1:] == [
        ("user", "settle_by_hand", 1),
        ("user", "complete", None),
    ]
    receipt = read(api.get(f"{path}/receipt").body)
    assert receipt["holds"]
    assert receipt["counts"]["messages"]["without_id_settled_by_hand"] == 1
    assert break_in(receipt["history"]["events"], history[-1]["hash"]) is None


async def test_what_is_sent_again_by_hand_is_sent(
    engine: AsyncEngine, api: Api, clarion: Engine, simulator: Simulator
) -> None:
    path = await an_unknown(engine, api)
    answer = api.post(f"{path}/recipients/1/settle", {"as": "resend"})
    assert (answer.status, answer.json["status"]) == (200, "queued")
    clarion.start("worker")
    clarion.start("steward")
    until(lambda: api.get(path).json["status"] == "completed")
    assert [entry["to"] for entry in simulator.accepted()] == ["+972501234567"]
    outcomes = [entry["outcome"] for entry in api.get(f"{path}/recipients/1").json["entries"] if "outcome" in entry]
    assert outcomes == ["unknown", "accepted"]
    assert differences(read(api.get(f"{path}/receipt").body)) == []


async def test_a_broadcast_that_has_not_ended_has_a_receipt_that_says_so(engine: AsyncEngine, api: Api) -> None:
    receipt = read(api.get(f"{await an_unknown(engine, api)}/receipt").body)
    assert (receipt["final"], receipt["holds"], receipt["counts"]["unknowns"]) == (False, True, 1)
    assert differences(receipt) == []


async def test_nobody_else_sees_or_settles_anything_of_it(engine: AsyncEngine, api: Api, other: Api) -> None:
    path = await an_unknown(engine, api)
    for look in ("/unknowns", "/receipt", "/recipients/1"):
        assert other.get(path + look).status == 404, look
        assert Api(api.address, "", 0).get(path + look).status == 401, look
    assert other.post(f"{path}/recipients/1/settle", {"as": "sent"}).status == 404
    assert Api(api.address, "", 0).post(f"{path}/recipients/1/settle", {"as": "sent"}).status == 401
    assert api.get(f"{path}/unknowns").json["items"]


async def test_what_cannot_be_used_is_told(engine: AsyncEngine, api: Api) -> None:
    path = await an_unknown(engine, api)
    for body in ({}, {"as": "lost"}, {"as": "sent", "why": "?"}, {"settlement": "sent"}):
        assert api.post(f"{path}/recipients/1/settle", body).status == 422, body
    assert api.post(f"{path}/recipients/404/settle", {"as": "sent"}).status == 404
    assert api.get(f"{path}/recipients/404").status == 404
    assert api.get("/broadcasts/404/receipt").status == 404
