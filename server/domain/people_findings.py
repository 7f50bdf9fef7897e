"""What the pre-flight says of the people: whom a broadcast goes to, and what they lack."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from server.domain.preflight import Code, Finding, Level
from server.domain.sentences import counted, said

DUPLICATE: Final = said("duplicate")
SHOWN_ROWS: Final = 5


def of_people(recipients: int, opted_out_count: int) -> Iterator[Finding]:
    """Who is left to send to. opted_out_count: people on the list who get nothing."""
    if not recipients:
        detail = said("This broadcast has no recipients to send to.")
        if opted_out_count:
            detail = f"{detail} {said('Everybody on its list has opted out.')}"
        yield Finding(Level.ERROR, Code.NOBODY, detail, "/recipients")
    elif opted_out_count:
        detail = counted(
            "1 person on the list opted out and will get nothing.",
            "%(n)s people on the list opted out and will get nothing.",
            opted_out_count,
        )
        yield Finding(Level.INFO, Code.OPTED_OUT, detail)


def of_audience(
    who: str, contacts_count: int, opted_out_count: int, recipients: int, *, starts_later: bool
) -> Iterator[Finding]:
    """Whom of the contacts it goes to, counted now: those of the start may be others. who: in words, no full stop."""
    if not recipients:
        if starts_later:
            why = _nobody_at_present(who, contacts_count, opted_out_count)
            then = said("Whoever is there when it starts gets it; if nobody is, it fails.")
            yield Finding(Level.WARNING, Code.NOBODY, f"{why} {then}", "/audience")
        else:
            yield Finding(Level.ERROR, Code.NOBODY, _nobody(who, contacts_count, opted_out_count), "/audience")
    elif opted_out_count:
        detail = counted(
            "1 person of the audience opted out and will get nothing.",
            "%(n)s people of the audience opted out and will get nothing.",
            opted_out_count,
        )
        yield Finding(Level.INFO, Code.OPTED_OUT, detail)


def _nobody(who: str, contacts_count: int, opted_out_count: int) -> str:
    if not contacts_count:
        return said("Nobody is in this audience: %(who)s.", who=who)
    if opted_out_count >= contacts_count:
        return said("Everybody in this audience has opted out: %(who)s.", who=who)
    return said("Nobody in this audience has a value for everything that the message needs: %(who)s.", who=who)


def _nobody_at_present(who: str, contacts_count: int, opted_out_count: int) -> str:
    if not contacts_count:
        return said("Nobody is in this audience at present: %(who)s.", who=who)
    if opted_out_count >= contacts_count:
        return said("Everybody in this audience has opted out at present: %(who)s.", who=who)
    return said(
        "Nobody in this audience has a value for everything that the message needs at present: %(who)s.", who=who
    )


def of_list(rejected_count: int, kept_reasons: Sequence[str]) -> Iterator[Finding]:
    """Rows that were left out. kept_reasons: of the first of them, as many as are kept."""
    duplicates_count = sum(reason == DUPLICATE for reason in kept_reasons)
    others_count = rejected_count - duplicates_count
    is_counted = rejected_count == len(kept_reasons)
    if duplicates_count:
        detail = f"{_same_phone(duplicates_count, is_counted=is_counted)} {said('Each phone is sent to once.')}"
        yield Finding(Level.INFO, Code.DUPLICATES, detail)
    if others_count:
        detail = _of_no_use(others_count, is_counted=is_counted or not duplicates_count)
        yield Finding(Level.WARNING, Code.REJECTED_ROWS, detail)


def _same_phone(count: int, *, is_counted: bool) -> str:
    if is_counted:
        return counted(
            "1 row of the list has a phone that came before.",
            "%(n)s rows of the list have a phone that came before.",
            count,
        )
    return counted(
        "At least 1 row of the list has a phone that came before.",
        "At least %(n)s rows of the list have a phone that came before.",
        count,
    )


def _of_no_use(count: int, *, is_counted: bool) -> str:
    if is_counted:
        return counted(
            "1 row of the list cannot be used and was left out.",
            "%(n)s rows of the list cannot be used and were left out.",
            count,
        )
    return counted(
        "At most 1 row of the list cannot be used and was left out.",
        "At most %(n)s rows of the list cannot be used and were left out.",
        count,
    )


@dataclass(frozen=True, slots=True)
class Lack:
    """A column that some people have no value for. first_rows: the lines of the first of them, where they are known."""

    column: str
    people_count: int
    first_rows: tuple[int, ...]


REFUSED: Final = said("WhatsApp will refuse the message without it.")
LEFT_OUT: Final = said("Whoever has none is left out.")


def of_values(lacks: Iterable[Lack], recipients: int, consequence: str = REFUSED) -> Iterator[Finding]:
    """Values that the message needs and people do not have. WhatsApp refuses an empty one (131008)."""
    for lack in lacks:
        level = Level.ERROR if lack.people_count >= recipients else Level.WARNING
        yield Finding(level, Code.VALUE_MISSING, f"{_lacking(lack, recipients)} {consequence}", "/recipients")


def _lacking(lack: Lack, recipients: int) -> str:
    rows = said("%(rows)s and more", rows=_rows(lack)) if lack.people_count > len(lack.first_rows) else _rows(lack)
    if lack.people_count >= recipients:
        if lack.first_rows:
            return said('Nobody has a value for "%(column)s" (rows %(rows)s).', column=lack.column, rows=rows)
        return said('Nobody has a value for "%(column)s".', column=lack.column)
    if lack.first_rows:
        return counted(
            '1 person has no value for "%(column)s" (rows %(rows)s).',
            '%(n)s people have no value for "%(column)s" (rows %(rows)s).',
            lack.people_count,
            column=lack.column,
            rows=rows,
        )
    return counted(
        '1 person has no value for "%(column)s".',
        '%(n)s people have no value for "%(column)s".',
        lack.people_count,
        column=lack.column,
    )


def _rows(lack: Lack) -> str:
    return ", ".join(map(str, lack.first_rows))
