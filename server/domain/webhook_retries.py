"""What becomes of an event after an attempt to deliver it, and of the endpoint that it was for.

Standard Webhooks: any 2xx is a receipt, 410 Gone asks for no more, everything else is tried again with back-off.
"""

from typing import Final, NamedTuple

from server.domain.sentences import said

GONE: Final = 410
# Waits between attempts, in seconds: soon after a hiccup, seldom in a long outage. The last one repeats.
DELAYS: Final = (5.0, 30.0, 120.0, 600.0, 1_800.0, 3_600.0, 7_200.0, 14_400.0, 21_600.0)
# So much is a wait made longer or shorter, so that what failed together does not come back together.
JITTER: Final = 0.2
TRY_FOR_SECONDS: Final = 86_400.0
# The longest wait that a receiver may ask for by Retry-After.
LONGEST_WISH_SECONDS: Final = 3_600.0


# So long an endpoint that fails is left alone between two attempts, whatever is due for it: at first, and at most.
SHORTEST_REST_SECONDS: Final = 1.0
LONGEST_REST_SECONDS: Final = 60.0


class Attempt(NamedTuple):
    """One attempt, as far as what follows depends on it.

    status_code: None where no answer came. number: 1 for the first. trying_seconds: since the first attempt for this
    event. failing_seconds: since the endpoint's first failure after its last success, None where this is the first.
    retry_after_seconds: what the receiver asked for. is_test: a ping, for somebody who is watching.
    """

    status_code: int | None
    number: int
    trying_seconds: float
    failing_seconds: float | None = None
    retry_after_seconds: float | None = None
    is_test: bool = False


class Verdict(NamedTuple):
    """What follows. retry_in_seconds: None where it is not tried again. disable_because: why the endpoint is closed."""

    is_delivered: bool
    retry_in_seconds: float | None = None
    disable_because: str | None = None


GONE_REASON: Final = said("It answered 410 Gone, which asks for nothing more.")
FAILING_REASON: Final = said("Every attempt of 24 hours failed.")


def judge(attempt: Attempt, jitter: float) -> Verdict:
    """What follows from an attempt. jitter: chance, from 0 to 1."""
    status = attempt.status_code
    if status is not None and 200 <= status < 300:
        return Verdict(is_delivered=True)
    if attempt.is_test:
        return Verdict(is_delivered=False)
    if status == GONE:
        return Verdict(is_delivered=False, disable_because=GONE_REASON)
    is_failing = attempt.failing_seconds is not None and attempt.failing_seconds >= TRY_FOR_SECONDS
    because = FAILING_REASON if is_failing else None
    return Verdict(False, delay(attempt, jitter), because)


def rest(failing_seconds: float) -> float:
    """Seconds for which an endpoint that fails is left alone: the longer, the longer it has failed."""
    return min(SHORTEST_REST_SECONDS + failing_seconds / 10, LONGEST_REST_SECONDS)


def delay(attempt: Attempt, jitter: float) -> float | None:
    """Seconds until the next attempt; None where 24 hours are over. The last attempt comes when they are."""
    left = TRY_FOR_SECONDS - attempt.trying_seconds
    if left <= 0:
        return None
    wait = DELAYS[min(attempt.number, len(DELAYS)) - 1] * (1 + JITTER * (2 * jitter - 1))
    wished = min(attempt.retry_after_seconds or 0.0, LONGEST_WISH_SECONDS)
    return min(max(wait, wished), left)
