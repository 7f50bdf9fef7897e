"""An audience is read, checked and described; its meaning is a function of one person."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.domain.audience import Audience, Operator, Person, describe, matches, parse
from server.domain.errors import BadInput

TAGS = st.sampled_from(["vip", "staff", "north", "צפון"])
NAMES = st.sampled_from(["city", "lang", "name", "phone", "no such"])
VALUES = st.sampled_from(["Haifa", "haifa", "Hai", "it's", 'a"b', "%", "x' OR true --", ":value_0"])
CONDITIONS = st.one_of(
    st.builds(lambda name, value, operator: {"attribute": name, operator: value}, NAMES, VALUES,
              st.sampled_from(["is", "is_not", "contains"])),
    st.builds(lambda name, value: {"attribute": name, "exists": value}, NAMES, st.booleans()),
)  # fmt: skip
PEOPLE = st.builds(
    Person,
    phone=st.sampled_from(["+972500000001", "+972500000002"]),
    name=st.one_of(st.none(), VALUES),
    tags=st.frozensets(TAGS),
    attributes=st.dictionaries(st.sampled_from(["city", "lang"]), VALUES),
)
DANA = Person("+972501234567", "Dana", frozenset({"vip", "north"}), {"city": "Haifa"})


@st.composite
def audiences(draw: st.DrawFn) -> dict[str, Any]:
    """An audience as a person may write it."""
    tags = draw(st.lists(TAGS, max_size=2))
    not_tags = [tag for tag in draw(st.lists(TAGS, max_size=2)) if tag not in tags]
    any_tags = [tag for tag in draw(st.lists(TAGS, max_size=2)) if tag not in not_tags]
    return {"tags": tags, "any_tags": any_tags, "not_tags": not_tags, "where": draw(st.lists(CONDITIONS, max_size=3))}


@given(audiences())
def test_an_audience_is_kept_as_it_was_meant(raw: dict[str, Any]) -> None:
    audience = parse(raw)
    assert parse(json.loads(json.dumps(audience.as_json()))) == audience


@given(audiences(), audiences(), PEOPLE)
def test_every_condition_more_leaves_nobody_who_was_not_there_before(
    raw: dict[str, Any], more: dict[str, Any], person: Person
) -> None:
    wide, other = parse(raw), parse({**more, "any_tags": []} if raw["any_tags"] else more)
    narrow = Audience(
        (*wide.tags, *other.tags),
        (*wide.not_tags, *other.not_tags),
        (*wide.where, *other.where),
        any_tags=wide.any_tags or other.any_tags,
    )
    assert matches(narrow, person) == (matches(wide, person) and matches(other, person))


@given(audiences())
def test_a_description_names_all_of_it(raw: dict[str, Any]) -> None:
    audience = parse(raw)
    words = describe(audience)
    assert words.startswith("everybody")
    named = [*audience.tags, *audience.any_tags, *audience.not_tags, *(one.attribute for one in audience.where)]
    assert all(word in words for word in named)


@pytest.mark.parametrize(
    ("raw", "words", "is_dana"),
    [
        ({}, "everybody", True),
        ({"tags": ["VIP"], "not_tags": ["staff"]}, "everybody tagged vip, not tagged staff", True),
        ({"tags": ["vip", "north", "x"]}, "everybody tagged vip, north and x", False),
        ({"any_tags": ["x", "North"]}, "everybody tagged x or north", True),
        ({"any_tags": ["x", "y"]}, "everybody tagged x or y", False),
        ({"not_tags": ["staff", " North "]}, "everybody not tagged staff or north", False),
        ({"where": [{"attribute": "city", "is": "Haifa"}]}, "everybody whose city is Haifa", True),
        ({"where": [{"attribute": "city", "is": "haifa"}]}, "everybody whose city is haifa", False),
        ({"where": [{"attribute": "city", "is_not": "Acre"}]}, "everybody whose city is not Acre", True),
        ({"where": [{"attribute": "lang", "is_not": "he"}]}, "everybody whose lang is not he", False),
        ({"where": [{"attribute": "name", "contains": "an"}]}, "everybody whose name contains an", True),
        ({"where": [{"attribute": "lang", "exists": False}]}, "everybody without a value for lang", True),
        ({"where": [{"attribute": "city", "exists": True}]}, "everybody with a value for city", True),
    ],
)
def test_who_is_in_it(raw: dict[str, Any], words: str, is_dana: bool) -> None:
    audience = parse(raw)
    assert (describe(audience), matches(audience, DANA)) == (words, is_dana)


@pytest.mark.parametrize(
    ("raw", "pointer"),
    [
        ({"tag": ["vip"]}, "/audience/tag"),
        ({"tags": "vip"}, "/audience/tags"),
        ({"tags": ["vip", " "]}, "/audience/tags/1"),
        ({"tags": ["vip"] * 51}, "/audience/tags"),
        ({"tags": ["vip"], "not_tags": ["VIP"]}, "/audience/not_tags"),
        ({"any_tags": ["vip", "x"], "not_tags": ["VIP"]}, "/audience/not_tags"),
        ({"where": {}}, "/audience/where"),
        ({"where": ["city"]}, "/audience/where/0"),
        ({"where": [{"attribute": "city"}]}, "/audience/where/0"),
        ({"where": [{"is": "Haifa"}]}, "/audience/where/0"),
        ({"where": [{"attribute": "", "is": "Haifa"}]}, "/audience/where/0"),
        ({"where": [{"attribute": "city", "is": "a", "is_not": "b"}]}, "/audience/where/0"),
        ({"where": [{"attribute": "city", "like": "a"}]}, "/audience/where/0"),
        ({"where": [{"attribute": "city", "is": " "}]}, "/audience/where/0"),
        ({"where": [{"attribute": "city", "exists": "yes"}]}, "/audience/where/0"),
        ({"where": [{"attribute": "city", "is": "x"}] * 51}, "/audience/where"),
        ({"segment_id": 0}, "/audience/segment_id"),
        ({"segment_id": "3"}, "/audience/segment_id"),
        ({"segment_id": 3, "tags": ["vip"]}, "/audience"),
    ],
)
def test_what_is_no_audience_is_refused_where_it_is_wrong(raw: dict[str, Any], pointer: str) -> None:
    with pytest.raises(BadInput) as refused:
        parse(raw)
    assert [problem.pointer for problem in refused.value.problems] == [pointer]


def test_a_saved_segment_stands_alone() -> None:
    audience = parse({"segment_id": 3})
    assert (audience.segment_id, audience.as_json()) == (3, {"segment_id": 3})
    assert describe(audience) == "everybody in segment 3"


def test_there_are_four_operators() -> None:
    assert set(Operator) == {"is", "is_not", "contains", "exists"}
