"""What errors do to a broadcast whose time has come."""

from hypothesis import given
from hypothesis import strategies as st

from server.domain.preflight import Code, Finding, Level
from server.domain.scheduled_starts import stopped_by
from server.domain.states import RULES, BroadcastStatus, Move, PauseReason

ERRORS = st.lists(st.builds(Finding, st.just(Level.ERROR), st.sampled_from(Code), st.sampled_from(["One.", "Two."])))


def error(code: Code) -> Finding:
    return Finding(Level.ERROR, code, f"It is {code}.")


@given(ERRORS)
def test_whatever_stops_it_can_be_done_from_the_queue_and_says_every_error_once(errors: list[Finding]) -> None:
    stopped = stopped_by(errors)
    if stopped is None:
        return
    assert BroadcastStatus.QUEUED in RULES[stopped.move].allowed_from
    assert (stopped.move is Move.HOLD) is (stopped.pause_reason is not None)
    assert stopped.pause_reason is not PauseReason.USER
    assert stopped.detail.count("One.") <= 1
    assert stopped.detail


def test_what_can_be_mended_comes_before_what_is_for_good() -> None:
    for_good = stopped_by([error(Code.VALUE_MISSING)])
    assert for_good is not None
    assert for_good.move is Move.FAIL
    both = stopped_by([error(Code.VALUE_MISSING), error(Code.TEMPLATE_PAUSED)])
    assert both is not None
    assert (both.move, both.pause_reason) == (Move.HOLD, PauseReason.TEMPLATE)
    assert both.detail == "It is value_missing. It is template_paused."


def test_who_is_left_is_for_the_start_itself_to_say() -> None:
    assert stopped_by([]) is None
    assert stopped_by([error(Code.NOBODY)]) is None
    assert stopped_by([error(Code.NOBODY), error(Code.VALUE_MISSING)]) is None
