"""Broadcasts over HTTP, as a client sees them."""

import json
import threading
import urllib.request
from datetime import UTC, datetime, timedelta

from server.domain.states import FINAL
from tests.api.conftest import Answer, Api, an_order, people
from tests.support.engine import Engine, until
from tests.support.simulator import Simulator

IN_TOKYO = """
    DO $$ BEGIN EXECUTE format('ALTER DATABASE %%I SET timezone = %%L', current_database(), 'Asia/Tokyo'); END $$
"""
FIRST_NAME = "/recipients/0/variables/first_name"


def test_a_broadcast_is_made_started_sent_and_shown(api: Api, clarion: Engine, simulator: Simulator) -> None:
    clarion.start("worker")
    made = api.post("/broadcasts", an_order())
    assert made.status == 202
    assert made.json["status"] == "queued"
    broadcast_id = made.json["id"]
    until(lambda: api.get(f"/broadcasts/{broadcast_id}").json["status"] in FINAL)

    shown = api.get(f"/broadcasts/{broadcast_id}").json
    assert (shown["status"], shown["sent_count"], shown["last_processed_recipient_id"]) == ("completed", 1, 1)
    (person,) = api.get(f"/broadcasts/{broadcast_id}/recipients?status=sent").json["items"]
    assert person["message_id"] == simulator.accepted()[0]["message_id"]
    moves = [item["move"] for item in api.get(f"/broadcasts/{broadcast_id}/history").json["items"]]
    assert moves == ["queue", "run", "complete"]
    events = api.call("GET", f"/api/whatsapp/broadcasts/{broadcast_id}/events").body.decode()
    assert events.count("event: progress") == 1
    csv = api.get(f"/broadcasts/{broadcast_id}/recipients.csv").body.decode().splitlines()
    assert csv[1].startswith("1,+972501234567,sent,1,wamid.")


def test_a_draft_is_filled_by_json_and_by_csv_and_then_started(api: Api) -> None:
    draft = api.post("/broadcasts", an_order(start=False, default_country="IL")).json
    assert draft["status"] == "draft"
    path = f"/broadcasts/{draft['id']}"
    more = api.post(f"{path}/recipients", {"recipients": people(5)})
    assert (more.status, more.json["total_recipients"]) == (202, 6)
    csv = b"phone,first_name,order_id\n0521111111,Maya,A-1\n0521111111,Maya,A-1\n12,x,y\n"
    filled = api.call("POST", f"/api/whatsapp{path}/recipients", csv, content_type="text/csv").json
    assert (filled["total_recipients"], filled["rejected_count"]) == (7, 2)
    assert filled["rejected"] == [
        {"row": 3, "phone": "0521111111", "reason": "duplicate"},
        {"row": 4, "phone": "12", "reason": "not a phone number"},
    ]
    for phone in ("%2B972521111111", "+972521111111", "052-1111111"):
        preview = api.get(f"{path}/preview?phone={phone}").json
        assert preview["template"]["components"][0]["parameters"][0]["text"] == "Maya"
    assert api.post(f"{path}/start").json["status"] == "queued"
    assert api.post(f"{path}/recipients", {"recipients": people(1)}).status == 409


def test_a_draft_can_be_deleted_and_nothing_else(api: Api, other: Api) -> None:
    path = f"/broadcasts/{api.post('/broadcasts', an_order(start=False)).json['id']}"
    assert other.call("DELETE", f"/api/whatsapp{path}").status == 404
    scheduled = api.call("PATCH", f"/api/whatsapp{path}", b'{"scheduled_at": "2099-01-01T00:00:00Z"}')
    assert scheduled.status == 200
    assert api.call("DELETE", f"/api/whatsapp{path}").status == 204
    assert api.get(path).status == 404
    started = api.post("/broadcasts", an_order()).json["id"]
    refused = api.call("DELETE", f"/api/whatsapp/broadcasts/{started}")
    assert (refused.status, refused.json["detail"]) == (409, "A broadcast that is queued cannot be deleted.")
    assert api.get(f"/broadcasts/{started}").status == 200


def test_pause_resume_and_cancel_are_moves_that_the_state_must_allow(api: Api) -> None:
    path = f"/broadcasts/{api.post('/broadcasts', an_order()).json['id']}"
    paused = api.post(f"{path}/pause")
    assert (paused.status, paused.json["status"], paused.json["pause_reason"]) == (202, "paused", "user")
    assert api.post(f"{path}/pause").status == 409
    assert api.post(f"{path}/resume").json["status"] == "queued"
    cancelled = api.post(f"{path}/cancel")
    assert (cancelled.status, cancelled.json["status"], cancelled.json["cancelled_count"]) == (202, "cancelled", 1)
    again = api.post(f"{path}/resume")
    assert (again.status, again.json["detail"]) == (409, "A broadcast that is cancelled cannot be resumed.")


def test_the_same_request_twice_is_one_broadcast(api: Api) -> None:
    first = api.post("/broadcasts", an_order(), Idempotency_Key="k-1")
    second = api.post("/broadcasts", an_order(), Idempotency_Key="k-1")
    assert (first.status, second.status) == (202, 202)
    assert first.json["id"] == second.json["id"]
    assert api.post("/broadcasts", an_order(name="Other"), Idempotency_Key="k-1").status == 409
    assert len(api.get("/broadcasts").json["items"]) == 1


def test_identical_requests_at_once_are_one_broadcast(api: Api) -> None:
    answers: list[Answer] = []
    order = an_order(recipients=people(300))

    def ask() -> None:
        answers.append(api.post("/broadcasts", order, Idempotency_Key="k-2"))

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {answer.status for answer in answers} == {202}
    assert len({answer.json["id"] for answer in answers}) == 1


def test_another_business_sees_nothing_of_it(api: Api, other: Api) -> None:
    path = f"/broadcasts/{api.post('/broadcasts', an_order(start=False)).json['id']}"
    for look in ("", "/recipients", "/recipients.csv", "/history", "/events", "/preview?phone=%2B972501234567"):
        assert other.get(path + look).status == 404, look
    for move in ("/start", "/pause", "/resume", "/cancel", "/retry"):
        assert other.post(path + move).status == 404, move
    assert other.post(f"{path}/recipients", {"recipients": people(1)}).status == 404
    assert other.get("/broadcasts").json == {"items": [], "next_cursor": None}


def test_without_a_key_nothing_is_shown(api: Api) -> None:
    for key in ("", "clr_wrong", "x" * 5000):
        answer = Api(api.address, key, 0).get("/broadcasts")
        assert answer.status == 401
        assert answer.headers["www-authenticate"] == "Bearer"
        assert answer.headers["content-type"] == "application/problem+json"


def test_a_list_without_one_good_row_is_refused_as_a_whole(api: Api) -> None:
    answer = api.post("/broadcasts", an_order(recipients=[{"phone": "12"}, {"phone": "+972501234567"}]))
    assert answer.status == 422
    assert answer.json["errors"] == [
        {"pointer": "/recipients/0", "detail": "not a phone number"},
        {"pointer": "/recipients/1", "detail": "no value for first_name"},
    ]
    assert api.get("/broadcasts").json["items"] == []


def test_bad_input_names_the_field(api: Api) -> None:
    yesterday = (datetime.now(UTC) - timedelta(days=1)).isoformat()
    for body, pointer in (
        (an_order(rate_limit=0), "/rate_limit"),
        (an_order(default_country="ISR"), "/default_country"),
        (an_order(surprise=1), "/surprise"),
        (an_order(scheduled_at=yesterday), "/scheduled_at"),
        (an_order(channel_id=99), "/channel_id"),
        (an_order(recipients=[]), "/recipients"),
        (an_order(scheduled_at="9999-12-31T23:59:59-10:00"), "/scheduled_at"),
        (an_order(scheduled_at="2099-01-01T00:00:00"), "/scheduled_at"),
        (an_order(name="a\x00b"), "/name"),
        (an_order(name="\ud800"), "/name"),
        (an_order(name="x" * 201), "/name"),
        (an_order(recipients=[{"phone": "+972501234567", "variables": {"first_name": "\x00"}}]), FIRST_NAME),
        (an_order(recipients=[{"phone": "+972501234567", "variables": {"first_name": "\ud800"}}]), FIRST_NAME),
        (an_order(recipients=[{"phone": "+972501234567", "variables": {"first_name": []}}]), FIRST_NAME),
        (an_order(recipients=[{}] * 1000), "/recipients/0/phone"),
        ({**an_order(), "template": {"name": "order_update", "language": "en_US"}}, "/template/variables/1"),
        (an_order(template={"name": "order_updat", "language": "en_US"}), "/template/name"),
        (an_order(template={"name": "order_update", "language": "fr"}), "/template/language"),
        ({**an_order(), "text": {"body": "x"}}, ""),
        (b"{not json", ""),
        (b'{"name": "\xff"}', ""),
        (b"[" * 100_000, ""),
        (b'{"name": ' + b"1" * 5_000 + b"}", ""),
        ([], ""),
    ):
        answer = api.post("/broadcasts", body)
        assert answer.status == 422, (body, answer.body)
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json["errors"][0]["pointer"] == pointer, answer.json
    assert api.get("/broadcasts").json["items"] == []


def test_a_body_that_came_as_a_form_is_told_what_it_should_be(api: Api) -> None:
    body = b'{"name": "x"}'
    answer = api.call("POST", "/api/whatsapp/broadcasts", body, content_type="application/x-www-form-urlencoded")
    assert answer.status == 422
    assert "Content-Type: application/json" in answer.json["detail"]


def test_numbers_of_nothing_are_404_whatever_they_look_like(api: Api) -> None:
    for number in ("999", "0", "-1", "abc", str(2**63), "9" * 40):
        assert api.get(f"/broadcasts/{number}").status == 404, number


def test_lists_go_on_where_the_page_before_ended(api: Api) -> None:
    made = [api.post("/broadcasts", an_order(start=False)).json["id"] for _ in range(5)]
    seen: list[int] = []
    path = "/broadcasts?limit=2"
    while path:
        page = api.get(path).json
        seen += [item["id"] for item in page["items"]]
        path = f"/broadcasts?limit=2&cursor={page['next_cursor']}" if page["next_cursor"] else ""
    assert seen == made[::-1]
    assert api.get("/broadcasts?limit=5").json["next_cursor"] is None
    assert api.get("/broadcasts?cursor=made-up").status == 422
    assert api.get("/broadcasts?limit=0").status == 422
    assert api.get("/broadcasts?status=nonsense").status == 422


def test_a_schedule_waits_for_its_time(api: Api) -> None:
    later = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    made = api.post("/broadcasts", an_order(scheduled_at=later))
    assert made.json["status"] == "scheduled"
    assert made.json["scheduled_at"] is not None


def test_a_stream_of_events_follows_a_broadcast_to_its_end(api: Api) -> None:
    path = f"/broadcasts/{api.post('/broadcasts', an_order(start=False)).json['id']}"
    request = urllib.request.Request(f"{api.address}/api/whatsapp{path}/events")  # noqa: S310 - our own address
    request.add_header("Authorization", f"Bearer {api.key}")
    with urllib.request.urlopen(request, timeout=30) as stream:  # noqa: S310 - our own address
        assert stream.headers["content-type"].startswith("text/event-stream")
        first = [stream.readline() for _ in range(4)]
        assert first[0].startswith(b"id: ")
        assert first[1] == b"event: progress\n"
        assert json.loads(first[2].removeprefix(b"data: "))["status"] == "draft"
        api.post(f"{path}/cancel")
        *_, last, _ = stream.read().splitlines()
        assert json.loads(last.removeprefix(b"data: "))["status"] == "cancelled"


def events_of(api: Api, path: str, **headers: str) -> Answer:
    """The stream of a broadcast that ended, to its end."""
    return api.call("GET", f"/api/whatsapp{path}/events", **headers)


def test_whoever_comes_back_to_a_stream_is_told_nothing_twice(api: Api) -> None:
    path = f"/broadcasts/{api.post('/broadcasts', an_order(start=False)).json['id']}"
    api.post(f"{path}/cancel")
    said = events_of(api, path).body.decode()
    assert said.count("event: progress") == 1
    last_id = said.splitlines()[0].removeprefix("id: ")
    assert events_of(api, path, Last_Event_ID=last_id).status == 204
    assert events_of(api, path, Last_Event_ID="another").body.decode() == said


def test_instants_are_in_utc_wherever_the_database_is(api: Api, clarion: Engine) -> None:
    clarion.execute(IN_TOKYO)
    path = f"/broadcasts/{api.post('/broadcasts', an_order()).json['id']}"
    clarion.execute("UPDATE whatsapp_broadcast_recipients SET sent_at = now()")
    instants = [
        api.get(path).json["created_at"],
        api.get(f"{path}/recipients").json["items"][0]["sent_at"],
        api.get(f"{path}/history").json["items"][0]["at"],
        api.get(f"{path}/recipients.csv").body.decode().splitlines()[1].split(",")[7],
    ]
    assert all(instant.endswith("Z") for instant in instants), instants


def test_many_requests_at_once_do_not_wait_for_one_another(api: Api) -> None:
    statuses: list[int] = []
    threads = [threading.Thread(target=lambda: statuses.append(api.get("/broadcasts").status)) for _ in range(60)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [200] * 60


def test_the_frameworks_own_errors_are_problems_too(api: Api) -> None:
    for method, path, status in (("GET", "/nothing", 404), ("DELETE", "/api/whatsapp/broadcasts", 405)):
        answer = api.call(method, path)
        assert (answer.status, answer.headers["content-type"]) == (status, "application/problem+json")
        assert answer.json["status"] == status


def test_a_body_that_is_too_large_is_refused(api: Api) -> None:
    answer = api.post("/broadcasts", b'{"name": "' + b"x" * (33 * 1024 * 1024) + b'"}')
    assert answer.status == 413


def test_health_readiness_and_metrics(api: Api) -> None:
    assert api.call("GET", "/healthz").body == b"ok"
    assert api.call("GET", "/readyz").json == {"ready": True, "wrong": []}
    api.post("/broadcasts", an_order(start=False))
    metrics = api.call("GET", "/metrics").body.decode()
    assert 'clarion_broadcasts{status="draft"} 1.0' in metrics
    answered = 'clarion_http_requests_total{method="POST",route="/api/whatsapp/broadcasts",status="202"} 1.0'
    assert answered in metrics
    assert api.call("GET", "/openapi.json").json["openapi"].startswith("3.1")
