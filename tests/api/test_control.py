"""Stopping a broadcast and changing its rate, as a client sees it."""

import psycopg

from tests.api.conftest import Api, an_order, people


def hold_some(database_url: str, broadcast_id: int, count: int) -> None:
    """As a run leaves the row while so many answers are on their way."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            "UPDATE whatsapp_broadcast_recipients SET status = 'sending', claim_number = 1, attempts = 1"
            " WHERE broadcast_id = %(id)s AND id IN (SELECT id FROM whatsapp_broadcast_recipients"
            " WHERE broadcast_id = %(id)s ORDER BY id LIMIT %(count)s)",
            {"id": broadcast_id, "count": count},
        )
        connection.execute(
            "UPDATE whatsapp_broadcasts SET status = 'running', run_epoch = 1, lease_holder = 'somebody',"
            " lease_expires_at = now() + interval '1 hour', last_processed_recipient_id ="
            " (SELECT max(id) FROM whatsapp_broadcast_recipients WHERE broadcast_id = %(id)s AND status = 'sending')"
            " WHERE id = %(id)s",
            {"id": broadcast_id},
        )


def test_a_stop_says_how_many_were_in_flight(api: Api, database_url: str) -> None:
    for move in ("pause", "cancel"):
        broadcast_id = api.post("/broadcasts", an_order(recipients=people(50))).json["id"]
        hold_some(database_url, broadcast_id, 18)
        answer = api.post(f"/broadcasts/{broadcast_id}/{move}")
        assert (answer.status, answer.json["in_flight_count"]) == (202, 18)
    idle = api.post("/broadcasts", an_order()).json["id"]
    assert api.post(f"/broadcasts/{idle}/pause").json["in_flight_count"] == 0
    assert "in_flight_count" not in api.get(f"/broadcasts/{idle}").json


def test_a_rate_can_be_changed_while_a_broadcast_can_send(api: Api, other: Api) -> None:
    path = f"/api/whatsapp/broadcasts/{api.post('/broadcasts', an_order(start=False)).json['id']}"
    changed = api.call("PATCH", path, {"rate_limit": 40})
    assert (changed.status, changed.json["rate_limit"]) == (200, 40)
    assert api.call("PATCH", path, {"rate_limit": None}).json["rate_limit"] is None
    assert other.call("PATCH", path, {"rate_limit": 1}).status == 404
    for body in ({"rate_limit": 0}, {"rate_limit": "fast"}, {}, {"rate_limit": 1, "status": "running"}):
        assert api.call("PATCH", path, body).status == 422, body
    api.call("POST", f"{path}/cancel")
    refused = api.call("PATCH", path, {"rate_limit": 5})
    assert (refused.status, refused.json["detail"]) == (409, "A broadcast that is cancelled cannot have another rate.")


def test_what_limits_a_broadcast_is_said_of_one_that_does_not_run_too(api: Api) -> None:
    draft = api.post("/broadcasts", an_order(start=False)).json
    queued = api.post("/broadcasts", an_order()).json
    paused = api.post(f"/broadcasts/{queued['id']}/pause").json
    assert (draft["limited_by"], queued["limited_by"], paused["limited_by"]) == (None, "nothing", None)
    assert (draft["eta"], queued["eta"], paused["eta"]) == (None, None, None)
