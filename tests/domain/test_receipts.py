"""A receipt holds as it was signed, and no single thing in it can be changed unseen."""

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import assume, given
from hypothesis import strategies as st

from server.domain.errors import BadInput
from server.domain.history import BEGINNING, link
from server.domain.receipts import FORMAT, checks_of, differences, public_text, read, sign

KEY = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
OTHER_KEY = Ed25519PrivateKey.from_private_bytes(b"o" * 32)
EVENT: dict[str, Any] = {
    "broadcast_id": 7, "at": "2026-11-25T09:00:00.000000Z", "actor": "engine", "move": "complete",
    "from_status": "running", "to_status": "completed", "reason": None, "detail": "שלום", "recipient_id": None,
}  # fmt: skip


def counts() -> dict[str, Any]:
    """What was counted of ten people: seven accepted, of whom six were delivered to and two read; two failed."""
    by_status = {"queued": 0, "sending": 0, "sent": 1, "delivered": 4, "read": 2, "failed": 2, "unknown": 0}
    return {
        "counters": {
            "total_recipients": 10, "processed_count": 10, "sent_count": 7, "delivered_count": 6, "read_count": 2,
            "failed_count": 2, "cancelled_count": 0, "skipped_count": 1, "unknown_count": 0,
        },
        "recipients": {"count": 10, "different_phones": 10, "by_status": {**by_status, "cancelled": 0, "skipped": 1}},
        "attempts": {
            "count": 11, "not_counted": 1, "unexplained": 0,
            "ended": {"accepted": 7, "accepted_then_failed": 0, "failed": 2, "put_off": 2, "unknown": 0,
                      "under_way": 0},
        },
        "messages": {"ids": 7, "different_ids": 7, "with_id": 7, "without_id_settled_by_hand": 0,
                     "without_id_adopted": 0},
        "statuses": {"sent": 7, "delivered": 6, "read": 2, "failed": 0, "people": 7, "delivered_with_a_report": 6,
                     "are_all_kept": True},
        "doubles": 0,
        "unknowns": 0,
    }  # fmt: skip


def a_receipt(key: Ed25519PrivateKey = KEY, **changed: Any) -> dict[str, Any]:
    """A receipt that holds, but for what is changed before it is signed."""
    found = changed.pop("counts", counts())
    head = link(BEGINNING, EVENT)
    content = {
        "format": FORMAT,
        "issued_at": "2026-11-25T09:00:01.000000Z",
        "final": True,
        "holds": True,
        "broadcast": {"id": 7, "business_id": 1, "name": "Spring sale", "status": "completed",
                      "message": {"text": {"body": "Hi {{first_name}}", "preview_url": False, "weight": 1.5}}},
        "counts": found,
        "checks": [check.as_json() for check in checks_of(found)],
        "history": {"count": 1, "head": head, "events": [{**EVENT, "hash": head}]},
        **changed,
    }  # fmt: skip
    return sign(content, key)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every single thing in a document."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, part in inside:
        yield (*path, name)
        yield from places(part, (*path, name))


PLACES = list(places(a_receipt()))
VALUES: st.SearchStrategy[Any] = (
    st.none() | st.booleans() | st.integers(-5, 2**40) | st.text(max_size=8) | st.just([]) | st.just({})
)


def through_a_file(receipt: dict[str, Any]) -> dict[str, Any]:
    """As it is after it was written down and read again."""
    return read(json.dumps(receipt, indent=2, ensure_ascii=False))


def test_a_receipt_holds_as_it_was_signed_whatever_its_layout() -> None:
    receipt = through_a_file(a_receipt())
    assert differences(receipt) == []
    assert differences(receipt, public_text(KEY.public_key())) == []
    assert differences(dict(reversed(receipt.items()))) == []


@given(st.sampled_from(PLACES), VALUES)
def test_no_single_thing_in_it_can_be_changed(path: tuple[Any, ...], value: Any) -> None:
    receipt = a_receipt()
    *way, last = path
    inside: Any = receipt
    for name in way:
        inside = inside[name]
    assume((type(inside[last]), inside[last]) != (type(value), value))
    inside[last] = value
    assert differences(receipt)


@given(st.sampled_from(PLACES))
def test_nothing_can_be_left_out_of_it_or_put_in(path: tuple[Any, ...]) -> None:
    *way, last = path
    for change in ("out", "in"):
        receipt = copy.deepcopy(a_receipt())
        inside: Any = receipt
        for name in way:
            inside = inside[name]
        if change == "out":
            del inside[last]
        elif isinstance(inside, dict):
            inside[f"{last} too"] = 1
        else:
            inside.append(inside[last])
        assert differences(receipt), change


@given(st.integers(0, 87), st.sampled_from("ABab01+/="))
def test_no_character_of_the_signature_can_be_changed(place: int, character: str) -> None:
    receipt = a_receipt()
    signature = receipt["signature"]
    assume(signature[place] != character)
    receipt["signature"] = signature[:place] + character + signature[place + 1 :]
    assert differences(receipt)


def test_another_key_than_the_one_asked_for_is_told() -> None:
    receipt = a_receipt(OTHER_KEY)
    assert differences(receipt) == []
    assert differences(receipt, public_text(KEY.public_key())) == ["It is signed with another key than the one given."]


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("counters", "total_recipients"), 11, "audience: people on the list 11, recipients 10."),
        (("unknowns",), 1, "unknowns: recipients by status 0, people who are unknown 1."),
        (("attempts", "unexplained"), 1, "attempts of each: recipients whose own attempts do not add up 1, allowed 0."),
        (("messages", "different_ids"), 6, "different message ids: message ids 7, different ones 6."),
        (("doubles",), 1, "doubles: people with more than one accepted message 1, allowed 0."),
        (("attempts", "count"), 12, "attempts: attempts that were counted 12, attempts with an end 11."),
        (("statuses", "delivered_with_a_report"), 5, "statuses: delivered recipients 6, with a report of WhatsApp 5."),
    ],
)
def test_what_does_not_add_up_is_told_although_the_signature_fits(path: tuple[str, ...], value: int, said: str) -> None:
    found = counts()
    inside: Any = found
    for name in path[:-1]:
        inside = inside[name]
    inside[path[-1]] = value
    assert differences(a_receipt(counts=found, final=found["unknowns"] == 0)) == [said]


def test_a_signed_receipt_with_a_false_history_or_end_does_not_hold() -> None:
    false = {"count": 1, "head": BEGINNING, "events": [{**EVENT, "hash": BEGINNING}]}
    assert "history: event 1" in differences(a_receipt(history=false))[0]
    assert "final:" in differences(a_receipt(final=False))[0]
    assert "another broadcast" in differences(a_receipt(broadcast={"id": 8, "status": "completed"}))[0]


def test_reports_that_are_no_longer_kept_are_not_asked_for() -> None:
    found = counts()
    found["statuses"] |= {"delivered_with_a_report": 0, "are_all_kept": False}
    assert differences(a_receipt(counts=found)) == []


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"format": "clarion-receipt-1", "format": "clarion-receipt-1"}', b"\xff", "[" * 100_000]
)
def test_what_is_no_receipt_is_refused_in_a_sentence(text: str | bytes) -> None:
    with pytest.raises(BadInput, match="This is no receipt"):
        read(text)


@pytest.mark.parametrize("odd", [{"counts": None}, {"key": 5}, {"history": {"events": 3, "head": 1, "count": 0}}])
def test_a_document_of_another_shape_does_not_hold_and_breaks_nothing(odd: dict[str, Any]) -> None:
    assert differences({**a_receipt(), **odd})
    assert differences({"format": FORMAT, "x": float("nan")})
