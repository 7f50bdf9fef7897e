"""Every webhook of Meta's reference is read; whatever is changed about one, nothing else is lost."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from server.domain.account_news import orders_of
from server.providers.webhooks import AccountNews, Oddity, StatusUpdate, read
from tests.support.payloads import NAMES, payload
from tests.support.webhooks import a_status

Path = tuple[str | int, ...]

STRANGE = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=20),
    st.sampled_from(
        ["TELEPORTED", "", "\x00", "-1", "9" * 400, 2**63, -(2**70), 1e300, [], {}, [[]], [None], {"id": {}}]
    ),
)


@pytest.mark.parametrize("name", NAMES)
def test_every_example_is_read_and_only_an_error_of_the_app_is_odd(name: str) -> None:
    items = read(json.dumps(payload(name)).encode())
    assert len(items) == 1
    assert isinstance(items[0], Oddity) == (name == "error_of_the_app")


def places(node: Any, path: Path = ()) -> Iterator[Path]:
    """Every place in a document but its top."""
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, child in children:
        yield (*path, key)
        yield from places(child, (*path, key))


def changed(draw: st.DrawFn, document: Any) -> None:
    """One change: a field missing, another type, an unknown word, entries doubled or in another order."""
    found = list(places(document))
    if not found:
        return
    *way, last = draw(st.sampled_from(found))
    parent: Any = document
    for step in way:
        parent = parent[step]
    match draw(st.sampled_from(["without", "another", "doubled", "reordered", "renamed"])):
        case "without":
            del parent[last]
        case "another":
            parent[last] = draw(STRANGE)
        case "doubled" if isinstance(parent, list) and isinstance(last, int):
            parent.insert(last, json.loads(json.dumps(parent[last])))
        case "reordered" if isinstance(parent, list):
            parent[:] = draw(st.permutations(parent))
        case "renamed" if isinstance(parent, dict):
            parent[draw(st.text(max_size=10))] = parent.pop(last)


@st.composite
def changed_examples(draw: st.DrawFn) -> dict[str, Any]:
    """An example with one to four changes below its entries, so that it is still a webhook."""
    document = payload(draw(st.sampled_from(NAMES)))
    for _ in range(draw(st.integers(1, 4))):
        changed(draw, document["entry"])
    return document


THOROUGH = settings(max_examples=400, suppress_health_check=[HealthCheck.too_slow], deadline=None)


@THOROUGH
@given(changed_examples(), st.integers(0, 3))
def test_whatever_is_changed_everything_beside_it_is_read(example: dict[str, Any], position: int) -> None:
    """Beside it in the list of entries, of changes and of statuses."""
    good = [a_status(f"wamid.good.{n}") for n in range(3)]
    value = {"metadata": {"phone_number_id": "106540352242922"}, "statuses": good[:1]}
    change = {"field": "messages", "value": value}
    entries = example["entry"]
    for entry in entries:
        if isinstance(entry, dict) and isinstance(entry.get("changes"), list):
            entry["changes"].insert(min(position, len(entry["changes"])), change)
    among = any(isinstance(entry, dict) and change in _list(entry) for entry in entries)
    entries.insert(
        min(position, len(entries)), {"id": "1", "changes": [{**change, "value": {**value, "statuses": good[1:]}}]}
    )
    items = read(json.dumps(example).encode())
    told = [item.message_id for item in items if isinstance(item, StatusUpdate)]
    assert {"wamid.good.1", "wamid.good.2"} <= set(told)
    assert ("wamid.good.0" in told) == among
    for item in items:
        if isinstance(item, AccountNews):
            orders_of(item.field, item.value)


def _list(entry: Any) -> list[Any]:
    return entry["changes"] if isinstance(entry, dict) and isinstance(entry.get("changes"), list) else []


@st.composite
def strange_items(draw: st.DrawFn) -> Any:
    """A status or a message that is none, or hardly one."""
    kinds = {"status_sent": "statuses", "status_failed": "statuses", "wrote_stop": "messages", "tapped_yes": "messages"}
    name = draw(st.sampled_from(sorted(kinds)))
    kind = kinds[name]
    item = payload(name)["entry"][0]["changes"][0]["value"][kind][0]
    holder = [item]
    for _ in range(draw(st.integers(1, 3))):
        changed(draw, holder)
    return kind, holder


@THOROUGH
@given(strange_items(), st.integers(0, 3))
def test_a_strange_item_costs_none_of_its_own_list(strange: tuple[str, list[Any]], position: int) -> None:
    kind, items = strange
    good = [a_status(f"wamid.good.{n}") for n in range(3)]
    value: dict[str, Any] = {"metadata": {"phone_number_id": "1"}, "statuses": good}
    value[kind] = [*value.get(kind, [])[:position], *items, *value.get(kind, [])[position:]]
    body = {"entry": [{"id": "1", "changes": [{"field": "messages", "value": value}]}]}
    told = [item.message_id for item in read(json.dumps(body).encode()) if isinstance(item, StatusUpdate)]
    assert [one for one in told if one.startswith("wamid.good")] == [f"wamid.good.{n}" for n in range(3)]


@THOROUGH
@given(
    st.recursive(
        STRANGE, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    )
)
def test_nothing_that_is_json_makes_reading_fail(document: Any) -> None:
    for body in (document, {"entry": document}, {"entry": [document]}, {"entry": [{"changes": document}]}):
        read(json.dumps(body).encode())
