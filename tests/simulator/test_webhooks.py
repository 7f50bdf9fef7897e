"""Webhooks out: everything that happens is told, signed, once or as unreliably as was asked for, and never lost."""

import hashlib
import http.client
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from server.simulator.statuses import Status, is_again, is_lost, message_in, pack, status_in, time_in
from tests.simulator.conftest import NUMBER, a_free_form, a_message, send
from tests.simulator.receiver import SECRET, Receiver, a_receiver
from tests.support.engine import until
from tests.support.simulator import Simulator

LADDER = ["sent", "delivered", "read"]


def a_person(n: int) -> str:
    return f"+97250{n:07d}"


def sent_to(simulator: Simulator, *people: str) -> list[str]:
    """Sends one message to each. The ids."""
    answers = [send(simulator, {**a_message(to), "biz_opaque_callback_data": f"b1:{to}"}) for to in people]
    return [answer["messages"][0]["id"] for _, answer in answers]


def test_every_message_is_sent_delivered_and_read_and_each_is_told_once(
    simulator: Simulator, receiver: Receiver
) -> None:
    ids = sent_to(simulator, *map(a_person, range(50)))
    simulator.wait_until_told()
    assert Counter((status["id"], status["status"]) for status in receiver.statuses()) == Counter(
        (one, status) for one in ids for status in LADDER
    )
    assert receiver.unsigned == 0
    assert all(entry["produced"] == entry["acknowledged"] == LADDER for entry in simulator.statuses())
    assert simulator.acknowledged() == {"sent": 0, "delivered": 0, "read": 50, "failed": 0}


def test_a_status_looks_as_meta_sends_it(simulator: Simulator, receiver: Receiver) -> None:
    (message_id,) = sent_to(simulator, "+972501234567")
    simulator.wait_until_told()
    sent, delivered, read = (
        next(status for status in receiver.statuses(message_id) if status["status"] == kind) for kind in LADDER
    )
    assert sent["recipient_id"] == "972501234567"
    assert sent["biz_opaque_callback_data"] == "b1:+972501234567"
    assert sent["timestamp"].isdecimal()
    assert sent["pricing"] == delivered["pricing"]
    assert sent["pricing"]["category"] == "utility"
    assert "pricing" not in read
    assert not any("conversation" in status for status in (sent, delivered, read))
    value = next(receiver.changes())
    assert value["metadata"] == {"display_phone_number": "15550783881", "phone_number_id": NUMBER}
    assert value["contacts"][0]["wa_id"] == "972501234567"


def test_the_older_payload_has_conversations(simulator: Simulator, receiver: Receiver) -> None:
    simulator.manners(version="v23")
    (message_id,) = sent_to(simulator, a_person(1))
    simulator.wait_until_told()
    conversations = [status["conversation"] for status in receiver.statuses(message_id) if "pricing" in status]
    assert len({conversation["id"] for conversation in conversations}) == 1
    assert [("expiration_timestamp" in conversation) for conversation in conversations] == [True, False]


def test_a_message_that_fails_says_why_and_carries_no_contacts(simulator: Simulator, receiver: Receiver) -> None:
    (message_id,) = sent_to(simulator, "+972509990126")
    simulator.wait_until_told()
    (failed,) = receiver.statuses(message_id)
    assert (failed["status"], failed["errors"][0]["code"]) == ("failed", 131026)
    assert failed["errors"][0]["error_data"]["details"]
    assert not any("contacts" in value for value in receiver.changes())
    (entry,) = simulator.statuses()
    assert (entry["acknowledged"], entry["code"]) == (["failed"], 131026)


def test_opaque_data_comes_back_as_it_was_whatever_is_in_it(simulator: Simulator, receiver: Receiver) -> None:
    opaque = 'b1:"\\\n\u2028שלם 👍</script>'
    send(simulator, {**a_message(), "biz_opaque_callback_data": opaque})
    send(simulator, {**a_free_form("text", {"body": "hello"})})
    simulator.wait_until_told()
    assert Counter(status.get("biz_opaque_callback_data") for status in receiver.statuses()) == {opaque: 3, None: 3}


def test_a_message_to_a_user_id_is_told_without_a_phone_number(simulator: Simulator, receiver: Receiver) -> None:
    body = {key: value for key, value in a_message().items() if key != "to"}
    send(simulator, {**body, "recipient": "US.13491208655302741918"})
    simulator.wait_until_told()
    assert {status.get("recipient_id") for status in receiver.statuses()} == {None}
    assert {status["recipient_user_id"] for status in receiver.statuses()} == {"US.13491208655302741918"}
    assert all("wa_id" not in contact for value in receiver.changes() for contact in value["contacts"])


def test_what_waits_goes_together_and_never_more_than_a_batch(simulator: Simulator, receiver: Receiver) -> None:
    simulator.manners(batch=7, connections=1)
    sent_to(simulator, *map(a_person, range(40)))
    simulator.wait_until_told()
    sizes = [
        sum(len(change["value"]["statuses"]) for entry in post["entry"] for change in entry["changes"])
        for post in receiver.posts
    ]
    assert sum(sizes) == 120
    assert max(sizes) <= 7
    assert len(sizes) < 120


def test_nothing_is_lost_while_the_receiver_answers_with_errors(simulator: Simulator, receiver: Receiver) -> None:
    simulator.manners(batch=10, retry_seconds=0.01, retry_longest_seconds=0.05)
    receiver.answers = [500, 503, 404, 301, 201, 204] * 3
    ids = sent_to(simulator, *map(a_person, range(40)))
    found = simulator.wait_until_told()
    assert found["callbacks"][0]["failures"] == len(receiver.refused) == 18
    assert Counter(status["id"] for status in receiver.statuses()) == dict.fromkeys(ids, 3)


def test_a_post_is_tried_again_unchanged(simulator: Simulator, receiver: Receiver) -> None:
    simulator.manners(batch=1, connections=1, retry_seconds=0.01)
    receiver.answers = [500] * 5
    sent_to(simulator, "+972509990126")
    simulator.wait_until_told()
    assert len({hashlib.sha256(body).hexdigest() for body in receiver.refused}) == 1
    assert receiver.unsigned == 0
    assert len(receiver.statuses()) == 1


def test_nothing_is_lost_while_nobody_listens(simulator: Simulator) -> None:
    with a_receiver() as gone:
        url = gone.url
    port = int(url.rsplit(":", 1)[1].split("/")[0])
    simulator.call_back(url, SECRET, retry_seconds=0.01)
    ids = sent_to(simulator, *map(a_person, range(30)))
    with pytest.raises(TimeoutError):
        simulator.wait_until_told(timeout_seconds=0.5)
    assert simulator.acknowledged() == {"sent": 0, "delivered": 0, "read": 0, "failed": 0}
    with a_receiver(port) as back:
        simulator.wait_until_told()
        assert Counter(status["id"] for status in back.statuses()) == dict.fromkeys(ids, 3)
    simulator.reset()


def test_one_post_that_is_always_refused_holds_up_no_other(simulator: Simulator, receiver: Receiver) -> None:
    simulator.manners(batch=1, connections=1, retry_seconds=0.001, retry_longest_seconds=0.05)
    receiver.poison = b"b1:+972500000003"
    ids = sent_to(simulator, *map(a_person, range(10)))
    receiver.until(lambda: len(receiver.statuses()) == 27)
    assert {status["id"] for status in receiver.statuses()} == set(ids) - {ids[3]}


def test_what_is_never_acknowledged_is_given_up_in_the_end_and_counted(
    simulator: Simulator, receiver: Receiver
) -> None:
    simulator.manners(retry_seconds=0.01, give_up_days=1e-9)
    receiver.poison = b"b1:"
    sent_to(simulator, a_person(1))
    simulator.wait_until_told()
    assert simulator.summary()["dropped"] == 3
    assert receiver.statuses() == []


def test_doubled_statuses_come_twice_and_happen_once(simulator: Simulator, receiver: Receiver) -> None:
    simulator.manners(doubled=1)
    (message_id,) = sent_to(simulator, a_person(1))
    simulator.wait_until_told()
    told = Counter((status["status"], status["timestamp"]) for status in receiver.statuses(message_id))
    assert sorted(told.values()) == [2, 2, 2]
    assert simulator.summary()["produced"]["read"] == 1


def test_lost_statuses_happen_and_nobody_hears_of_them(simulator: Simulator, receiver: Receiver) -> None:
    simulator.manners(lost=1)
    sent_to(simulator, a_person(1))
    simulator.wait_until_told()
    assert receiver.posts == []
    (entry,) = simulator.statuses()
    assert (entry["produced"], entry["acknowledged"]) == (LADDER, [])
    assert simulator.summary()["lost"] == 3


def test_shuffled_statuses_arrive_in_another_order_than_they_happened(simulator: Simulator, receiver: Receiver) -> None:
    simulator.manners(shuffled=1, connections=1)
    ids = sent_to(simulator, *map(a_person, range(10)))
    simulator.wait_until_told()
    orders = [[status["status"] for status in receiver.statuses(one)] for one in ids]
    assert all(sorted(order) == sorted(LADDER) for order in orders)
    assert LADDER not in orders


def test_an_early_status_arrives_before_the_answer_to_the_send(simulator: Simulator, receiver: Receiver) -> None:
    simulator.manners(early=1)
    for n in range(5):
        (message_id,) = sent_to(simulator, a_person(n))
        assert receiver.statuses(message_id)[0]["status"] == "sent"
    simulator.wait_until_told()
    assert len(receiver.statuses()) == 15


def test_an_early_status_that_nobody_takes_does_not_hold_up_the_answer_for_ever(
    simulator: Simulator, receiver: Receiver
) -> None:
    simulator.manners(early=1, retry_seconds=0.01)
    receiver.answers = [500]
    assert len(sent_to(simulator, a_person(1))) == 1
    simulator.wait_until_told()
    assert len(receiver.statuses()) == 3


def test_a_dropped_answer_is_told_by_webhook_all_the_same(simulator: Simulator, receiver: Receiver) -> None:
    simulator.order("drop")
    with pytest.raises((http.client.HTTPException, ConnectionError)):
        sent_to(simulator, a_person(1))
    simulator.wait_until_told()
    assert {status["biz_opaque_callback_data"] for status in receiver.statuses()} == {f"b1:{a_person(1)}"}


def test_several_callbacks_are_each_told_all_or_what_their_number_did(simulator: Simulator) -> None:
    with a_receiver() as all_of_it, a_receiver() as of_one:
        simulator.webhooks(
            callbacks=[
                {"url": all_of_it.url, "app_secret": SECRET},
                {"url": of_one.url, "app_secret": SECRET, "phone_number_id": "1001", "waba_id": "77"},
            ]
        )
        sent_to(simulator, a_person(1))
        simulator.call("POST", "/v25.0/1001/messages", a_message(), "t")
        simulator.wait_until_told()
        assert len(all_of_it.statuses()) == 6
        assert {value["metadata"]["phone_number_id"] for value in of_one.changes()} == {"1001"}
        assert len(of_one.statuses()) == 3
        assert of_one.posts[0]["entry"][0]["id"] == "77"
        simulator.reset()


def test_after_a_reset_nobody_is_told_of_what_was_before(simulator: Simulator, receiver: Receiver) -> None:
    simulator.manners(read_ms=50)
    sent_to(simulator, *map(a_person, range(5)))
    simulator.reset()
    simulator.call_back(receiver.url, SECRET)
    (after,) = sent_to(simulator, a_person(9))
    simulator.wait_until_told()
    told_now = [status for status in receiver.statuses() if status["id"] == after]
    assert len(told_now) == 3
    assert simulator.acknowledged() == {"sent": 0, "delivered": 0, "read": 1, "failed": 0}


def test_the_command_line_names_callbacks_and_manners(receiver: Receiver) -> None:
    with Simulator.start(webhook_url=receiver.url, app_secret=SECRET, webhooks="batch=1,doubled=1,read_ms=5") as other:
        send(other)
        other.wait_until_told()
        assert len(receiver.statuses()) == 6
        assert receiver.unsigned == 0


def test_the_same_seed_doubles_loses_and_shuffles_the_same() -> None:
    def fates(seed: int) -> list[list[tuple[str, int]]]:
        with (
            a_receiver() as receiver,
            Simulator.start(
                seed=seed,
                webhook_url=receiver.url,
                app_secret=SECRET,
                webhooks="doubled=0.3,lost=0.3,spread=0.5,connections=1",
            ) as world,
        ):
            ids = sent_to(world, *map(a_person, range(30)))
            world.wait_until_told()
            return [sorted(Counter(status["status"] for status in receiver.statuses(one)).items()) for one in ids]

    first = fates(3)
    assert first == fates(3)
    assert first != fates(4)


@pytest.mark.parametrize(
    ("order", "words"),
    [
        ({"manners": {"batch": 0}}, ">= 1"),
        ({"manners": {"doubled": 2}}, "<= 1"),
        ({"manners": {"no_such": 1}}, "no_such"),
        ({"callbacks": [{"url": "ftp://example.com"}]}, "begins with http"),
        ({"callbacks": [{"url": "http://a", "app_secret": ""}]}, "length >= 1"),
    ],
)
def test_an_order_that_cannot_be_is_refused_with_a_reason(
    simulator: Simulator, order: dict[str, Any], words: str
) -> None:
    status, answer = simulator.call("PUT", "/_sim/webhooks", order)
    assert status == 400
    assert words in answer["error"]


@pytest.mark.parametrize("status", Status)
@pytest.mark.parametrize("n", [1, 2**30])
def test_a_packed_status_is_what_was_put_in(status: Status, n: int) -> None:
    packed = pack(n, status, 1_790_000_000, again=True)
    assert (message_in(packed), status_in(packed), time_in(packed)) == (n, status, 1_790_000_000)
    assert (is_again(packed), is_lost(packed)) == (True, False)
    assert is_lost(pack(n, status, 0, lost=True))


def test_one_that_was_killed_tells_the_rest_when_it_is_started_again_and_nothing_twice(tmp_path: Path) -> None:
    """Meta loses nothing that it accepted; whoever pulls the plug on a simulator kills it too."""
    with a_receiver() as receiver:
        options: dict[str, Any] = {
            "ledger": tmp_path / "ledger.jsonl",
            "webhook_url": receiver.url,
            "app_secret": SECRET,
        }
        with Simulator.start(**options, webhooks="delivered_ms=600000") as first:
            heard = sent_to(first, a_person(1), a_person(2))
            receiver.until(lambda: len(receiver.statuses()) == 2)
            until(lambda: first.acknowledged()["sent"] == 2, what="the receiver's answers")
            receiver.answers = [500] * 1_000  # away, from here on
            unheard = sent_to(first, a_person(3))
            first.kill()
        receiver.answers = []
        with Simulator.start(**options) as second:
            assert second.summary()["accepted"] == 3
            second.wait_until_told()
        told = Counter((status["id"], status["status"]) for status in receiver.statuses())
        assert told == Counter((one, status) for one in [*heard, *unheard] for status in LADDER)
        with Simulator.start(**options) as third:
            third.wait_until_told()
        assert len(receiver.statuses()) == 9
