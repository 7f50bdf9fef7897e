"""What a status webhook changes of a recipient. Pure, and the same whatever the order, delay or doubling of statuses.

For one message the statuses form a lattice, `sent < delivered < read < failed`, and the highest one stands. A recipient
may have been sent to more than once (an attempt that failed, or an unknown one that evidence brought back), so two
questions come first:

- Does the status speak of the attempt that the row speaks of? A failure of an earlier attempt changes nothing.
- Had that message failed before? Then a `sent` that arrives late must not call it back.

That a message was accepted is true for its person whichever attempt it was, and whatever our row thought of it: a row
that is queued again, settled as failed without an answer, or cancelled, has got its message all the same.
"""

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Final

from msgspec import Struct, structs

from server.domain.states import RecipientStatus


class Report(StrEnum):
    """What WhatsApp reports of a message."""

    SENT = "sent"
    DELIVERED = "delivered"
    READ = "read"
    FAILED = "failed"


_REPORTS: Final = {
    "sent": Report.SENT,
    "delivered": Report.DELIVERED,
    "read": Report.READ,
    "played": Report.READ,  # a voice message that was listened to
    "failed": Report.FAILED,
}
_R = RecipientStatus
_RANK: Final = {_R.SENT: 1, _R.DELIVERED: 2, _R.READ: 3}
_RANK_OF_REPORT: Final = {Report.SENT: 1, Report.DELIVERED: 2, Report.READ: 3}
_OF_RANK: Final = {rank: status for status, rank in _RANK.items()}
_OPEN_TO_FAILURE: Final = frozenset({_R.SENDING, _R.UNKNOWN, _R.SENT, _R.DELIVERED, _R.READ})


def report_of(word: str) -> Report | None:
    """The report that a status is; None for a word that Meta added since."""
    return _REPORTS.get(word)


class Status(Struct, frozen=True, gc=False):
    """One status of one message.

    claim_number: which claim of the recipient sent the message; None where the status did not bring our text back.
    """

    report: Report
    message_id: str
    at: datetime
    claim_number: int | None = None
    error_code: int | None = None
    error_message: str | None = None
    error_details: str = ""
    price_category: str | None = None
    price_type: str | None = None


class Person(Struct, frozen=True, gc=False, kw_only=True):
    """What a recipient's row says, as far as statuses have to do with it."""

    status: RecipientStatus
    claim_number: int
    message_id: str | None = None
    heard_at: datetime | None = None
    sent_at: datetime | None = None
    delivered_at: datetime | None = None
    read_at: datetime | None = None
    failed_at: datetime | None = None
    price_category: str | None = None
    price_type: str | None = None


class Merged(Struct, frozen=True, gc=False):
    """A row after statuses. failure: the status that made it fail, for which there may be another remedy."""

    person: Person
    failure: Status | None = None


def merge(person: Person, statuses: Iterable[Status]) -> Merged:
    """The row after these statuses, in whatever order they came."""
    failure: Status | None = None
    # Acceptances first: for one message a failure outranks them, so it must find them all there.
    for status in sorted(statuses, key=_failures_last):
        if status.report is not Report.FAILED:
            person = _accepted(person, status)
        elif _speaks_of_the_row(person, status) and person.status in _OPEN_TO_FAILURE:
            person, failure = _failed(person, status), status
        else:
            person = _heard(person, status)
    return Merged(person, failure)


def _failures_last(status: Status) -> bool:
    return status.report is Report.FAILED


def _speaks_of_the_row(person: Person, status: Status) -> bool:
    """Whether the status is of the attempt that the row stands for."""
    if status.claim_number is not None:
        return status.claim_number == person.claim_number
    return status.message_id == person.message_id


def _accepted(person: Person, status: Status) -> Person:
    person = _heard(person, status)
    times = _times(person, status)
    if status.message_id == person.message_id and person.status not in _RANK:
        # The row knows this message and does not call it accepted: it has failed already. Who was put off for that and
        # turns out to have got it must not get another.
        has_got_it = person.status is _R.QUEUED and times["delivered_at"] is not None
        return structs.replace(person, status=_R.FAILED if has_got_it else person.status, **times)
    rank = max(_RANK.get(person.status, 0), _RANK_OF_REPORT[status.report])
    return structs.replace(
        person,
        status=_OF_RANK[rank],
        message_id=person.message_id if person.status in _RANK and person.message_id else status.message_id,
        failed_at=None,
        **times,
    )


def _failed(person: Person, status: Status) -> Person:
    return structs.replace(
        _heard(person, status),
        status=_R.FAILED,
        message_id=status.message_id,
        failed_at=_earlier(person.failed_at, status.at),
    )


def _heard(person: Person, status: Status) -> Person:
    return structs.replace(
        person,
        # Evidence asks whether the message of the present attempt was heard of; an earlier one says nothing of it.
        heard_at=person.heard_at or (status.at if _speaks_of_the_row(person, status) else None),
        price_category=person.price_category or status.price_category,
        price_type=person.price_type or status.price_type,
    )


def _times(person: Person, status: Status) -> dict[str, datetime | None]:
    """When it was sent, delivered and read; `read` implies the two before it."""
    rank = _RANK_OF_REPORT[status.report]
    return {
        "sent_at": person.sent_at or status.at,
        "delivered_at": _earlier(person.delivered_at, status.at) if rank >= 2 else person.delivered_at,
        "read_at": _earlier(person.read_at, status.at) if rank >= 3 else person.read_at,
    }


def _earlier(known: datetime | None, said: datetime) -> datetime:
    return said if known is None else min(known, said)
