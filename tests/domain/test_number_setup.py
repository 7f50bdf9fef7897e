"""The five checks of a number."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.domain.number_setup import Answer, Seen, State, Subject, Why, checks
from server.domain.outcomes import Refused

CODES = st.sampled_from([None, 0, 3, 4, 10, 33, 100, 190, 200, 803, 131005, 999_999])
ANSWERS = st.one_of(
    st.just(Answer()),
    CODES.map(lambda code: Answer(refusal=Refused(code, "no", 400))),
    st.just(Answer(away="nobody answers")),
)
SEEN = st.builds(
    Seen,
    is_token_readable=st.booleans(),
    number=ANSWERS,
    status=st.sampled_from(["", "CONNECTED", "PENDING"]),
    account=ANSWERS,
    is_on_account=st.none() | st.booleans(),
    block=st.sampled_from(["", "It is blocked."]),
    is_subscribed=st.none() | st.booleans(),
    is_verified=st.booleans(),
    has_event=st.booleans(),
    has_event_lately=st.booleans(),
)
ALL_WELL = Seen(status="CONNECTED", is_on_account=True, is_subscribed=True, is_verified=True, has_event=True)


@given(SEEN)
def test_there_are_always_five_in_the_same_order_and_each_says_why(seen: Seen) -> None:
    found = checks(seen)
    assert [check.subject for check in found] == list(Subject)
    assert all((check.why is Why.WELL) == (check.state is State.PASSED) for check in found)


@given(SEEN)
def test_nothing_passes_that_whatsapp_did_not_say(seen: Seen) -> None:
    found = {check.subject: check.state for check in checks(seen)}
    if not seen.number.is_well:
        assert found[Subject.NUMBER] is not State.PASSED
    if not seen.account.is_well:
        assert found[Subject.ACCOUNT] is not State.PASSED
    if not seen.has_event:
        assert State.PASSED not in (found[Subject.WEBHOOK], found[Subject.APP_SECRET])


@given(SEEN)
def test_an_outage_calls_nothing_wrong_that_whatsapp_is_asked_for(seen: Seen) -> None:
    if seen.is_token_readable and seen.number.away and seen.account.away:
        assert [check.state for check in checks(seen)[:3]] == [State.UNSURE] * 3


def test_all_well() -> None:
    assert {check.state for check in checks(ALL_WELL)} == {State.PASSED}


@pytest.mark.parametrize(
    ("code", "subject", "why"),
    [
        (190, Subject.TOKEN, Why.TOKEN_REFUSED),
        (33, Subject.NUMBER, Why.NUMBER_UNKNOWN),
        (100, Subject.NUMBER, Why.NUMBER_UNKNOWN),
        (10, Subject.NUMBER, Why.NO_PERMISSION),
        (4, Subject.TOKEN, Why.OTHER_REFUSAL),
    ],
)
def test_a_refusal_says_what_is_wrong_by_its_code(code: int, subject: Subject, why: Why) -> None:
    seen = Seen(number=Answer(refusal=Refused(code, "no", 400)))
    assert next(check.why for check in checks(seen) if check.subject is subject) is why
