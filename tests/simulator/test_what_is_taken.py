"""Which messages are taken and which are refused, and that nothing at all is too strange to be answered."""

import copy
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.simulator.errors import KINDS, Refusal
from server.simulator.templates import TemplateBook, builtin_nodes, template_from
from server.simulator.validation import check
from tests.simulator.conftest import WABA, a_free_form, a_message, code_of, send, texts
from tests.support.simulator import Simulator


def a_card(index: int) -> dict[str, Any]:
    """One card of a carousel, complete."""
    payload = {"type": "payload", "payload": "more"}
    return {
        "card_index": index,
        "components": [
            {"type": "header", "parameters": [{"type": "image", "image": {"id": "4490709327384033"}}]},
            {"type": "body", "parameters": texts("a lamp")},
            {"type": "button", "sub_type": "quick_reply", "index": 0, "parameters": [payload]},
            {"type": "button", "sub_type": "url", "index": "1", "parameters": texts("1")},
        ],
    }


def named(**values: str) -> list[dict[str, Any]]:
    """Parameters of a NAMED template."""
    return [{"type": "text", "parameter_name": name, "text": value} for name, value in values.items()]


IMAGE = {"type": "header", "parameters": [{"type": "image", "image": {"link": "https://example.com/a.jpg"}}]}
SALE = {"type": "body", "parameters": texts("Dana", "20%")}
SHOP = {"type": "button", "sub_type": "url", "index": "1", "parameters": texts("A-17")}
COUPON = {"type": "coupon_code", "coupon_code": "SPRING20"}
EXPIRES = {"type": "limited_time_offer", "limited_time_offer": {"expiration_time_ms": 1_800_000_000_000}}
PLACE = {"type": "location", "location": {"latitude": "32.08", "longitude": 34.78, "name": "Us", "address": "Here"}}
REPLY = {"type": "reply", "reply": {"id": "yes", "title": "Yes"}}

GOOD: dict[str, dict[str, Any]] = {
    "positional": a_message(),
    "no variables": a_message(name="hello_world", components=None),
    "media header and buttons": a_message(name="spring_sale", components=[IMAGE, SALE, SHOP]),
    "another language": a_message(name="spring_sale", language={"code": "he"}, components=[IMAGE, SALE, SHOP]),
    "named, in any order": a_message(
        name="appointment_reminder",
        components=[{"type": "body", "parameters": named(date="Sunday", first_name="Dana")}],
    ),
    "coupon that ends": a_message(
        name="flash_offer",
        components=[
            {"type": "limited_time_offer", "parameters": [EXPIRES]},
            {"type": "body", "parameters": texts("Dana")},
            {"type": "button", "sub_type": "copy_code", "index": 0, "parameters": [COUPON]},
            {"type": "button", "sub_type": "url", "index": 1, "parameters": texts("A-17")},
        ],
    ),
    "carousel": a_message(
        name="two_new_things",
        components=[
            {"type": "body", "parameters": texts("Dana")},
            {"type": "carousel", "cards": [a_card(0), a_card(1)]},
        ],
    ),
    "location header": a_message(
        name="store_visit",
        components=[{"type": "header", "parameters": [PLACE]}, {"type": "body", "parameters": texts("Dana")}],
    ),
    "text": a_free_form("text", {"body": "שלום"}),
    "image": a_free_form("image", {"id": "4490709327384033", "caption": "A lamp"}),
    "location": a_free_form("location", PLACE["location"]),
    "contacts": a_free_form("contacts", [{"name": {"formatted_name": "Dana"}}]),
    "reaction": a_free_form("reaction", {"message_id": "wamid.X", "emoji": ""}),
    "buttons": a_free_form(
        "interactive", {"type": "button", "body": {"text": "Well?"}, "action": {"buttons": [REPLY]}}
    ),
    "list": a_free_form(
        "interactive",
        {"type": "list", "body": {"text": "Well?"}, "action": {"sections": [{"rows": [{"id": "1", "title": "One"}]}]}},
    ),
}

REFUSED: list[tuple[dict[str, Any], int]] = [
    (a_message(to="12"), 131009),
    ({**a_message(), "to": None}, 100),
    (a_message(name="winter_sale"), 132015),
    (a_message(name="last_call"), 132016),
    (a_message(name="free_money"), 132001),
    (a_message(name="autumn_news"), 132001),
    (a_message(name=None), 131008),
    (a_message(language={}), 131008),
    (a_message(components=[{"type": "body", "parameters": texts("Dana")}]), 132000),
    (a_message(components=[{"type": "body", "parameters": texts("Dana", "")}]), 131008),
    (a_message(components=[{"type": "body", "parameters": texts("Dana", "two\nlines")}]), 132018),
    (a_message(components=[{"type": "body", "parameters": texts("Dana", "x" * 1024)}]), 132005),
    (a_message(components=[{"type": "foot", "parameters": []}]), 131009),
    (a_message(name="spring_sale", components=[SALE, SHOP]), 132012),
    (a_message(name="spring_sale", components=[IMAGE, SALE]), 131008),
    (
        a_message(
            name="appointment_reminder",
            components=[{"type": "body", "parameters": named(first_name="Dana", day="Sunday")}],
        ),
        132012,
    ),
    (a_message(name="appointment_reminder", components=[{"type": "body", "parameters": texts("a", "b")}]), 132012),
    (a_free_form("text", {"body": ""}), 131008),
    (a_free_form("text", {"body": "x" * 4097}), 131009),
    (a_free_form("image", {}), 131008),
    (a_free_form("location", {"latitude": 91, "longitude": 0}), 131009),
    (a_free_form("interactive", {"type": "dance"}), 131009),
]


@pytest.mark.parametrize("body", GOOD.values(), ids=GOOD.keys())
def test_what_whatsapp_takes_is_taken(simulator: Simulator, body: dict[str, Any]) -> None:
    status, answer = send(simulator, body)
    assert status == 200, answer
    (entry,) = simulator.accepted()
    assert (entry["type"], entry["template"]) == (body["type"], body.get("template", {}).get("name"))


@pytest.mark.parametrize(("body", "code"), REFUSED)
def test_what_whatsapp_refuses_is_refused_with_its_code(simulator: Simulator, body: dict[str, Any], code: int) -> None:
    answer = send(simulator, body)
    assert code_of(answer) == code, answer
    assert answer[0] == KINDS[code].http_status
    summary = simulator.summary()
    assert (summary["accepted"], summary["refused"]) == (0, {str(code): 1})


@pytest.mark.parametrize(
    ("to", "wa_id"),
    [
        ("+972 50-123-4567", "972501234567"),
        ("(972) 50.123.4567", "972501234567"),
        ("+5541987654321", "554187654321"),
        ("+5511987654321", "5511987654321"),
        ("+525512345678", "5215512345678"),
    ],
)
def test_a_number_has_one_whatsapp_id_however_it_is_written(simulator: Simulator, to: str, wa_id: str) -> None:
    _, answer = send(simulator, a_message(to))
    assert answer["contacts"] == [{"input": to, "wa_id": wa_id}]


def test_a_read_mark_is_no_message(simulator: Simulator) -> None:
    mark = {"messaging_product": "whatsapp", "status": "read", "message_id": "wamid.X"}
    assert send(simulator, mark) == (200, {"success": True})
    assert simulator.summary()["accepted"] == 0


def test_a_new_template_can_be_sent_at_once(simulator: Simulator) -> None:
    node = {
        "name": "new_one",
        "language": "he",
        "category": "utility",
        "components": [{"type": "BODY", "text": "{{1}}"}],
    }
    url = f"/v25.0/{WABA}/message_templates"
    status, made = simulator.call("POST", url, node, "t")
    assert (status, made["status"], made["category"]) == (200, "APPROVED", "UTILITY")
    body = {"type": "body", "parameters": texts("Dana")}
    assert send(simulator, a_message(name="new_one", language={"code": "he"}, components=[body]))[0] == 200
    assert code_of(simulator.call("POST", url, node, "t")) == 100


def places(value: object) -> Iterator[tuple[str | int, ...]]:
    """The way to every part of a JSON value, itself first."""
    yield ()
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in parts:
        yield from ((key, *rest) for rest in places(part))


def with_other(value: Any, place: tuple[str | int, ...], other: object) -> Any:
    """The value with one part replaced."""
    if not place:
        return other
    changed = copy.deepcopy(value)
    part = changed
    for key in place[:-1]:
        part = part[key]
    part[place[-1]] = other
    return changed


def one_thing_wrong(wholes: list[dict[str, Any]]) -> st.SearchStrategy[Any]:
    """One of these, with any JSON at all in the place of one part."""
    names = st.sampled_from(["type", "text", "name", "components", "parameters", "buttons", "rows", "cards", "format"])
    anything = st.recursive(
        st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False) | st.text() | names,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
        max_leaves=6,
    )
    spots = [(whole, place) for whole in wholes for place in places(whole)]
    return st.builds(lambda spot, other: with_other(spot[0], spot[1], other), st.sampled_from(spots), anything)


def refusal_of(question: Callable[[], object]) -> Refusal | None:
    """The refusal that answers, if one does."""
    try:
        question()
    except Refusal as refusal:
        return refusal
    return None


BOOK = TemplateBook(builtin_nodes())


@given(one_thing_wrong(list(GOOD.values())))
def test_any_json_is_a_message_or_refused(body: object) -> None:
    refusal = refusal_of(lambda: check(json.dumps(body).encode(), BOOK))
    assert refusal is None or (refusal.code in KINDS and (refusal.details or refusal.message))


@given(st.binary())
def test_bytes_that_are_no_message_are_refused(body: bytes) -> None:
    with pytest.raises(Refusal):
        check(body, BOOK)


@given(one_thing_wrong(builtin_nodes()).filter(lambda node: isinstance(node, dict)))
def test_any_template_is_taken_or_refused(node: dict[str, Any]) -> None:
    refusal = refusal_of(lambda: template_from(node))
    assert refusal is None or (refusal.code == 100 and refusal.details)
