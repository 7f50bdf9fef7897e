"""What a drill concludes from two sets of books."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from server.drill.result import ACCEPTED, Reach, Result, Unknowns, Verdict, reach_of
from server.drill.run import Order

HELD = Result(
    seed=1,
    people=3,
    accepted=3,
    reach=Reach(3, 0, 0, 0, 0, 0),
    unknowns=Unknowns(),
    kills={},
    wanted_kills=0,
    wrong=(),
    status="completed",
    seconds=1.0,
)


def test_one_message_for_each_and_rows_that_say_so_is_the_promise() -> None:
    assert HELD.verdict is Verdict.HELD


def test_who_failed_with_a_reason_was_given_up_and_not_lost() -> None:
    reach = reach_of([("+1", "read"), ("+2", "failed")], {"+1": 1})
    assert reach == Reach(1, 0, 1, 0, 0, 0)
    assert replace(HELD, reach=reach).verdict is Verdict.GIVEN_UP


def test_two_messages_to_one_person_break_it() -> None:
    reach = reach_of([("+1", "read")], {"+1": 2})
    assert (reach.twice_count, replace(HELD, reach=reach).verdict) == (1, Verdict.BROKEN)


def test_a_row_that_says_sent_where_nothing_was_accepted_breaks_it() -> None:
    reach = reach_of([("+1", "sent")], {})
    assert (reach.lost_count, replace(HELD, reach=reach).verdict) == (1, Verdict.BROKEN)


def test_a_row_that_says_failed_where_something_was_accepted_breaks_it() -> None:
    reach = reach_of([("+1", "failed")], {"+1": 1})
    assert (reach.uncounted_count, replace(HELD, reach=reach).verdict) == (1, Verdict.BROKEN)


def test_a_message_to_somebody_who_is_on_no_list_breaks_it() -> None:
    reach = reach_of([("+1", "sent")], {"+1": 1, "+2": 1})
    assert (reach.stranger_count, replace(HELD, reach=reach).verdict) == (1, Verdict.BROKEN)


def test_books_that_do_not_balance_break_it() -> None:
    assert replace(HELD, wrong=("sent_count is 2, and the rows say 3",)).verdict is Verdict.BROKEN


STATUSES = st.sampled_from(
    ["queued", "sending", "sent", "delivered", "read", "failed", "unknown", "cancelled", "skipped"]
)


@given(
    st.dictionaries(st.integers(1, 30).map(str), STATUSES),
    st.dictionaries(st.integers(1, 30).map(str), st.integers(1, 3)),
)
def test_everybody_is_counted_exactly_once(rows: dict[str, str], ledger: dict[str, int]) -> None:
    reach = reach_of(rows.items(), ledger)
    assert reach.once_count + reach.twice_count + reach.never_count == len(rows)
    assert reach.stranger_count == len(set(ledger) - set(rows))
    ended = {"failed", "cancelled", "skipped"}
    agree = all(status in ACCEPTED if phone in ledger else status in ended for phone, status in rows.items())
    if agree:
        assert reach.lost_count == reach.uncounted_count == 0


@given(st.integers(0, 2**31 - 1), st.integers(0, 50))
def test_the_same_seed_kills_the_same_in_the_same_order(seed: int, kills: int) -> None:
    order = Order(1_000, kills, seed)
    assert order.victims() == Order(5, kills, seed).victims()
    assert len(order.victims()) == kills


@given(st.integers(1, 1_000_000), st.integers(0, 1_000))
def test_the_rate_leaves_people_for_the_next_kill(people: int, kills: int) -> None:
    order = Order(people, kills, 1)
    # A claim takes at most what leaves in a quarter of a second.
    assert order.rate <= 20 or order.rate / 4 < order.gap
