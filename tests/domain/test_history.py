"""The chain of a broadcast's history: nothing in it can be changed, taken out, put in or moved unseen."""

from datetime import UTC, datetime
from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st

from server.domain.history import BEGINNING, CONTENT, break_in, instant, link

WORDS = st.text(st.characters(codec="utf-8"), max_size=20)
EVENTS = st.lists(
    st.fixed_dictionaries(
        {
            "broadcast_id": st.integers(1, 2**40),
            "at": st.datetimes(timezones=st.just(UTC)).map(instant),
            **dict.fromkeys(("actor", "move", "from_status", "to_status"), WORDS),
            **dict.fromkeys(("reason", "detail"), st.none() | WORDS),
            "recipient_id": st.none() | st.integers(1, 2**40),
        }
    ),
    min_size=1,
    max_size=6,
)


def chained(events: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], str]:
    """The events with their hashes, and the last of these."""
    head, found = BEGINNING, []
    for event in events:
        head = link(head, event)
        found.append({**event, "hash": head})
    return found, head


@given(EVENTS)
def test_a_history_as_it_was_written_holds(events: list[dict[str, Any]]) -> None:
    assert break_in(*chained(events)) is None
    assert break_in([], BEGINNING) is None


@given(EVENTS, st.data())
def test_a_changed_field_breaks_it(events: list[dict[str, Any]], data: st.DataObject) -> None:
    history, head = chained(events)
    place = data.draw(st.integers(0, len(history) - 1))
    name = data.draw(st.sampled_from([*CONTENT, "hash"]))
    changed = data.draw(WORDS | st.none() | st.integers(0, 2**40))
    assume(changed != history[place][name])
    history[place] = {**history[place], name: changed}
    assert break_in(history, head) is not None


@given(EVENTS, st.data())
def test_an_event_that_is_taken_out_put_in_or_moved_breaks_it(
    events: list[dict[str, Any]], data: st.DataObject
) -> None:
    history, head = chained(events)
    place = data.draw(st.integers(0, len(history) - 1))
    assert break_in([*history[:place], *history[place + 1 :]], head) is not None
    assert break_in([*history[:place], history[place], *history[place:]], head) is not None
    assume(len(history) > 1)
    assert break_in([history[1], history[0], *history[2:]], head) is not None


def test_the_end_taken_off_is_missed_although_the_rest_is_a_chain() -> None:
    event = {**dict.fromkeys(CONTENT), "broadcast_id": 1, "at": instant(datetime(2026, 11, 25, tzinfo=UTC))}
    history, head = chained([event, event])
    said = break_in(history[:1], head)
    assert said == "its history ends with event 1, and the last that was written is another one"


def test_an_instant_has_one_form() -> None:
    assert instant(datetime(2026, 11, 25, 9, 0, tzinfo=UTC)) == "2026-11-25T09:00:00.000000Z"
