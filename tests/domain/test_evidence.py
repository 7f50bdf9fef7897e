"""Silence is evidence only while the line is open; whatever the webhooks do, a short line never sends twice."""

from hypothesis import given
from hypothesis import strategies as st

from server.domain.evidence import LINE_IS_OPEN_SECONDS, Judgement, Neighbours, Remedy, Silence, UnknownPolicy, judge

GRACE, LONGEST = 900.0, 21_600.0

seconds = st.floats(0, 100_000)
counts = st.integers(0, 5_000)
silences = st.builds(
    lambda age, since, accepted, share: Silence(age, since, Neighbours(accepted, int(accepted * share))),
    seconds,
    st.none() | seconds,
    counts,
    st.floats(0, 1),
)
policies = st.sampled_from(list(UnknownPolicy))


def judged(policy: UnknownPolicy, silence: Silence, *, can_send: bool = True) -> Judgement:
    return judge(policy, silence, can_send=can_send, grace_seconds=GRACE, max_wait_seconds=LONGEST, max_attempts=5)


@given(policies, silences, st.booleans())
def test_nobody_is_judged_within_the_grace_period(policy: UnknownPolicy, silence: Silence, can_send: bool) -> None:
    if silence.age_seconds < GRACE:
        assert judged(policy, silence, can_send=can_send).remedy is Remedy.WAIT


@given(silences)
def test_evidence_sends_again_only_where_nearly_all_neighbours_are_heard_of(silence: Silence) -> None:
    if judged(UnknownPolicy.EVIDENCE, silence).remedy is Remedy.RESEND:
        accepted, heard = silence.neighbours
        assert accepted >= 20
        assert heard / accepted >= 0.995
        assert silence.since_last_status_seconds is not None
        assert silence.since_last_status_seconds <= LINE_IS_OPEN_SECONDS


@given(
    st.integers(1, 3_000),
    st.integers(1, 3_000),
    st.floats(GRACE, LONGEST),
    st.data(),
)
def test_a_message_of_a_batch_that_is_late_or_lost_is_never_sent_again(
    accepted: int, late: int, age: float, data: st.DataObject
) -> None:
    """The unknown one was accepted, and its status is in a batch that has not come: who shares it is unheard too."""
    late = min(late, accepted)
    heard = data.draw(st.integers(0, accepted - late))
    silence = Silence(age, 1.0, Neighbours(accepted, heard))
    if late * 1000 > accepted * 5:
        assert judged(UnknownPolicy.EVIDENCE, silence).remedy is not Remedy.RESEND


@given(silences)
def test_assume_failed_never_sends_again(silence: Silence) -> None:
    assert judged(UnknownPolicy.ASSUME_FAILED, silence).remedy is not Remedy.RESEND


@given(policies, silences)
def test_a_broadcast_that_is_over_sends_to_nobody(policy: UnknownPolicy, silence: Silence) -> None:
    assert judged(policy, silence, can_send=False).remedy is not Remedy.RESEND


@given(policies, silences, st.booleans())
def test_nobody_waits_for_ever_and_whoever_fails_is_told_why(
    policy: UnknownPolicy, silence: Silence, can_send: bool
) -> None:
    judgement = judged(policy, silence, can_send=can_send)
    if silence.age_seconds >= LONGEST:
        assert judgement.remedy is not Remedy.WAIT
    assert bool(judgement.reason) is (judgement.remedy is not Remedy.WAIT)


def test_resend_sends_again_after_the_grace_period() -> None:
    silence = Silence(GRACE, None, Neighbours(0, 0))
    assert judged(UnknownPolicy.RESEND, silence).remedy is Remedy.RESEND


def test_a_channel_that_never_heard_a_status_fails_at_the_grace_period() -> None:
    silence = Silence(GRACE, None, Neighbours(100, 0))
    assert judged(UnknownPolicy.EVIDENCE, silence).remedy is Remedy.FAIL
