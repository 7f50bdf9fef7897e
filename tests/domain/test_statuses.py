"""Statuses in any order, doubled or late, end in one state; and a failure of one attempt is not one of another."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from server.domain.callbacks import Callback, read_callback, write_callback
from server.domain.states import RECIPIENT_MOVES, RecipientStatus
from server.domain.statuses import Person, Report, Status, merge, report_of

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)
R = RecipientStatus

statuses = st.builds(
    Status,
    report=st.sampled_from(list(Report)),
    message_id=st.just("wamid.1"),
    at=st.integers(0, 600).map(lambda seconds: NOON + timedelta(seconds=seconds)),
    claim_number=st.sampled_from([1, None]),
)
some = st.lists(statuses, max_size=8)
in_flight = st.sampled_from(
    [
        Person(status=R.SENDING, claim_number=1),
        Person(status=R.UNKNOWN, claim_number=1),
        Person(status=R.SENT, claim_number=1, message_id="wamid.1", sent_at=NOON),
    ]
)


def a_status(report: Report, *, claim: int | None = 1, message_id: str = "wamid.1") -> Status:
    return Status(report, message_id, NOON, claim)


def after(person: Person, *said: Status) -> Person:
    """One webhook after the other."""
    for status in said:
        person = merge(person, [status]).person
    return person


def placed(person: Person, said: list[Status]) -> list[Status]:
    """A status that does not bring our text back finds its row only where the row knows the message."""
    return [status for status in said if status.claim_number is not None or person.message_id]


def fact_of(person: Person) -> tuple[object, ...]:
    """What counts and what people see. The first word of a message comes when it comes."""
    return (person.status, person.message_id, person.delivered_at, person.read_at)


@given(in_flight, some, st.randoms(use_true_random=False))
def test_any_order_ends_in_the_same_state(person: Person, said: list[Status], chance: object) -> None:
    said = placed(person, said)
    shuffled = sorted(said, key=lambda _: chance.random())  # type: ignore[attr-defined]
    assert fact_of(after(person, *said)) == fact_of(after(person, *shuffled))


@given(in_flight, some)
def test_one_after_the_other_or_all_at_once_is_the_same(person: Person, said: list[Status]) -> None:
    said = placed(person, said)
    assert fact_of(after(person, *said)) == fact_of(merge(person, said).person)


@given(in_flight, some)
def test_repeats_change_nothing(person: Person, said: list[Status]) -> None:
    said = placed(person, said)
    once = after(person, *said)
    assert after(once, *said) == once


@given(in_flight, some)
def test_every_change_is_a_move_of_the_table(person: Person, said: list[Status]) -> None:
    for status in said:
        changed = after(person, status)
        assert changed.status is person.status or (person.status, changed.status) in RECIPIENT_MOVES
        person = changed


def test_read_implies_delivered() -> None:
    person = after(Person(status=R.SENT, claim_number=1, message_id="wamid.1"), a_status(Report.READ))
    assert (person.status, person.delivered_at) == (R.READ, NOON)


def test_a_status_that_is_quicker_than_our_own_record_settles_it() -> None:
    person = after(Person(status=R.SENDING, claim_number=1), a_status(Report.DELIVERED))
    assert (person.status, person.message_id) == (R.DELIVERED, "wamid.1")


def test_a_late_status_finds_one_who_was_taken_for_failed() -> None:
    person = after(Person(status=R.FAILED, claim_number=1, failed_at=NOON), a_status(Report.SENT))
    assert (person.status, person.message_id, person.failed_at) == (R.SENT, "wamid.1", None)


def test_an_acceptance_of_an_earlier_attempt_keeps_the_next_from_leaving() -> None:
    waiting = Person(status=R.QUEUED, claim_number=2)
    assert after(waiting, a_status(Report.SENT, claim=1)).status is R.SENT


def test_a_failure_of_an_earlier_attempt_is_not_one_of_this() -> None:
    person = Person(status=R.SENT, claim_number=2, message_id="wamid.2", sent_at=NOON)
    assert after(person, a_status(Report.FAILED, claim=1)).status is R.SENT


def test_a_late_sent_does_not_call_back_a_message_that_failed_and_is_put_off() -> None:
    put_off = Person(status=R.QUEUED, claim_number=1, message_id="wamid.1")
    assert after(put_off, a_status(Report.SENT)).status is R.QUEUED


def test_words_that_meta_adds_are_no_reports() -> None:
    assert report_of("played") is Report.READ
    assert report_of("teleported") is None


@given(st.integers(1, 10**15), st.integers(1, 10**15), st.integers(1, 10**8))
def test_the_text_of_a_message_says_whose_it_is(broadcast_id: int, recipient_id: int, claim: int) -> None:
    assert read_callback(write_callback(broadcast_id, recipient_id, claim)) == Callback(
        broadcast_id, recipient_id, claim
    )


@given(st.text(max_size=40))
def test_a_text_of_somebody_else_says_nothing(text: str) -> None:
    found = read_callback(text)
    assert found is None or text.startswith("b")
