"""From the outcome of one request to what becomes of its recipient, and of the sending as a whole.

Three rules stand above the table of reactions:
- what may have reached the person is never sent again on a guess: `Ambiguous` becomes `unknown`, nothing else;
- what never left, and what was refused for the sake of pace, costs the recipient none of its attempts;
- what stops a broadcast is not the fault of the recipient that met it: that one goes back to the queue.

Chance comes in as a value, so that a decision can be repeated.
"""

from enum import Enum
from typing import Final, TypeAlias, assert_never

from msgspec import Struct
from msgspec.structs import replace

from server.domain.meanings import explain, explain_stop
from server.domain.outcomes import Accepted, Ambiguous, NeverLeft, Outcome, Refused
from server.domain.reactions import Breaker, Defer, Fail, Retry, Scope, SlowDown, Stop, reaction_for
from server.domain.sentences import said
from server.domain.states import PauseReason

LONGEST_BACK_OFF_SECONDS: Final = 60.0


class Others(Enum):
    """What is known of the broadcast's other people when one has met an outage as often as they may."""

    ANSWERED = "somebody got an answer a moment ago: WhatsApp is not away"
    UNHEARD = "nobody did, also where the run has only begun"
    NONE = "one or two are left and nobody else: who can tell an outage from their own trouble?"


class MarkSent(Struct, frozen=True, gc=False):
    """The recipient becomes `sent`."""

    message_id: str


class MarkFailed(Struct, frozen=True, gc=False):
    """The recipient becomes `failed`."""

    code: int | None
    message: str
    """For people: the recipient's `error_message`."""
    suppress: bool = False
    """The contact goes on the list of those who want no marketing."""
    flag_contact: bool = False
    """The contact itself is in doubt."""


class TryAgain(Struct, frozen=True, gc=False):
    """The recipient goes back to `queued`, with `next_attempt_at` so many seconds from now; 0: at once."""

    delay_seconds: float
    code: int | None
    message: str
    uses_attempt: bool = True
    """False: the claim's `attempts + 1` is taken back."""


class MarkUnknown(Struct, frozen=True, gc=False):
    """The recipient becomes `unknown`: a status webhook, or the policy for unknowns, settles it."""

    reason: str


Verdict: TypeAlias = MarkSent | MarkFailed | TryAgain | MarkUnknown


class ReducePace(Struct, frozen=True, gc=False):
    """The channel sends too fast: its pace times `factor`, and nothing leaves for `pause_seconds`."""

    factor: float
    pause_seconds: float


class PauseSending(Struct, frozen=True, gc=False):
    """A limit of the app, the account or the number is reached: nothing leaves for `pause_seconds`."""

    scope: Scope
    pause_seconds: float
    longest_pause_seconds: float
    """Pauses that follow one another double up to here (`breakers.Pauses`)."""


class BreakerCandidate(Struct, frozen=True, gc=False):
    """This failure may be everybody's: `breakers.Breaker` counts it."""

    code: int | None
    message: str
    """Why, and what to do, should it stop the broadcast."""


class StopBroadcast(Struct, frozen=True, gc=False):
    """Stop claiming, hand back what is claimed, and pause the broadcast (or fail it, where `is_final`)."""

    pause_reason: PauseReason
    message: str
    """For people: what happened, and what somebody has to do."""
    scope: Scope = Scope.BROADCAST
    """What it holds for besides: other broadcasts of the channel or account would meet the same."""
    resume_after_seconds: float | None = None
    """After how long the engine goes on by itself; None: when a person says so."""
    is_final: bool = False


Effect: TypeAlias = ReducePace | PauseSending | BreakerCandidate | StopBroadcast


class Decision(Struct, frozen=True, gc=False):
    """What the worker carries out: one thing for the recipient, and perhaps one for the sending as a whole."""

    verdict: Verdict
    effect: Effect | None = None


def decide(
    outcome: Outcome,
    *,
    attempts: int,
    max_attempts: int,
    jitter: float,
    away_seconds: float = 0.0,
    others: Others = Others.ANSWERED,
) -> Decision:
    """What becomes of the recipient whose request ended so.

    attempts: claims of this recipient, this one included, so 1 or more. max_attempts: 1 or more.
    jitter: from 0 to below 1, drawn anew for each call. away_seconds: for how long WhatsApp has not been reached at
    all (`breakers.Outage.away_seconds`), which is what the wait grows with when a request never left.
    others: what tells an outage from somebody's own trouble (`breakers.Outage.others`).
    """
    match outcome:
        case Accepted(message_id=message_id):
            return Decision(MarkSent(message_id))
        case Ambiguous(reason=reason):
            return Decision(MarkUnknown(reason))
        case NeverLeft(reason=reason):
            wait = _spread(min(max(away_seconds, 1.0), LONGEST_BACK_OFF_SECONDS), jitter)
            return Decision(TryAgain(wait, None, reason, uses_attempt=False))
        case Refused():
            return _decide_refused(outcome, attempts, max_attempts, jitter, others)
        case _:
            assert_never(outcome)


def back_off_seconds(attempts: int, jitter: float) -> float:
    """The wait after the nth attempt: 1, 2, 4 ... up to 60 seconds, and by chance down to half of that.

    The chance keeps a thousand recipients that failed together from coming back together.
    """
    # 2**6 is already above the longest wait; a larger exponent would only be a larger number.
    return _spread(min(2.0 ** min(attempts - 1, 6), LONGEST_BACK_OFF_SECONDS), jitter)


def _spread(seconds: float, jitter: float) -> float:
    return seconds * (0.5 + jitter / 2)


def _not_before(seconds: float, jitter: float) -> float:
    """A wait that somebody asked for: up to a tenth longer by chance, never shorter."""
    return seconds * (1.0 + jitter / 10)


def _decide_refused(refusal: Refused, attempts: int, max_attempts: int, jitter: float, others: Others) -> Decision:
    reaction = reaction_for(refusal)
    match reaction:
        case Retry() | Defer():
            wait = _wait_seconds(reaction, refusal, attempts, jitter) if attempts < max_attempts else None
            if wait is not None:
                return Decision(TryAgain(wait, refusal.code, explain(refusal)))
            then = reaction.then if isinstance(reaction, Retry) else Fail()
            if isinstance(then, Stop):
                return _wait_for_the_end_of_it(refusal, then, others, is_again=attempts > max_attempts)
            return _give_up(refusal, then)
        case SlowDown():
            return _slow_down(refusal, reaction, jitter)
        case Fail() | Breaker() | Stop():
            return _give_up(refusal, reaction)
        case _:
            assert_never(reaction)


def _wait_for_the_end_of_it(refusal: Refused, stop: Stop, others: Others, *, is_again: bool) -> Decision:
    """The attempts are used up by what may be an outage, which nobody is failed for.

    is_again: it was waited for once, with nobody else left. One whom trouble meets while others are answered has it for
    themselves, and must not hold them up.
    """
    if others is Others.ANSWERED or (others is Others.NONE and is_again):
        return _give_up(refusal, Fail())
    if others is Others.UNHEARD:
        return _give_up(refusal, stop)
    why = said("Nobody else is left, and WhatsApp refuses them for now: %(why)s", why=explain_stop(refusal))
    # It uses up an attempt, which is how it is known next time that it was waited for.
    return Decision(TryAgain(0.0, refusal.code, explain(refusal)), replace(_stop(refusal, stop), message=why))


def _wait_seconds(reaction: Retry | Defer, refusal: Refused, attempts: int, jitter: float) -> float | None:
    """Seconds until the recipient's next attempt; None when the reaction has no more."""
    if reaction.delays_seconds:
        if attempts > len(reaction.delays_seconds):
            return None
        wait = _not_before(reaction.delays_seconds[attempts - 1], jitter)
    elif isinstance(reaction, Retry) and reaction.retry_count is not None and attempts > reaction.retry_count:
        return None
    else:
        wait = back_off_seconds(attempts, jitter)
    return max(wait, refusal.retry_after_seconds or 0.0)


def _give_up(refusal: Refused, reaction: Fail | Breaker | Stop) -> Decision:
    match reaction:
        case Fail(flag_contact=flag_contact, suppress=suppress):
            return Decision(MarkFailed(refusal.code, explain(refusal), suppress=suppress, flag_contact=flag_contact))
        case Breaker():
            candidate = BreakerCandidate(refusal.code, explain_stop(refusal))
            return Decision(MarkFailed(refusal.code, explain(refusal)), candidate)
        case Stop():
            return Decision(_back_in_the_queue(refusal, 0.0), _stop(refusal, reaction))
        case _:
            assert_never(reaction)


def _slow_down(refusal: Refused, reaction: SlowDown, jitter: float) -> Decision:
    pause_seconds = max(reaction.pause_seconds, refusal.retry_after_seconds or 0.0)
    verdict = _back_in_the_queue(refusal, _not_before(pause_seconds, jitter))
    if reaction.factor < 1.0:
        return Decision(verdict, ReducePace(reaction.factor, pause_seconds))
    longest = max(reaction.longest_pause_seconds or 0.0, pause_seconds)
    return Decision(verdict, PauseSending(reaction.scope, pause_seconds, longest))


def _stop(refusal: Refused, stop: Stop) -> StopBroadcast:
    return StopBroadcast(
        stop.pause_reason,
        explain_stop(refusal),
        scope=stop.scope,
        resume_after_seconds=stop.resume_after_seconds,
        is_final=stop.is_final,
    )


def _back_in_the_queue(refusal: Refused, delay_seconds: float) -> TryAgain:
    return TryAgain(delay_seconds, refusal.code, explain(refusal), uses_attempt=False)
