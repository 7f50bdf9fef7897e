"""Every error code has its reaction and its words, and every outcome one decision: as Meta's table has them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from server.domain.decisions import (
    LONGEST_BACK_OFF_SECONDS,
    BreakerCandidate,
    Decision,
    MarkFailed,
    MarkSent,
    MarkUnknown,
    Others,
    PauseSending,
    ReducePace,
    StopBroadcast,
    TryAgain,
    back_off_seconds,
    decide,
)
from server.domain.meanings import MEANINGS, explain, explain_stop, meaning_of
from server.domain.outcomes import Accepted, Ambiguous, NeverLeft, Outcome, Refused
from server.domain.reactions import (
    REACTIONS,
    Breaker,
    Defer,
    Fail,
    Reaction,
    Retry,
    Scope,
    SlowDown,
    Stop,
    is_outage,
    reaction_for,
)
from server.domain.states import PauseReason

# Meta's table by the letter, once more and in its own order: what kind of reaction each code has.
FAILS = {130403, 130472, 130497, 131021, 131026, 131047, 131050, 131062, 137000}
BREAKS = {
    *(100, 803, 130501, 131008, 131009, 131051, 131052, 131053, 131059, 132000, 132005, 132008, 132012, 132018),
    *(133000, 133005, 133008, 133009, 133015, 133016, 139100, 139101, 139102),
}
STOPS = {
    Scope.ACCOUNT: {0, 3, 10, 104, 190, 200, 368, 131005, 131031, 131042, 131064, 134011},
    Scope.CHANNEL: {33, 131037, 131045, 131048, 133006, 133010},
    Scope.BROADCAST: {
        *(131030, 131055, 131063, 132001, 132007, 132015, 132016, 132068, 132069, 134100, 134101, 134102),
    },
}
RETRIES = {1, 2, 80008, 131000, 131016, 133004, 135000, 139103}
DEFERS = {131049, 131056}
SLOWS = {Scope.APP: {4, 613}, Scope.ACCOUNT: {80007}, Scope.CHANNEL: {130429, 131057}}


def refused(code: int | None, status: int = 400, subcode: int | None = None, transient: bool = False) -> Refused:
    return Refused(code, "in Meta's words", status, subcode=subcode, is_transient=transient)


def decided(outcome: Outcome, attempts: int = 1, max_attempts: int = 5, jitter: float = 0.0) -> Decision:
    return decide(outcome, attempts=attempts, max_attempts=max_attempts, jitter=jitter)


def codes_with(kind: type[Reaction]) -> set[int]:
    return {code for code, reaction in REACTIONS.items() if isinstance(reaction, kind)}


def test_every_code_of_the_table_has_the_kind_of_reaction_that_the_table_gives_it() -> None:
    assert codes_with(Fail) == FAILS
    assert codes_with(Breaker) == BREAKS
    assert codes_with(Retry) == RETRIES
    assert codes_with(Defer) == DEFERS
    for scope, codes in STOPS.items():
        assert {code for code in codes_with(Stop) if getattr(REACTIONS[code], "scope", None) is scope} == codes
    for scope, codes in SLOWS.items():
        assert {code for code in codes_with(SlowDown) if getattr(REACTIONS[code], "scope", None) is scope} == codes


def test_every_code_with_a_reaction_has_a_meaning_and_the_other_way_round() -> None:
    assert set(MEANINGS) == set(REACTIONS)


@pytest.mark.parametrize("code", MEANINGS)
def test_a_meaning_is_whole_sentences_for_people(code: int) -> None:
    meaning = MEANINGS[code]
    for sentence in (meaning.what, meaning.to_do):
        assert not sentence or (sentence[0].isupper() and sentence[-1] == ".")
        assert str(code) not in sentence
    assert meaning.what


@pytest.mark.parametrize("code", sorted(codes_with(Stop) | codes_with(Breaker)))
def test_what_stops_a_broadcast_says_what_to_do_about_it(code: int) -> None:
    # What concerns the receiving of media and the block list is nothing a broadcast meets.
    assert MEANINGS[code].to_do or code in {131052, 139100, 139101, 139102}


@given(st.integers(200, 299))
def test_all_of_200_to_299_are_missing_permissions(code: int) -> None:
    assert reaction_for(refused(code)) == Stop(Scope.ACCOUNT, PauseReason.CREDENTIALS)
    assert meaning_of(refused(code)) == MEANINGS[200]


def test_100_with_subcode_33_is_a_number_that_is_gone_and_100_alone_is_not() -> None:
    assert reaction_for(refused(100, subcode=33)) == REACTIONS[33]
    assert meaning_of(refused(100, subcode=33)) == MEANINGS[33]
    assert reaction_for(refused(100, subcode=2494055)) == Breaker()


@given(st.integers(-(2**31), 2**31 - 1).filter(lambda code: code not in REACTIONS and not 200 <= code <= 299))
def test_a_code_nobody_has_heard_of_trips_the_breaker_or_is_retried_where_the_server_is_at_fault(code: int) -> None:
    assert reaction_for(refused(code)) == Breaker()
    assert reaction_for(refused(code, status=500)) == Retry(then=Breaker())
    assert reaction_for(refused(code, transient=True)) == Retry(then=Breaker())
    assert reaction_for(refused(code, status=429)) == REACTIONS[130429]
    assert str(code) in explain(refused(code))
    assert "in Meta's words" in explain(refused(code))


@pytest.mark.parametrize("code", sorted(BREAKS))
def test_what_meta_calls_transient_is_tried_again_before_it_counts(code: int) -> None:
    assert reaction_for(refused(code, transient=True)) == Retry(then=Breaker())


def test_meta_calling_it_transient_changes_no_other_reaction() -> None:
    for code in set(REACTIONS) - BREAKS:
        assert reaction_for(refused(code, transient=True)) == REACTIONS[code]


def test_details_and_the_trace_are_told_where_meta_gives_them() -> None:
    refusal = replace(refused(132012), details="body: variable 2", trace_id="Az8")
    assert explain(refusal) == "A variable does not have the form that the template asks for. (body: variable 2)"
    assert explain_stop(refusal).endswith("with the template. (Meta's trace id: Az8)")


# --- what becomes of the recipient


def test_an_accepted_message_is_sent() -> None:
    assert decided(Accepted("wamid.A")) == Decision(MarkSent("wamid.A"))
    assert decided(Accepted("wamid.A", held=True)) == Decision(MarkSent("wamid.A"))


@given(st.integers(1, 50), st.integers(1, 50), st.floats(0, 1, exclude_max=True))
def test_what_may_have_arrived_is_never_sent_again_on_a_guess(attempts: int, most: int, jitter: float) -> None:
    assert decided(Ambiguous("timed out"), attempts, most, jitter) == Decision(MarkUnknown("timed out"))


@given(st.integers(1, 50), st.integers(1, 50), st.floats(0, 1, exclude_max=True), st.floats(0, 1e9), st.floats(0, 1e9))
def test_what_never_left_waits_the_longer_the_longer_nothing_is_reached_and_costs_no_attempt(
    attempts: int, most: int, jitter: float, away: float, longer: float
) -> None:
    def verdict(away_seconds: float) -> TryAgain:
        decision = decide(
            NeverLeft("refused"), attempts=attempts, max_attempts=most, jitter=jitter, away_seconds=away_seconds
        )
        assert decision.effect is None
        assert isinstance(decision.verdict, TryAgain)
        return decision.verdict

    assert not verdict(away).uses_attempt
    assert 0.5 <= verdict(away).delay_seconds <= verdict(away + longer).delay_seconds <= LONGEST_BACK_OFF_SECONDS


@given(st.integers(1, 10_000), st.floats(0, 1, exclude_max=True))
def test_back_off_doubles_up_to_a_minute(attempts: int, jitter: float) -> None:
    full = min(2.0 ** min(attempts - 1, 100), LONGEST_BACK_OFF_SECONDS)
    assert full / 2 <= back_off_seconds(attempts, jitter) <= full


outcomes_refused = st.builds(
    Refused,
    st.one_of(st.none(), st.sampled_from(sorted(REACTIONS)), st.integers(-10, 10**6)),
    st.text(max_size=20),
    st.sampled_from([200, 301, 400, 401, 403, 404, 429, 500, 503]),
    subcode=st.sampled_from([None, 33, 463]),
    details=st.text(max_size=20),
    retry_after_seconds=st.one_of(st.none(), st.floats(0, 3_600)),
    is_transient=st.booleans(),
)
chance = st.floats(0, 1, exclude_max=True)


@given(outcomes_refused, st.integers(1, 20), st.integers(1, 20), chance)
def test_every_refusal_has_a_decision_and_every_wait_an_end(
    refusal: Refused, attempts: int, most: int, jitter: float
) -> None:
    match decided(refusal, attempts, most, jitter).verdict:
        case TryAgain(delay_seconds=delay, uses_attempt=uses_attempt):
            assert 0 <= delay <= 86_400 * 1.1
            assert attempts < most or not uses_attempt
        case MarkFailed(message=message):
            assert message
        case verdict:
            pytest.fail(f"a refusal cannot be {verdict}")


@given(outcomes_refused, st.integers(1, 20), chance)
def test_a_recipient_that_is_refused_again_and_again_uses_up_its_attempts_or_stops_or_slows_the_sending(
    refusal: Refused, most: int, jitter: float
) -> None:
    for attempts in range(1, most + 1):
        decision = decided(refusal, attempts, most, jitter)
        if isinstance(decision.verdict, MarkFailed):
            return
        if not decision.verdict.uses_attempt:  # type: ignore[union-attr]  # a refusal is never sent or unknown
            assert isinstance(decision.effect, StopBroadcast | ReducePace | PauseSending)
            return
    pytest.fail("still retried after its last attempt")


@given(outcomes_refused, st.integers(1, 20), st.integers(1, 20), chance)
def test_whoever_meets_a_stop_goes_back_to_the_queue_and_is_not_failed(
    refusal: Refused, attempts: int, most: int, jitter: float
) -> None:
    decision = decided(refusal, attempts, most, jitter)
    if isinstance(decision.effect, StopBroadcast):
        assert isinstance(decision.verdict, TryAgain)
        assert not decision.verdict.uses_attempt
    if isinstance(decision.effect, BreakerCandidate):
        assert isinstance(decision.verdict, MarkFailed)


@pytest.mark.parametrize("code", sorted(FAILS))
def test_a_failure_of_ones_own_touches_nobody_else(code: int) -> None:
    decision = decided(refused(code))
    assert decision.effect is None
    assert decision.verdict == MarkFailed(
        code, MEANINGS[code].what, suppress=code == 131050, flag_contact=code in {130403, 131021, 131026}
    )


@pytest.mark.parametrize("code", sorted(STOPS[Scope.ACCOUNT] | STOPS[Scope.CHANNEL] | STOPS[Scope.BROADCAST]))
def test_a_stop_says_what_happened_and_what_to_do(code: int) -> None:
    decision = decided(refused(code))
    assert isinstance(decision.effect, StopBroadcast)
    assert decision.effect.message == f"{MEANINGS[code].what} {MEANINGS[code].to_do}"
    assert decision.effect.is_final == (code == 132016)


@pytest.mark.parametrize(
    ("code", "reason", "resume_after_seconds"),
    [
        (190, PauseReason.CREDENTIALS, None),
        (131042, PauseReason.CREDENTIALS, None),
        (131048, PauseReason.QUALITY, None),
        (131064, PauseReason.QUALITY, 86_400.0),
        (132015, PauseReason.TEMPLATE, None),
        (132069, PauseReason.RATE_LIMITED, 3_600.0),
        (134101, PauseReason.TEMPLATE, 600.0),
    ],
)
def test_a_stop_goes_on_by_itself_only_where_time_alone_mends_it(
    code: int, reason: PauseReason, resume_after_seconds: float | None
) -> None:
    effect = decided(refused(code)).effect
    assert isinstance(effect, StopBroadcast)
    assert (effect.pause_reason, effect.resume_after_seconds) == (reason, resume_after_seconds)


@pytest.mark.parametrize("code", [2, 131016, 133004])
def test_an_outage_is_retried_and_then_waited_for_and_fails_nobody(code: int) -> None:
    assert isinstance(decided(refused(code), attempts=4).verdict, TryAgain)
    for attempts in (5, 6, 100):  # however often: the next run may meet the same outage with its first request
        last = decide(refused(code), attempts=attempts, max_attempts=5, jitter=0.5, others=Others.UNHEARD)
        assert isinstance(last.verdict, TryAgain)
        assert not last.verdict.uses_attempt
    assert isinstance(last.effect, StopBroadcast)
    assert (last.effect.pause_reason, last.effect.resume_after_seconds) == (PauseReason.PROVIDER_OUTAGE, 60.0)
    assert is_outage(refused(code))


@pytest.mark.parametrize("code", [2, 131016, 133004])
def test_one_whom_only_trouble_meets_while_others_are_answered_fails_alone(code: int) -> None:
    last = decide(refused(code), attempts=5, max_attempts=5, jitter=0.5, others=Others.ANSWERED)
    assert isinstance(last.verdict, MarkFailed)
    assert last.effect is None


@pytest.mark.parametrize("code", [2, 131016, 133004])
def test_the_last_whom_nobody_else_can_tell_of_are_waited_for_once_and_then_fail(code: int) -> None:
    first = decide(refused(code), attempts=5, max_attempts=5, jitter=0.5, others=Others.NONE)
    assert isinstance(first.verdict, TryAgain)
    assert first.verdict.uses_attempt
    assert isinstance(first.effect, StopBroadcast)
    assert (first.effect.pause_reason, first.effect.resume_after_seconds) == (PauseReason.PROVIDER_OUTAGE, 60.0)
    assert first.effect.message.startswith("Nobody else is left")
    again = decide(refused(code), attempts=6, max_attempts=5, jitter=0.5, others=Others.NONE)
    assert isinstance(again.verdict, MarkFailed)
    assert again.effect is None


def waits_of(code: int, max_attempts: int = 100) -> list[float]:
    waits = []
    for attempts in range(1, max_attempts + 1):
        verdict = decided(refused(code), attempts, max_attempts, jitter=0.0).verdict
        if not isinstance(verdict, TryAgain):
            break
        waits.append(verdict.delay_seconds)
    return waits


def test_the_ladders_are_metas() -> None:
    assert waits_of(131056) == [1, 4, 16, 64, 256]
    assert waits_of(131049) == [86_400, 86_400]
    assert waits_of(131000) == [30, 300, 1_800]
    assert len(waits_of(1)) == 3
    assert len(waits_of(135000)) == 1


@given(st.sampled_from([131049, 131056, 131000]), chance)
def test_a_wait_that_meta_names_is_never_cut_short(code: int, jitter: float) -> None:
    verdict = decided(refused(code), 1, 5, jitter).verdict
    assert isinstance(verdict, TryAgain)
    assert verdict.delay_seconds >= waits_of(code)[0]


def test_max_attempts_wins_over_every_ladder() -> None:
    assert len(waits_of(131056, max_attempts=3)) == 2
    assert isinstance(decided(refused(131000), attempts=1, max_attempts=1).verdict, MarkFailed)


def test_going_too_fast_halves_the_pace_and_costs_the_recipient_nothing() -> None:
    decision = decided(refused(130429), attempts=5)
    assert decision.effect == ReducePace(0.5, 1.0)
    assert isinstance(decision.verdict, TryAgain)
    assert not decision.verdict.uses_attempt
    assert decision.verdict.delay_seconds >= 1.0


@pytest.mark.parametrize(("code", "longest"), [(4, 900.0), (613, 900.0), (80007, 900.0), (131057, 60.0)])
def test_a_limit_of_the_app_or_the_account_pauses_the_sending(code: int, longest: float) -> None:
    decision = decided(refused(code))
    assert isinstance(decision.effect, PauseSending)
    assert (decision.effect.pause_seconds, decision.effect.longest_pause_seconds) == (60.0, longest)


def test_a_pause_lasts_as_long_as_meta_asks() -> None:
    decision = decided(replace(refused(4), retry_after_seconds=2_000.0))
    assert decision.effect == PauseSending(Scope.APP, 2_000.0, 2_000.0)
    assert isinstance(decision.verdict, TryAgain)
    assert decision.verdict.delay_seconds >= 2_000.0
