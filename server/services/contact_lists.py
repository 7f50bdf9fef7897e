"""A file of contacts as a stream of people: CSV with a column for each thing, or a JSON object on each line.

`name` and `tags` are fields of a contact; `opt_out` says yes or no; `opt_in_at` with `opt_in_source` and `opt_in_note`
proves that somebody agreed. Every other column is an attribute. What is wrong with one row stops nobody else.
"""

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from server.domain.contacts import (
    clean_attribute,
    clean_attributes,
    clean_name,
    clean_tags,
    instant_of,
    is_yes,
    tags_in,
)
from server.domain.errors import BadInput
from server.domain.phones import normalise
from server.domain.sentences import said
from server.services.csv_lists import TOO_LONG, CsvList, Row, open_csv
from server.services.json_lines import lines_of

LONGEST_SOURCE: Final = 200
LONGEST_NOTE: Final = 2_000
IN_A_FILE: Final = said("in a list that was imported")
_decode = msgspec.json.Decoder(dict[str, Any]).decode


class OptIn(NamedTuple):
    """That somebody agreed to get messages. source, note: what a person wrote of it."""

    at: datetime
    source: str
    note: str | None


@dataclass(slots=True)
class ContactRow:
    """One person of a list, checked. number: the line in the file. phone: E.164, or with a problem what was written."""

    number: int
    phone: str
    problem: str | None = None
    name: str | None = None
    tags: list[str] = field(default_factory=list)
    attributes: dict[str, str] = field(default_factory=dict)
    opt_in: OptIn | None = None
    opt_out: bool = False

    def add(self, later: "ContactRow") -> None:
        """What a later row says of the same person: it adds tags, and has the last word on everything else."""
        self.name = later.name or self.name
        self.tags = sorted({*self.tags, *later.tags})
        self.attributes |= later.attributes
        self.opt_in = later.opt_in or self.opt_in
        self.opt_out = later.opt_out or self.opt_out


@dataclass(frozen=True, slots=True)
class Reading:
    """How a list is read. tags: what everybody in it is tagged with besides."""

    default_country: str | None = None
    name_column: str | None = None
    tags_column: str | None = None
    tags: Sequence[str] = ()


class _Columns(NamedTuple):
    """Which column of a file is what; None where it has no such column."""

    name: str | None
    tags: str | None
    opt_out: str | None
    opt_in_at: str | None
    opt_in_source: str | None
    opt_in_note: str | None


_NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "name": ("name",),
    "tags": ("tags", "tag"),
    "opt_out": ("optout", "optedout", "unsubscribed"),
    "opt_in_at": ("optinat", "optedinat"),
    "opt_in_source": ("optinsource", "optedinsource"),
    "opt_in_note": ("optinnote", "optedinnote"),
}


def people_of_csv(file: CsvList, reading: Reading) -> Iterator[ContactRow]:
    """Everybody in a CSV file. Raises `BadInput` where a column has a name that cannot be used."""
    columns = _columns(file, reading)
    taken = {file.phone_column, *columns}
    attributes = {}
    for column in file.columns:
        if column not in taken:
            try:
                attributes[column] = clean_attribute(column)
            except ValueError as error:
                raise BadInput(said("A column cannot be used: %(why)s. Give it another name.", why=error)) from error
    return (_of_csv(row, columns, attributes, reading) for row in file)


def meanings_of(file: CsvList, reading: Reading) -> dict[str, str]:
    """What each column of a file is taken for, in their order: `phone`, `name`, `opt_out` …, or `attribute`.

    Raises `BadInput` where two columns mean the same, or one cannot be used.
    """
    people_of_csv(file, reading)  # checks the names of attributes
    own = {column: kind for kind, column in _columns(file, reading)._asdict().items() if column is not None}
    return {column: own.get(column, "attribute") for column in file.columns} | {file.phone_column: "phone"}


def open_contacts(source: str, phone_column: str | None, reading: Reading) -> Iterator[ContactRow]:
    """Everybody in a file, by its name: `.ndjson` and `.jsonl` have a JSON object on each line, all else is CSV.

    source: a path, or `-` for CSV on standard input. Raises `BadInput` in plain words.
    """
    if Path(source).suffix.lower() not in (".ndjson", ".jsonl"):
        return people_of_csv(open_csv(source, phone_column), reading)
    try:
        return people_of_lines(Path(source).open("rb", buffering=0), reading)
    except OSError as error:
        raise BadInput(said("%(file)s cannot be read: %(why)s.", file=source, why=error.strerror or error)) from error


def people_of_lines(stream: io.RawIOBase, reading: Reading) -> Iterator[ContactRow]:
    """Everybody in a file with a JSON object on each line: `{"phone": …, "tags": […], "city": "Haifa"}`."""
    for number, line in lines_of(io.BufferedReader(stream)):
        yield ContactRow(number, "", TOO_LONG) if line is None else _of_line(number, line, reading)


def people_of_objects(people: Sequence[Mapping[str, Any]], reading: Reading) -> Iterator[ContactRow]:
    """Everybody of a JSON list, numbered by their place in it, from 1."""
    for number, person in enumerate(people, 1):
        yield _of_object(number, dict(person), reading)


def _columns(file: CsvList, reading: Reading) -> _Columns:
    wanted = {"name": reading.name_column, "tags": reading.tags_column}
    return _Columns(**{kind: _column(file, kind, wanted.get(kind)) for kind in _NAMES})


def _column(file: CsvList, kind: str, wanted: str | None) -> str | None:
    """The column of one kind; None where there is none. Raises `BadInput` for two: neither may go unheard."""
    if wanted is not None:
        return _named(file.columns, wanted, kind)
    squeezed = ((re.sub(r"[\W_]+", "", column.casefold()), column) for column in file.columns)
    found = [column for name, column in squeezed if name in _NAMES[kind] and column != file.phone_column]
    if len(found) > 1:
        raise BadInput(
            said(
                'The columns "%(one)s" and "%(other)s" mean the same. Give one of them another name.',
                one=found[0],
                other=found[1],
            )
        )
    return found[0] if found else None


def _named(columns: Sequence[str], wanted: str, kind: str) -> str:
    for column in columns:
        if column.casefold() == wanted.strip().casefold():
            return column
    raise BadInput(
        said('There is no column "%(column)s". There is: %(columns)s.', column=wanted, columns=", ".join(columns)),
        pointer=f"{kind}_column",
    )


def _of_csv(row: Row, columns: _Columns, attributes: Mapping[str, str], reading: Reading) -> ContactRow:
    if row.problem is not None:
        return ContactRow(row.number, row.phone, row.problem)
    cells = row.variables
    person: dict[str, Any] = {
        key: cells[column] for key, column in columns._asdict().items() if column is not None and cells[column]
    }
    person["attributes"] = {name: cells[column] for column, name in attributes.items() if cells[column]}
    return _checked(row.number, row.phone, person, reading)


def _of_line(number: int, line: bytes, reading: Reading) -> ContactRow:
    try:
        person = _decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ContactRow(number, "", said("it is no JSON object in UTF-8"))
    return _of_object(number, person, reading)


def _of_object(number: int, person: dict[str, Any], reading: Reading) -> ContactRow:
    phone = person.pop("phone", None)
    shown = str(phone) if isinstance(phone, str | int) and not isinstance(phone, bool) else ""
    own = {key: person.pop(key) for key in _NAMES if person.get(key) is not None}
    more = person.pop("attributes", None) or {}
    if not isinstance(more, dict):
        return ContactRow(number, shown, '"attributes" should be an object')
    return _checked(number, shown, {**own, "attributes": {**_without_ours(person), **more}}, reading)


def _without_ours(person: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in person.items() if key not in _NAMES}


def _checked(number: int, phone: str, person: Mapping[str, Any], reading: Reading) -> ContactRow:
    """One person, everything as it is kept."""
    try:
        return ContactRow(
            number,
            normalise(phone, reading.default_country),
            name=clean_name(_text(person, "name")),
            tags=_tags_of(person.get("tags"), reading),
            attributes=clean_attributes(person["attributes"]),
            opt_in=_opt_in(person),
            opt_out=_says_yes(person.get("opt_out")),
        )
    except ValueError as error:
        return ContactRow(number, phone, str(error))


def _text(person: Mapping[str, Any], key: str) -> str:
    value = person.get(key, "")
    if not isinstance(value, str):
        raise ValueError(said('"%(name)s" should be a text', name=key))  # noqa: TRY004 - what a person wrote
    return value


def _tags_of(tags: object, reading: Reading) -> list[str]:
    if isinstance(tags, list) and all(isinstance(tag, str) for tag in tags):
        own = clean_tags(tags)
    elif tags is None or isinstance(tags, str):
        own = tags_in(tags or "")
    else:
        raise ValueError(said('"tags" should be a list of texts'))
    return clean_tags([*own, *reading.tags]) if reading.tags else own


def _opt_in(person: Mapping[str, Any]) -> OptIn | None:
    at = _text(person, "opt_in_at").strip()
    if not at:
        return None
    source = " ".join(_text(person, "opt_in_source").split()) or IN_A_FILE
    note = _text(person, "opt_in_note").strip() or None
    if len(source) > LONGEST_SOURCE or len(note or "") > LONGEST_NOTE:
        raise ValueError(said("what it says of the opt-in is too long"))
    return OptIn(instant_of(at, datetime.now(UTC)), source, note)


def _says_yes(value: object) -> bool:
    return value if isinstance(value, bool) else is_yes(str(value or ""))
