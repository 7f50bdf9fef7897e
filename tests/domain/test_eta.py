"""An eta is never sooner than what is known to stand in the way, and none is given where nobody can know."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.domain.eta import Outlook, eta
from server.domain.states import BroadcastStatus, PauseReason

NOW = datetime(2026, 11, 25, 9, 0, tzinfo=UTC)
RUNS = Outlook(
    status=BroadcastStatus.RUNNING,
    pause_reason=None,
    cancel_requested=False,
    remaining_count=800,
    current_rate=80.0,
    allowed_rate=80.0,
    has_runner=True,
    beyond_limit_count=0,
    resume_at=None,
    scheduled_at=None,
    waits_until=None,
)
instants = st.none() | st.integers(-1_000_000, 1_000_000).map(lambda seconds: NOW + timedelta(seconds=seconds))
counts = st.dictionaries(st.integers(1, 10**6).map(lambda seconds: NOW + timedelta(seconds=seconds)), st.integers(1))
rates = st.none() | st.floats(0.0, 20_000.0)


def after(seconds: float) -> datetime:
    """So many seconds from now."""
    return NOW + timedelta(seconds=seconds)


def test_at_the_present_rate() -> None:
    assert eta(RUNS, NOW) == after(10)


def test_people_who_were_put_off_are_waited_for() -> None:
    assert eta(RUNS._replace(waits_until=after(300)), NOW) == after(300)
    assert eta(RUNS._replace(waits_until=after(-300)), NOW) == after(10)
    assert eta(RUNS._replace(current_rate=0.0, remaining_count=8, waits_until=after(60)), NOW) == after(60)


def test_many_who_wait_are_not_sent_to_in_the_instant_in_which_they_may_be() -> None:
    """The rate now says nothing of theirs: hardly anybody may be sent to at the moment."""
    many = RUNS._replace(remaining_count=8_000, current_rate=80.0, waits_until=after(600), waits={after(600): 7_900})
    assert eta(many, NOW) == after(600 + 7_900 / 80)
    assert eta(many._replace(current_rate=1.0, remaining_count=7_905), NOW) == after(7_905)
    two = many._replace(waits={after(600): 4_000, after(1_200): 4_000})
    assert eta(two, NOW) == after(1_250)
    # What was counted once may have been sent to since.
    assert eta(two._replace(remaining_count=80), NOW) == after(1_201)
    assert eta(two._replace(waits={after(-600): 4_000}, waits_until=None), NOW) == after(100)


def test_by_local_time_it_starts_when_the_first_may_be_sent_to_and_ends_after_the_last() -> None:
    scheduled = RUNS._replace(status=BroadcastStatus.SCHEDULED, scheduled_at=after(600), current_rate=None)
    early = scheduled._replace(starts_at=after(60), waits={after(60): 400, after(3_600): 400})
    assert eta(early, NOW) == after(3_605)


def test_a_pause_that_ends_by_itself_comes_first() -> None:
    paused = RUNS._replace(status=BroadcastStatus.PAUSED, pause_reason=PauseReason.PROVIDER_OUTAGE, current_rate=None)
    assert eta(paused._replace(resume_at=after(60)), NOW) == after(70)
    assert eta(paused._replace(status=BroadcastStatus.QUEUED, pause_reason=None, resume_at=after(60)), NOW) == after(70)
    assert eta(paused._replace(resume_at=after(-60)), NOW) == after(10)


def test_a_schedule_comes_first() -> None:
    scheduled = RUNS._replace(status=BroadcastStatus.SCHEDULED, scheduled_at=after(60), current_rate=None)
    assert eta(scheduled, NOW) == after(70)
    assert eta(scheduled._replace(allowed_rate=None), NOW) is None


@pytest.mark.parametrize(
    "outlook",
    [
        RUNS._replace(has_runner=False),
        RUNS._replace(cancel_requested=True),
        RUNS._replace(remaining_count=0),
        RUNS._replace(current_rate=0.0),
        RUNS._replace(current_rate=None, allowed_rate=None),
        RUNS._replace(current_rate=1e-12),
        RUNS._replace(beyond_limit_count=1),
        RUNS._replace(status=BroadcastStatus.DRAFT),
        RUNS._replace(status=BroadcastStatus.QUEUED),
        RUNS._replace(status=BroadcastStatus.PAUSED, pause_reason=PauseReason.USER),
        RUNS._replace(status=BroadcastStatus.PAUSED, pause_reason=PauseReason.MESSAGING_LIMIT, resume_at=after(60)),
        RUNS._replace(status=BroadcastStatus.CANCELLED),
    ],
    ids=str,
)
def test_where_nobody_can_know_there_is_none(outlook: Outlook) -> None:
    assert eta(outlook, NOW) is None


@given(st.sampled_from(BroadcastStatus), st.integers(0, 10**9), rates, rates, instants, instants, instants, counts)
def test_it_is_never_before_what_stands_in_the_way(
    status: BroadcastStatus,
    remaining_count: int,
    current_rate: float | None,
    allowed: float | None,
    resume_at: datetime | None,
    scheduled_at: datetime | None,
    waits_until: datetime | None,
    waits: dict[datetime, int],
) -> None:
    outlook = RUNS._replace(status=status, remaining_count=remaining_count, current_rate=current_rate)
    outlook = outlook._replace(allowed_rate=allowed, resume_at=resume_at, scheduled_at=scheduled_at)
    found = eta(outlook._replace(waits_until=waits_until, waits=waits), NOW)
    if found is not None:
        assert found >= NOW
        assert waits_until is None or found >= waits_until
        assert all(found >= at for at in waits)
        assert status != BroadcastStatus.PAUSED or (resume_at is not None and found >= resume_at)
        assert status != BroadcastStatus.SCHEDULED or (scheduled_at is not None and found >= scheduled_at)
