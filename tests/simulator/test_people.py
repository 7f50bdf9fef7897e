"""People have habits: what they do with a message is told by webhook, and follows from the number and the seed."""

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.simulator.faces import region_of, start_word_of, stop_word_of, user_id_of
from server.simulator.people import BY_LAST_SEVEN_DIGITS, HABITS, ORDINARY, People, Shares, shares_from_text
from tests.simulator.conftest import a_free_form, a_message, code_of, send, texts
from tests.simulator.receiver import Receiver
from tests.support.simulator import Simulator

IMAGE = {"type": "header", "parameters": [{"type": "image", "image": {"link": "https://example.com/a.jpg"}}]}
SHOP = {"type": "button", "sub_type": "url", "index": "1", "parameters": texts("A-17")}


def a_sale(to: str, payload: str | None = None) -> dict[str, Any]:
    """A marketing message with a quick reply."""
    components = [IMAGE, {"type": "body", "parameters": texts("Dana", "20%")}, SHOP]
    if payload is not None:
        parameter = {"type": "payload", "payload": payload}
        components.append({"type": "button", "sub_type": "quick_reply", "index": "0", "parameters": [parameter]})
    return a_message(to, name="spring_sale", components=components)


def one_who(suffix: str) -> str:
    return f"+97250{suffix}"


def send_and_wait(simulator: Simulator, body: dict[str, Any]) -> str:
    """The id of the message, once everything about it was told."""
    status, answer = send(simulator, body)
    assert status == 200, answer
    simulator.wait_until_told()
    return str(answer["messages"][0]["id"])


@pytest.mark.parametrize(
    ("suffix", "statuses"),
    [
        ("9990208", ["sent", "read"]),
        ("9990209", ["sent", "delivered", "read"]),
        ("9990210", ["sent"]),
        ("9990211", ["sent", "delivered"]),
    ],
)
def test_not_everybody_is_delivered_and_reads(
    simulator: Simulator, receiver: Receiver, suffix: str, statuses: list[str]
) -> None:
    simulator.manners(slow_ms=1)
    message_id = send_and_wait(simulator, a_message(one_who(suffix)))
    assert [status["status"] for status in receiver.statuses(message_id)] == statuses
    priced = [status["status"] for status in receiver.statuses(message_id) if "pricing" in status]
    assert priced == statuses[:2]


@pytest.mark.parametrize(
    ("suffix", "code"), [("9990126", 131026), ("9990149", 131049), ("9990150", 131050), ("9990172", 130472)]
)
def test_what_people_will_not_take_is_told_by_webhook_and_without_one_in_the_answer(
    simulator: Simulator, receiver: Receiver, suffix: str, code: int
) -> None:
    message_id = send_and_wait(simulator, a_message(one_who(suffix)))
    (failed,) = receiver.statuses(message_id)
    assert failed["errors"][0]["code"] == code
    simulator.webhooks(callbacks=[])
    assert code_of(send(simulator, a_message(one_who(suffix)))) == code


def test_a_reply_answers_the_message(simulator: Simulator, receiver: Receiver) -> None:
    message_id = send_and_wait(simulator, a_message(one_who("9990201")))
    (reply,) = receiver.messages()
    assert reply["from"] == "972509990201"
    assert reply["from_user_id"] == user_id_of("972509990201")
    assert reply["context"] == {"from": "15550783881", "id": message_id}
    assert reply["timestamp"].isdecimal()
    assert reply["text"]["body"]
    assert simulator.said()[0]["acknowledged"]


def test_who_says_stop_says_it_once(simulator: Simulator, receiver: Receiver) -> None:
    for _ in range(3):
        send_and_wait(simulator, a_message(one_who("9990202")))
    assert [message["text"]["body"] for message in receiver.messages()] == [stop_word_of("972509990202")]


def test_who_comes_back_says_start_a_while_later(simulator: Simulator, receiver: Receiver) -> None:
    simulator.manners(return_ms=1)
    send_and_wait(simulator, a_message(one_who("9990203")))
    words = [message["text"]["body"] for message in receiver.messages()]
    assert words == [stop_word_of("972509990203"), start_word_of("972509990203")]


@pytest.mark.parametrize(("payload", "expected"), [("STOP|b7", "STOP|b7"), (None, "Stop")])
def test_a_tap_brings_back_the_payload_or_else_the_words_on_the_button(
    simulator: Simulator, receiver: Receiver, payload: str | None, expected: str
) -> None:
    message_id = send_and_wait(simulator, a_sale(one_who("9990204"), payload))
    (tap,) = receiver.messages()
    assert (tap["type"], tap["button"]) == ("button", {"payload": expected, "text": "Stop"})
    assert tap["context"]["id"] == message_id


def test_a_tap_may_come_without_context(simulator: Simulator, receiver: Receiver) -> None:
    send_and_wait(simulator, a_sale(one_who("9990205"), "STOP|b7"))
    (tap,) = receiver.messages()
    assert tap["button"]["payload"] == "STOP|b7"
    assert "context" not in tap


def test_who_stops_marketing_gets_no_more_of_it_and_everything_else(simulator: Simulator, receiver: Receiver) -> None:
    person = one_who("9990206")
    send_and_wait(simulator, a_sale(person))
    (value,) = receiver.changes("user_preferences")
    (preference,) = value["user_preferences"]
    assert (preference["value"], preference["category"]) == ("stop", "marketing_messages")
    assert isinstance(preference["timestamp"], int)
    (failed,) = receiver.statuses(send_and_wait(simulator, a_sale(person)))
    assert failed["errors"][0]["code"] == 131050
    assert len(receiver.statuses(send_and_wait(simulator, a_message(person)))) == 3
    simulator.chooses(person, "resume")
    assert receiver.statuses(send_and_wait(simulator, a_sale(person)))[0]["status"] == "sent"


def test_who_blocks_the_business_gets_nothing_any_more(simulator: Simulator, receiver: Receiver) -> None:
    send_and_wait(simulator, a_message(one_who("9990207")))
    (failed,) = receiver.statuses(send_and_wait(simulator, a_message(one_who("9990207"))))
    assert failed["errors"][0]["code"] == 131026


def test_who_hides_the_phone_number_is_known_by_a_user_id_alone(simulator: Simulator, receiver: Receiver) -> None:
    send_and_wait(simulator, a_message(one_who("9990212")))
    (message,) = receiver.messages()
    assert "from" not in message
    assert message["from_user_id"] == user_id_of("972509990212")
    contact = next(value["contacts"][0] for value in receiver.changes() if "messages" in value)
    assert "wa_id" not in contact
    assert contact["user_id"] == message["from_user_id"]
    body = {**a_message(), "recipient": message["from_user_id"]}
    del body["to"]
    send_and_wait(simulator, body)
    assert len(simulator.messages_to("+972509990212")) == 2


@pytest.mark.parametrize(
    "user_id", ["US.", "us.1349", "US-1349", "US.13 49", 'US."', "US." + "é" * 130, "US." + "1" * 138]
)
def test_what_is_no_user_id_is_refused(simulator: Simulator, user_id: str) -> None:
    body = {key: value for key, value in a_message().items() if key != "to"}
    assert code_of(send(simulator, {**body, "recipient": user_id})) == 131009
    assert send(simulator, {**body, "recipient": "US.ENT.13491208655302741918"})[0] == 200


def test_a_person_writes_when_told_to(simulator: Simulator, receiver: Receiver) -> None:
    person = "+972501111111"
    simulator.writes(person, "Are you there?")
    message_id = send_and_wait(simulator, a_message(person))
    simulator.writes(person, "STOP", context=True)
    simulator.writes(person, "it is me", hidden=True)
    simulator.wait_until_told()
    told = {message["text"]["body"]: message for message in receiver.messages()}  # in whatever order they came
    first, answer, hidden = (told[text] for text in ("Are you there?", "STOP", "it is me"))
    assert "context" not in first
    assert answer["context"]["id"] == message_id
    assert "from" not in hidden
    assert [said["text"] for said in simulator.said()] == ["Are you there?", "STOP", "it is me"]


def test_a_person_taps_when_told_to(simulator: Simulator, receiver: Receiver) -> None:
    person = "+972501111111"
    send_and_wait(simulator, a_sale(person, "STOP|b7"))
    reply = {"type": "reply", "reply": {"id": "yes", "title": "Yes"}}
    question = {"type": "button", "body": {"text": "Go?"}, "action": {"buttons": [reply]}}
    simulator.taps(person, "Stop", context=False)
    send_and_wait(simulator, {**a_free_form("interactive", question), "to": person})
    simulator.taps(person, "Yes")
    simulator.wait_until_told()
    bare, answer = receiver.messages()
    assert (bare["button"]["payload"], "context" in bare) == ("STOP|b7", False)
    assert answer["interactive"]["button_reply"] == {"id": "yes", "title": "Yes"}
    status, refused = simulator.call("POST", f"/_sim/people/{person}/taps", {"button": "No"})
    assert (status, refused["error"]) == (400, "the message has no button 'No' that answers; it has Yes")


def test_what_a_person_received_can_be_read(simulator: Simulator) -> None:
    person = "+972501111111"
    send(simulator, a_sale(person))
    _, seen = simulator.call("GET", f"/_sim/people/{person}")
    (received,) = seen["received"]
    letter = received["letter"]
    assert letter["text"] == "Hi Dana, spring is here: 20% off everything until Sunday."
    assert letter["header"] == "[image]"
    assert [button["text"] for button in letter["buttons"]] == ["Stop", "Shop now"]


def test_the_shares_of_the_command_line_decide_who_does_what(receiver: Receiver) -> None:
    with Simulator.start(seed=7, webhook_url=receiver.url, habits="off=0.3,reply=0.3,silent=0.3") as world:
        for n in range(60):
            send(world, a_message(f"+97250{n:07d}"))
        world.wait_until_told()
        told = world.acknowledged()
    assert told["failed"] > 0
    assert told["sent"] > 0
    assert told["read"] > 0
    assert receiver.messages()


@given(st.integers(0, 2**31), st.permutations(sorted(HABITS)), st.integers(0, 10**9))
def test_the_same_seed_and_number_is_the_same_person(seed: int, names: list[str], number: int) -> None:
    shares = Shares(**dict.fromkeys(names[:4], 0.2))
    wa_id = f"972{number:09d}"
    assert People(seed, shares).habit_of(wa_id) is People(seed, shares).habit_of(wa_id)


def test_shares_come_out_about_as_asked() -> None:
    people = People(3, shares_from_text("off=0.1,stop=0.2"))
    found = Counter(id(people.habit_of(f"97250{n:07d}")) for n in range(10_000))
    assert 800 < found[id(HABITS["off"])] < 1200
    assert 1700 < found[id(HABITS["stop"])] < 2300
    assert 6500 < found[id(ORDINARY)] < 7500


@pytest.mark.parametrize(
    ("text", "words"),
    [("off=0.7,stop=0.7", "must not exceed 1"), ("of=0.1", "there are off, capped"), ("off=x", "off")],
)
def test_shares_that_cannot_be_are_refused_with_a_reason(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        shares_from_text(text)


def test_every_habit_has_a_number_and_a_share() -> None:
    assert set(Shares.__struct_fields__) == set(HABITS)
    assert {id(habit) for habit in HABITS.values()} <= {id(habit) for habit in BY_LAST_SEVEN_DIGITS.values()}


@pytest.mark.parametrize(
    ("wa_id", "region"), [("972501234567", "IL"), ("15550001111", "US"), ("5511987654321", "BR"), ("99912345678", "ZZ")]
)
def test_people_say_stop_in_a_language_of_their_country(wa_id: str, region: str) -> None:
    assert region_of(wa_id) == region
    assert stop_word_of(wa_id)
    assert user_id_of(wa_id).startswith(f"{region}.")
