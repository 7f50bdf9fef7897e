"""What Meta does about a business: limits of a day, pacing, quality and pauses, upgrades; by itself and by order."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.simulator.limits import Cap, Lately
from tests.simulator.conftest import NUMBER, WABA, a_message, code_of, send
from tests.simulator.receiver import SECRET, Receiver
from tests.simulator.test_limits import STEPS, moments
from tests.simulator.test_people import a_sale
from tests.support.simulator import Simulator


def a_person(n: int) -> str:
    return f"+97250{n:07d}"


def held(answer: tuple[int, Any]) -> bool:
    return bool(answer[1]["messages"][0]["message_status"] == "held_for_quality_assessment")


def template_node(simulator: Simulator, name: str) -> dict[str, Any]:
    query = f"name={name}&fields=status,quality_score"
    _, page = simulator.call("GET", f"/v25.0/{WABA}/message_templates?{query}", None, "t")
    node: dict[str, Any] = page["data"][0]
    return node


# The limit of a day


@pytest.mark.parametrize("code", [131048, 130429])
def test_people_beyond_the_limit_of_a_day_are_answered_as_was_chosen(simulator: Simulator, code: int) -> None:
    simulator.world(limits={"messaging": "TIER_250", "beyond": code})
    assert all(send(simulator, a_message(a_person(n)))[0] == 200 for n in range(250))
    assert code_of(send(simulator, a_message(a_person(250)))) == code
    assert send(simulator, a_message(a_person(3)))[0] == 200
    simulator.writes(a_person(250), "hello")
    assert send(simulator, a_message(a_person(250)))[0] == 200
    simulator.account("limit", tier="TIER_2K")
    assert send(simulator, a_message(a_person(251)))[0] == 200


def test_people_beyond_the_limit_of_a_day_may_be_told_by_webhook(simulator: Simulator, receiver: Receiver) -> None:
    simulator.world(limits={"messaging": "TIER_250", "beyond": 131049, "beyond_by_webhook": True})
    for n in range(252):
        assert send(simulator, a_message(a_person(n)))[0] == 200
    simulator.wait_until_told()
    assert simulator.acknowledged() == {"sent": 0, "delivered": 0, "read": 250, "failed": 2}
    assert {status["errors"][0]["code"] for status in receiver.statuses() if status["status"] == "failed"} == {131049}


def test_the_limit_of_a_day_is_shared_by_all_numbers_and_moves_on() -> None:
    with Simulator.start(limits="messaging=TIER_250,beyond=131048", time_scale=86_400 / 3) as quick:
        for n in range(250):
            number = NUMBER if n % 2 else "1001"
            assert quick.call("POST", f"/v25.0/{number}/messages", a_message(a_person(n)), "t")[0] == 200
        answers = (send(quick, a_message(a_person(n)))[0] for n in range(250, 100_000))
        assert next(status for status in answers if status == 200)  # three seconds are a day here
        assert quick.summary()["refused"]["131048"] > 0


def test_the_limit_grows_when_half_of_it_was_used(receiver: Receiver) -> None:
    with Simulator.start(
        limits="messaging=TIER_250,grows=true", time_scale=10_000, webhook_url=receiver.url, app_secret=SECRET
    ) as quick:
        n = 0
        while not any(receiver.changes("business_capability_update")):
            send(quick, a_message(a_person(n)))
            n += 1
        assert next(receiver.changes("business_capability_update"))["max_daily_conversations_per_business"] == 2000
        assert n >= 125


@given(STEPS, st.lists(st.integers(0, 5), min_size=300, max_size=300))
def test_who_was_there_lately_is_counted_once(steps: list[float], people: list[int]) -> None:
    lately = Lately(5.0)
    seen: list[tuple[float, str]] = []
    for now, person in zip(moments(steps), people, strict=False):
        lately.note(str(person), now)
        seen.append((now, str(person)))
        there = {who for at, who in seen if now - at < 5.0}
        assert lately.count(now) == len(there)
        assert all(lately.has(who, now) == (who in there) for who in map(str, range(6)))


@given(STEPS, st.integers(1, 4))
def test_a_person_never_takes_more_than_the_cap(steps: list[float], most: int) -> None:
    cap = Cap(5.0)
    taken: list[float] = []
    for now in moments(steps):
        assert cap.allows("1", most, now) == (sum(now - at < 5.0 for at in taken) < most)
        if cap.allows("1", most, now):
            cap.take("1", now)
            taken.append(now)


def test_a_person_takes_so_much_marketing_and_no_more(simulator: Simulator, receiver: Receiver) -> None:
    simulator.world(limits={"marketing_cap": 2})
    for _ in range(3):
        send(simulator, a_sale(a_person(1)))
    send(simulator, a_message(a_person(1)))
    simulator.wait_until_told()
    assert [entry["code"] for entry in simulator.statuses()] == [None, None, 131049, None]
    simulator.writes(a_person(1), "more please")
    send(simulator, a_sale(a_person(1)))
    simulator.wait_until_told()
    assert simulator.statuses()[-1]["code"] is None


# Pacing


def paced(simulator: Simulator, count: int) -> list[bool]:
    simulator.world(limits={"pace_after": 2, "pace_hold": 3})
    return [held(send(simulator, a_sale(a_person(n)))) for n in range(count)]


def test_a_new_marketing_template_is_held_back_and_released(simulator: Simulator, receiver: Receiver) -> None:
    assert paced(simulator, 6) == [False, False, True, True, True, False]
    assert not held(send(simulator, a_message(a_person(1))))
    simulator.wait_until_told()
    assert [bool(entry["produced"]) for entry in simulator.statuses()] == [True, True, False, False, False, True, True]
    assert simulator.template("spring_sale", "release", language="en_US") == 3
    simulator.wait_until_told()
    assert simulator.acknowledged()["read"] == 7
    assert not held(send(simulator, a_sale(a_person(9))))


def test_what_was_held_back_fails_where_it_is_dropped(simulator: Simulator, receiver: Receiver) -> None:
    paced(simulator, 5)
    assert simulator.template("spring_sale", "drop", language="en_US") == 3
    simulator.wait_until_told()
    assert [entry["code"] for entry in simulator.statuses()] == [None, None, 132015, 132015, 132015]
    assert [value["event"] for value in receiver.changes("message_template_status_update")] == ["PAUSED"]
    assert code_of(send(simulator, a_sale(a_person(9)))) == 132015


@pytest.mark.parametrize(("score", "codes"), [("GREEN", {None}), ("RED", {132015})])
def test_pacing_comes_to_its_verdict_by_itself(receiver: Receiver, score: str, codes: set[int | None]) -> None:
    with Simulator.start(
        limits="pace_hold=3,pace_minutes=10", time_scale=600, webhook_url=receiver.url, app_secret=SECRET
    ) as quick:
        for n in range(3):
            assert held(send(quick, a_sale(a_person(n))))
        quick.template("spring_sale", "quality", score=score)
        final = "read" if score == "GREEN" else "failed"
        receiver.until(lambda: [status["status"] for status in receiver.statuses()].count(final) == 3)
        assert {entry["code"] for entry in quick.statuses()} == codes


# Quality


def test_a_template_that_people_block_turns_yellow_and_red_and_is_paused(
    simulator: Simulator, receiver: Receiver
) -> None:
    simulator.world(limits={"judged_after": 10, "yellow": 0.05, "red": 0.1})
    for n in range(18):
        send(simulator, a_message(a_person(n)))
    for country in ("+97250", "+97252"):
        send(simulator, a_message(f"{country}9990207"))
        simulator.wait_until_told()
    scores = [value["new_quality_score"] for value in receiver.changes("message_template_quality_update")]
    assert scores == ["YELLOW", "RED"]
    (paused,) = receiver.changes("message_template_status_update")
    assert (paused["event"], paused["other_info"]["title"]) == ("PAUSED", "FIRST_PAUSE")
    assert isinstance(paused["message_template_id"], int)
    assert code_of(send(simulator)) == 132015
    assert template_node(simulator, "order_update")["quality_score"]["score"] == "RED"
    assert simulator.world()["quality_rating"] == "RED"


def test_a_pause_ends_after_three_hours_by_metas_clock(receiver: Receiver) -> None:
    with Simulator.start(time_scale=20_000, webhook_url=receiver.url, app_secret=SECRET) as quick:
        quick.template("order_update", "pause")
        receiver.until(lambda: len(list(receiver.changes("message_template_status_update"))) == 2)
        titles = [value["other_info"]["title"] for value in receiver.changes("message_template_status_update")]
        assert titles == ["FIRST_PAUSE", "UNPAUSE"]
        assert send(quick)[0] == 200


def test_the_third_pause_is_for_ever(simulator: Simulator, receiver: Receiver) -> None:
    for _ in range(3):
        simulator.template("order_update", "pause")
    simulator.wait_until_told()
    titles = [value["other_info"]["title"] for value in receiver.changes("message_template_status_update")]
    assert sorted(titles) == ["DISABLED", "FIRST_PAUSE", "SECOND_PAUSE"]  # each a POST of its own: in any order
    assert code_of(send(simulator)) == 132016


def test_a_template_can_be_unpaused_by_order(simulator: Simulator, receiver: Receiver) -> None:
    simulator.template("order_update", "pause")
    assert code_of(send(simulator)) == 132015
    simulator.template("order_update", "unpause")
    assert send(simulator)[0] == 200
    simulator.wait_until_told()
    events = [value["event"] for value in receiver.changes("message_template_status_update")]
    assert events == ["PAUSED", "APPROVED"]


# The number and the account


def test_a_number_is_upgraded_when_it_reached_enough_people(receiver: Receiver) -> None:
    with Simulator.start(
        rate=80, limits="upgrade_after=20", time_scale=1_000, webhook_url=receiver.url, app_secret=SECRET
    ) as world:
        codes = {code_of(answer) for n in range(30) if (answer := send(world, a_message(a_person(n))))[0] != 200}
        assert codes <= {131057}
        receiver.until(lambda: any(receiver.changes("phone_number_quality_update")))
        (value,) = receiver.changes("phone_number_quality_update")
        assert value["event"] == "THROUGHPUT_UPGRADE"
        _, node = world.call("GET", f"/v25.0/{NUMBER}?fields=throughput", None, "t")
        assert node["throughput"]["level"] == "HIGH"


def test_a_number_can_be_upgraded_by_order_and_is_in_maintenance_meanwhile(
    simulator: Simulator, receiver: Receiver
) -> None:
    simulator.upgrade(NUMBER, maintenance_seconds=3600)
    assert code_of(send(simulator)) == 131057
    simulator.upgrade(NUMBER)
    assert send(simulator)[0] == 200
    receiver.until(lambda: any(receiver.changes("phone_number_quality_update")))


def test_an_account_that_is_restricted_sends_nothing_until_it_is_over(simulator: Simulator, receiver: Receiver) -> None:
    simulator.account("restrict", hours=24)
    assert code_of(send(simulator)) == 368
    simulator.account("disable")
    assert code_of(send(simulator)) == 131031
    simulator.account("reinstate")
    assert send(simulator)[0] == 200
    simulator.wait_until_told()
    told = list(receiver.changes("account_update"))  # each a POST of its own: in any order
    (restricted,) = [value for value in told if "restriction_info" in value]
    assert restricted["restriction_info"][0]["restriction_type"] == "RESTRICTED_BIZ_INITIATED_MESSAGING"
    assert {value["ban_info"]["waba_ban_state"] for value in told if "ban_info" in value} == {"DISABLE", "REINSTATE"}


def test_the_limit_and_alerts_and_any_other_webhook_come_by_order(simulator: Simulator, receiver: Receiver) -> None:
    simulator.account("limit", tier="TIER_2K")
    simulator.account("alert", alert_type="INCREASED_CAPABILITIES_ELIGIBILITY_FAILED")
    simulator.tell("something_new", {"a": [1, None]})
    simulator.tell("messages", {"errors": [{"code": 130429}]}, phone_number_id=NUMBER)
    simulator.wait_until_told()
    assert next(receiver.changes("business_capability_update"))["max_daily_conversations_per_business"] == 2000
    assert next(receiver.changes("account_alerts"))["alert_info"]["alert_type"].endswith("FAILED")
    assert next(receiver.changes("something_new")) == {"a": [1, None]}
    of_number = next(receiver.changes())
    assert (of_number["metadata"]["phone_number_id"], of_number["errors"]) == (NUMBER, [{"code": 130429}])
    times = [entry.get("time") for post in receiver.posts for entry in post["entry"]]
    assert sum(isinstance(at, int) for at in times) == 3


@pytest.mark.parametrize(
    ("path", "order"),
    [
        ("templates", {"name": "no_such", "do": "pause"}),
        ("templates", {"name": "order_update", "do": "burn"}),
        ("account", {"do": "limit", "tier": "TIER_3"}),
        ("account", {"do": "restrict", "hours": 0}),
        ("numbers/1", {"do": "upgrade"}),
        ("tell", {"field": "x"}),
    ],
)
def test_an_order_that_cannot_be_changes_nothing(simulator: Simulator, path: str, order: dict[str, Any]) -> None:
    before = simulator.world()
    status, answer = simulator.call("POST", f"/_sim/{path}", order)
    assert status in {400, 404}
    assert answer["error"]
    assert simulator.world() == before


def test_a_number_that_is_not_there_is_told_of_by_nobody(receiver: Receiver) -> None:
    with Simulator.start(phone_number_id=NUMBER, webhook_url=receiver.url, app_secret=SECRET) as closed:
        for path, order in (
            ("tell", {"field": "messages", "value": {}, "phone_number_id": "1001"}),
            ("people/+972501111111/writes", {"text": "hello", "phone_number_id": "1001"}),
        ):
            status, answer = closed.call("POST", f"/_sim/{path}", order)
            assert status == 400
            assert "1001" in answer["error"]
        closed.writes("+972501111111", "hello")
        closed.wait_until_told()
    assert len(receiver.messages()) == 1


# Usage


def test_what_was_used_of_the_allowance_stands_in_the_headers(simulator: Simulator) -> None:
    simulator.world(limits={"management_calls": 4})
    shares = []
    for _ in range(5):
        status, headers, answer = simulator.headers_of("GET", f"/v25.0/{NUMBER}", "t")
        usage = json.loads(headers["X-Business-Use-Case-Usage"])[WABA][0]
        shares.append((status, usage["call_count"], usage["estimated_time_to_regain_access"] > 0))
    assert shares == [(200, 25, False), (200, 50, False), (200, 75, False), (200, 100, False), (400, 100, True)]
    assert answer["error"]["code"] == 80008
    assert send(simulator)[0] == 200
