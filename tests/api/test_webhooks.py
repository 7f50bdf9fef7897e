"""The webhook's door: who may come in, what is kept, and that a 200 means committed."""

import pytest

from tests.api.conftest import Api
from tests.api.line import PATH, Line
from tests.support.engine import Engine, until
from tests.support.webhooks import a_body, a_status, a_text


@pytest.fixture
def line(api: Api, database_url: str) -> Line:
    return Line(api, database_url)


def test_the_verification_gives_the_challenge_back(line: Line) -> None:
    asked = f"{PATH}?hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token="
    answer = line.api.call("GET", f"{asked}verify")
    assert (answer.status, answer.body) == (200, b"1158201444")
    assert line.api.call("GET", f"{asked}wrong").status == 403
    assert line.api.call("GET", asked).status == 403
    assert line.api.call("GET", PATH).status == 403


def test_a_signed_body_is_kept_and_applied(line: Line) -> None:
    assert line.post(a_body(line.number, messages=[a_text("Hello")])).status == 200
    until(lambda: line.count("inbound_messages") == 1, what="the message")
    until(lambda: line.count("webhook_inbox") == 0, what="an empty inbox")


@pytest.mark.parametrize("secret", ["wrong", ""])
def test_a_wrong_signature_is_401_and_nothing_is_kept(line: Line, secret: str) -> None:
    assert line.post(a_body(line.number, messages=[a_text("Hello")]), secret=secret).status == 401
    assert (line.count("webhook_inbox"), line.count("inbound_messages")) == (0, 0)


def test_no_signature_is_401(line: Line) -> None:
    answer = line.api.call("POST", PATH, a_body(line.number, messages=[a_text("Hello")]))
    assert answer.status == 401
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert line.post(a_body(line.number), X_Hub_Signature_256="sha256=").status == 401


def test_a_number_that_nobody_has_is_401(line: Line) -> None:
    body = a_body("999999", waba_id="888888", statuses=[a_status("wamid.1")])
    assert line.post(body).status == 401
    assert line.count("webhook_inbox") == 0


def test_news_that_name_only_the_account_are_taken(line: Line) -> None:
    body = a_body(line.number)
    body["entry"][0]["changes"] = [{"field": "account_alerts", "value": {"alert_type": "NEW"}}]
    assert line.post(body).status == 200
    until(lambda: line.count("account_updates") == 1, what="the news")


def test_more_than_three_megabytes_is_413(line: Line) -> None:
    body = a_body(line.number, statuses=[a_status("wamid." + "x" * 3 * 1024 * 1024)])
    assert line.post(body).status == 413
    assert line.count("webhook_inbox") == 0


def test_a_full_batch_of_a_thousand_is_taken(line: Line) -> None:
    said = [a_status(f"wamid.{n}") for n in range(1_000)]
    assert line.post(a_body(line.number, statuses=said)).status == 200
    until(lambda: line.count("message_statuses") == 1_000, what="the statuses")


def test_what_was_answered_with_200_outlives_the_process(clarion: Engine, line: Line, database_url: str) -> None:
    """A web process is killed right after its last 200, whatever it was doing; another one applies what it left."""
    dying, address = clarion.start_web()
    there = Line(Api(address, "", line.api.business_id), database_url)
    answers = [there.post(a_body(line.number, messages=[a_text("Hi", message_id=f"wamid.{n}")])) for n in range(20)]
    dying.kill()
    assert {answer.status for answer in answers} == {200}
    until(lambda: line.count("inbound_messages") == 20, what="all twenty messages")
