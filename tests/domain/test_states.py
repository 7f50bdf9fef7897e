"""The state machine is data: these hold the table against itself."""

from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from server.domain.states import (
    FINAL,
    LIVE,
    RECIPIENT_MOVES,
    RULES,
    STARTABLE,
    BroadcastStatus,
    Move,
    RecipientStatus,
    allows,
    ending_of,
)


def reachable(starts: Iterable[BroadcastStatus]) -> set[BroadcastStatus]:
    """Every status that some chain of moves leads to."""
    seen, todo = set(starts), list(starts)
    while todo:
        status = todo.pop()
        for rule in RULES.values():
            if status in rule.allowed_from and rule.to not in seen:
                seen.add(rule.to)
                todo.append(rule.to)
    return seen


def test_every_status_is_reached_from_a_draft() -> None:
    assert reachable([BroadcastStatus.DRAFT]) == set(BroadcastStatus)


def test_only_what_whatsapp_says_later_moves_an_ended_broadcast() -> None:
    later = {Move.REOPEN, Move.CORRECT_PARTIAL, Move.CORRECT_COMPLETE}
    assert {move for move in Move for status in FINAL if allows(move, status)} == later


def test_a_broadcast_that_a_person_or_whatsapp_stopped_never_moves_again() -> None:
    assert not [move for move in Move for status in ("cancelled", "failed") if allows(move, BroadcastStatus(status))]


def test_every_broadcast_that_has_not_ended_can_still_end() -> None:
    for status in set(BroadcastStatus) - FINAL:
        assert reachable([status]) & FINAL, status


def test_what_can_be_run_is_live() -> None:
    assert STARTABLE <= LIVE
    assert not LIVE & FINAL


def test_a_recipient_is_sent_to_only_from_the_queue() -> None:
    assert {before for before, after in RECIPIENT_MOVES if after is RecipientStatus.SENDING} == {RecipientStatus.QUEUED}


def test_nobody_is_sent_to_again_from_an_end() -> None:
    ends = {RecipientStatus.READ, RecipientStatus.FAILED, RecipientStatus.CANCELLED, RecipientStatus.SKIPPED}
    waiting = {RecipientStatus.QUEUED, RecipientStatus.SENDING}
    assert not [pair for pair in RECIPIENT_MOVES if pair[0] in ends and pair[1] in waiting]


@given(st.integers(0, 10_000), st.integers(0, 10_000))
def test_a_broadcast_is_completed_only_when_nobody_failed(sent: int, failed: int) -> None:
    assert (RULES[ending_of(sent, failed)].to is BroadcastStatus.COMPLETED) == (failed == 0)
