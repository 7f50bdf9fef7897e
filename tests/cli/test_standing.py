"""How a broadcast stands, in words: never more than is known, and counts that add up."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.cli.standing import Reason, Signs, description, live_line, summary
from server.domain.durations import in_words
from server.domain.states import BroadcastStatus, PauseReason

NOW = datetime(2026, 11, 25, 9, 0, tzinfo=UTC)
PARTS = ("sent", "failed", "skipped", "cancelled", "unknown")


def a_broadcast(total: int = 100, **fields: Any) -> dict[str, Any]:
    """A broadcast that runs at 80 a second, as the row has it."""
    row: dict[str, Any] = dict.fromkeys([f"{name}_count" for name in (*PARTS, "delivered", "read", "rejected")], 0)
    row |= {"id": 7, "name": "Spring sale", "status": "running", "pause_reason": None, "status_detail": None}
    row |= {"resume_at": None, "scheduled_at": None, "started_at": None, "completed_at": None, "rejected": []}
    row |= {"local_time": None}
    row |= {"created_at": "2026-11-25T08:59:00.000000Z", "eta": "2026-11-25T09:00:01.000000Z"}
    row |= {"total_recipients": total, "cancel_requested": False, "rate_limit": None, "limited_by": "your_rate"}
    row |= {"current_rate": 80.0, **fields}
    row["processed_count"] = sum(row[f"{name}_count"] for name in PARTS if name != "unknown")
    return row


def live(signs: Signs | None = None, **fields: Any) -> str:
    """The live line of such a broadcast."""
    return live_line(a_broadcast(**fields), signs or Signs(10.0, 9.0), NOW)


def test_a_broadcast_that_goes_well_shows_its_pace() -> None:
    assert live(sent_count=20) == "running, 80/s, 1 s left"


def test_a_silent_worker_has_no_pace() -> None:
    silent = live(Signs(lease_seconds=10.0, lease_left_seconds=3.0))
    gone = live(Signs(lease_seconds=10.0, lease_left_seconds=-1.0))
    assert silent == "running: no word from its worker for 7 s"
    assert gone == "running: its worker is gone, waiting for another to take over"


def test_silence_of_whatsapp_has_no_pace() -> None:
    assert live(Signs(10.0, 9.0, still_seconds=12.0)) == "running: nothing got through for 12 s, is WhatsApp away?"


def test_a_slow_broadcast_is_not_taken_for_a_silent_one() -> None:
    assert "away" not in live(Signs(10.0, 9.0, still_seconds=12.0), rate_limit=1, current_rate=0.1)


def test_a_pause_says_why_and_when_it_ends() -> None:
    resume_at = (NOW + timedelta(seconds=42)).isoformat().replace("+00:00", "Z")
    paused = live(status="paused", pause_reason="provider_outage", resume_at=resume_at, current_rate=None)
    assert paused == "paused (WhatsApp is away), goes on by itself in 42 s"


@pytest.mark.parametrize("reason", PauseReason)
def test_every_reason_for_a_pause_has_its_words(reason: PauseReason) -> None:
    said = live(status="paused", pause_reason=reason, current_rate=None)
    assert said.startswith("paused (")
    assert "no reason given" not in said


def test_what_settles_is_not_called_over() -> None:
    settling = a_broadcast(10, status="settling", sent_count=9, unknown_count=1, current_rate=None)
    assert live_line(settling, Signs(), NOW) == "nothing is left to send, settling, 1 unknown"
    assert "what became of 1 person is not known yet" in summary(settling)
    assert "over" not in summary(settling)


def test_a_wish_to_cancel_is_shown_at_once() -> None:
    assert live(cancel_requested=True, current_rate=None) == "being cancelled"


@given(st.lists(st.integers(0, 10**6), min_size=6, max_size=6), st.sampled_from(BroadcastStatus))
def test_the_counts_of_a_summary_add_up(counts: list[int], status: BroadcastStatus) -> None:
    parts = {f"{name}_count": count for name, count in zip(PARTS, counts[1:], strict=True)}
    fields = {"status": status, "scheduled_at": "2026-11-26T09:00:00.000000Z", "current_rate": None, **parts}
    lines = list(description(a_broadcast(sum(counts), **fields), [], NOW))
    total, *shown = [int(line.split()[0].replace(",", "")) for line in lines if re.match(r" +[\d,]+  ", line)]
    assert total == sum(counts) == sum(shown)
    assert lines[0].startswith("Broadcast 7, Spring sale")


def test_a_schedule_by_local_time_is_told_as_everybody_reads_it() -> None:
    scheduled = a_broadcast(status="scheduled", local_time="2026-12-01T10:00:00")
    (first, *_) = description(scheduled, [], NOW)
    assert first.endswith("scheduled; everybody gets it at 2026-12-01 10:00:00 by their own clock.")


def test_reasons_are_grouped_and_none_is_lost() -> None:
    reasons = [Reason("failed", code, f"Reason {code}.", 20 - code) for code in range(1, 15)]
    lines = list(description(a_broadcast(failed_count=99), [*reasons, Reason("unknown", None, "A cut.", 2)], NOW))
    assert f"{19:>12}  Reason 1. (1)" in lines
    assert f"{9 + 8 + 7 + 6:>12}  for other reasons" in lines
    assert lines[lines.index("Why unknown:") + 1] == f"{2:>12}  A cut."


def test_rows_that_could_not_be_used_are_counted_by_their_reason() -> None:
    rejected = [{"row": n, "phone": "12", "reason": "not a phone number"} for n in range(2)]
    lines = list(description(a_broadcast(rejected=rejected, rejected_count=2), [], NOW))
    assert lines[lines.index("2 rows of the list could not be used:") + 1] == f"{2:>12}  not a phone number"


def test_one_is_not_many() -> None:
    one = a_broadcast(1, status="completed", sent_count=1, rejected_count=1, current_rate=None)
    lines = list(description(one, [], NOW))
    assert f"{1:>12}  person" in lines
    assert any(line.startswith("1 row of the list") for line in lines)


@pytest.mark.parametrize(("seconds", "words"), [(0.2, "1 s"), (119, "119 s"), (120, "2 min"), (7200, "2.0 h")])
def test_a_length_of_time_reads_as_people_say_it(seconds: float, words: str) -> None:
    assert in_words(seconds) == words
