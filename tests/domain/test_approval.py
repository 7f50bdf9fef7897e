"""Whether a start needs a second person, and who that may be."""

from hypothesis import given
from hypothesis import strategies as st

from server.domain.approval import Verdict, judge, needs_second_person
from server.domain.audit import COMMAND_LINE, Who

PEOPLE = st.integers(1, 5)


@given(st.none() | st.integers(0, 100), st.integers(0, 200), st.booleans())
def test_more_people_never_need_less(over: int | None, people: int, may_grow: bool) -> None:
    if needs_second_person(over, people, may_grow=may_grow):
        assert over is not None
        assert needs_second_person(over, people + 1, may_grow=may_grow)
        assert needs_second_person(max(over - 1, 0), people, may_grow=may_grow)


@given(PEOPLE, st.none() | PEOPLE, st.booleans(), st.booleans())
def test_a_broadcast_never_starts_by_one_person_alone(
    user_id: int, asked_by: int | None, may_approve: bool, is_asked: bool
) -> None:
    verdict = judge(Who("Dana", user_id=user_id), may_approve=may_approve, asked_by=asked_by, is_asked=is_asked)
    assert verdict is not Verdict.START
    assert (verdict is Verdict.APPROVE) == (is_asked and may_approve and asked_by != user_id)
    assert (verdict is Verdict.ASK) == (not is_asked)


@given(st.booleans(), st.booleans())
def test_a_program_asks_nobody_and_approves_nothing(may_approve: bool, is_asked: bool) -> None:
    for who, expected in (
        (Who("shop", key_id=1), Verdict.REFUSE),
        (Who("shop", key_id=1, is_admin=True), Verdict.START),
        (COMMAND_LINE, Verdict.START),
    ):
        assert judge(who, may_approve=may_approve, asked_by=None, is_asked=is_asked) is expected
