"""A CSV file as a stream of people: whatever its encoding, delimiter and size, a line at a time.

What is wrong with the whole file is a `BadInput`; what is wrong with one row is that row's own problem, and stops
nobody else: after a quote that does not close, reading goes on at the next line. Memory is bounded: a line longer than
a megabyte is passed over, and its row says so.
"""

import csv
import io
import re
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from server.domain.errors import BadInput
from server.domain.sentences import counted, said
from server.services.encodings import encoding_of, marked_encoding

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

SAMPLE_BYTES: Final = 65_536
LONGEST_LINE: Final = 1_000_000
# As people write them, without case, spaces and signs.
PHONE_COLUMNS: Final = frozenset(
    (
        "phone", "phonenumber", "phoneno", "mobile", "mobilephone", "mobilenumber", "mobileno", "cell", "cellphone",
        "cellnumber", "tel", "telno", "telephone", "telephonenumber", "whatsapp", "whatsappnumber", "whatsappphone",
        "msisdn", "טלפון", "נייד", "טלפוןנייד", "מספרטלפון", "מספרנייד", "סלולרי", "סלולארי", "פלאפון", "וואטסאפ",
        "هاتف", "رقمالهاتف", "جوال", "teléfono", "telefono", "telefone", "celular", "móvil", "téléphone", "portable",
        "telefon", "handy", "mobil", "телефон",
    )
)  # fmt: skip
# These say it only where no other column does.
POSSIBLE_PHONE_COLUMNS: Final = frozenset(("number", "to", "contact", "recipient", "מספר"))
_DELIMITERS: Final = ",;\t|"
_QUOTED: Final = re.compile(r'"[^"]*(?:"|$)')
_NOT_CSV: Final = (
    (b"PK\x03\x04", said("an Excel workbook or a ZIP archive")),
    (b"\xd0\xcf\x11\xe0", said("an old Excel workbook")),
    (b"PK\x05\x06", said("an Excel workbook or a ZIP archive")),  # with nothing in it
    (b"\x1f\x8b", said("a gzip archive")),
    (b"BZh", said("a bzip2 archive")),
    (b"\xfd7zXZ\x00", said("an xz archive")),
    (b"\x28\xb5\x2f\xfd", said("a Zstandard archive")),
    (b"7z\xbc\xaf\x27\x1c", said("a 7-Zip archive")),
    (b"Rar!\x1a\x07", said("a RAR archive")),
    (b"%PDF", "a PDF"),
    (b"\x89PNG", "a picture"),
    (b"\xff\xd8\xff", "a picture"),
    (b"<", said("a web page or XML")),
    (b"{", "JSON"),
    (b"[{", "JSON"),
)
_CONTROLS: Final = bytes(set(range(32)) - set(b"\t\n\r\f\x1a"))
_NUL = "\x00"
# What a list is called that came without the name of a file.
THE_LIST: Final = said("The list")
# What to do about it, in the words of the command line; other doors say it in their own.
PHONE_COLUMN_OPTION: Final = "--phone-column"
SAY_WHICH: Final = f"Say which: {PHONE_COLUMN_OPTION} NAME."
NAME_IT: Final = f"Name the one that holds the numbers: {PHONE_COLUMN_OPTION} NAME."
TOO_LONG: Final = said("it is longer than a megabyte")
_TOO_LONG_MARK: Final = "\x00\x00\n"
_UNREADABLE: Final = re.compile("[\x00\udc80-\udcff]")
_LOOKS_LIKE_A_NUMBER: Final = re.compile(r"\+?\d[\d ()-]{6,}")


class Row(NamedTuple):
    """One person of a list. number: the line in the file, or the place in the list, from 1.

    problem: what is wrong with the row as such; then phone is only what was written.
    """

    number: int
    phone: str
    variables: dict[str, str]
    problem: str | None = None


class CsvList:
    """A CSV file, opened: its columns are known, its people come as a stream, once.

    stream: the file's bytes; it need not be seekable. name: what to call it to people. columns: the names of all
    columns, in order. phone_column: which of them holds the number.
    Raises `BadInput` where it is no CSV file, its encoding cannot be made out, or no column holds the numbers.
    """

    def __init__(self, stream: io.RawIOBase, name: str, phone_column: str | None) -> None:
        self._name = name
        try:
            start, rest = _start_of(stream)
        except OSError as error:
            raise BadInput(said("%(file)s cannot be read: %(why)s.", file=name, why=error.strerror or error)) from error
        _refuse_what_is_no_csv(start, name)
        self._encoding = marked_encoding(start) or encoding_of(_sample(start, stream))
        if self._encoding is None:
            raise BadInput(
                said("The encoding of %(file)s cannot be made out. Save it as CSV (UTF-8) and try again.", file=name)
            )
        buffered = io.BufferedReader(rest, SAMPLE_BYTES)
        # What cannot be read stays in the text as a mark, and its row is rejected.
        text = io.TextIOWrapper(buffered, encoding=self._encoding, errors="surrogateescape", newline="")
        self._lines = _Lines(text, self._encoding, name)
        self._delimiter = self._find_delimiter()
        self.columns = self._read_columns()
        self._phone_place = _phone_place(self.columns, phone_column, name)
        self.phone_column = self.columns[self._phone_place]

    def __iter__(self) -> Iterator[Row]:
        lines = self._lines
        reader = csv.reader(lines, delimiter=self._delimiter, strict=True)
        while True:
            lines.begin_row()
            try:
                fields = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                problem = _in_words(error, lines.taken_count)
                lines.give_back_all_but_the_first()
                yield Row(lines.number, "", {}, problem)
                continue
            if any(fields) and any(map(str.strip, fields)):
                yield self._row(lines, fields)

    def _row(self, lines: "_Lines", fields: list[str]) -> Row:
        phone = fields[self._phone_place].strip() if len(fields) > self._phone_place else ""
        if lines.problem is not None:
            return Row(lines.number, _UNREADABLE.sub("", phone), {}, lines.problem)
        if len(fields) != len(self.columns):
            why = counted(
                "it has 1 field, and there are %(columns)s columns",
                "it has %(n)s fields, and there are %(columns)s columns",
                len(fields),
                n=len(fields),
                columns=len(self.columns),
            )
            return Row(lines.number, phone, {}, why)
        return Row(lines.number, phone, dict(zip(self.columns, map(str.strip, fields), strict=True)))

    def _find_delimiter(self) -> str:
        """By the first line that says something; `sep=;` above the header is how Excel writes it."""
        for line in self._lines:
            words = line.strip().strip('"')
            if words.startswith("sep=") and len(words) == 5:
                return words[4]
            if words:
                self._lines.give_back()
                return max(_DELIMITERS, key=_QUOTED.sub("", line).count)
        raise BadInput(said("%(file)s is empty.", file=self._name))

    def _read_columns(self) -> list[str]:
        try:
            header = next(csv.reader(self._lines, delimiter=self._delimiter, strict=True), None)
        except csv.Error as error:
            raise BadInput(_unreadable_names(self._name, _in_words(error, self._lines.taken_count))) from error
        if header is None:
            raise BadInput(said("%(file)s is empty.", file=self._name))
        if self._lines.problem is not None:
            raise BadInput(_unreadable_names(self._name, self._lines.problem))
        return [" ".join(column.split()) or f"column {place}" for place, column in enumerate(header, 1)]


class _Lines:
    """The lines of a text, each of bounded length. Those of the row in hand can be given back.

    number: the line at which the row in hand begins, from 1. problem: what is wrong with its characters.
    """

    def __init__(self, text: io.TextIOWrapper, encoding: str, name: str) -> None:
        self._text, self._encoding, self._name = text, encoding, name
        self._taken: list[str] = []
        self._given_back: deque[str] = deque()
        self.number = 1
        self.problem: str | None = None

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._given_back.popleft() if self._given_back else self._read()
        if not line:
            raise StopIteration
        self._taken.append(line)
        if _NUL in line or not line.isascii():
            self.problem = self.problem or self._problem_with(line)
        return line

    @property
    def taken_count(self) -> int:
        """Lines of the row in hand."""
        return len(self._taken)

    def begin_row(self) -> None:
        """What was taken is done with."""
        self.number += len(self._taken)
        self._taken.clear()
        self.problem = None

    def give_back(self) -> None:
        """Take the last line again."""
        self._given_back.appendleft(self._taken.pop())
        self.begin_row()

    def give_back_all_but_the_first(self) -> None:
        """Take again what a quote that does not close has swallowed."""
        self._given_back.extendleft(reversed(self._taken[1:]))
        del self._taken[1:]

    def _read(self) -> str:
        try:
            line = self._text.readline(LONGEST_LINE)
            if len(line) == LONGEST_LINE and not line.endswith(("\n", "\r")):
                while (more := self._text.readline(LONGEST_LINE)) and not more.endswith(("\n", "\r")):
                    pass
                return _TOO_LONG_MARK
        except UnicodeError as error:
            place = self.number + len(self._taken)
            raise BadInput(
                said(
                    "%(file)s cannot be read as %(encoding)s around line %(line)s. Save it as CSV (UTF-8) and try "
                    "again.",
                    file=self._name,
                    encoding=self._encoding,
                    line=place,
                )
            ) from error
        except OSError as error:
            raise BadInput(
                said("%(file)s cannot be read: %(why)s.", file=self._name, why=error.strerror or error)
            ) from error
        return line

    def _problem_with(self, line: str) -> str | None:
        unreadable = _UNREADABLE.search(line)
        if unreadable is None:
            return None
        if line == _TOO_LONG_MARK:
            return TOO_LONG
        if unreadable[0] == _NUL:
            return said("it has a NUL character")
        return said("it cannot be read as %(encoding)s", encoding=self._encoding)


class _Rejoined(io.RawIOBase):
    """A stream whose beginning was read already, as if it had not been."""

    def __init__(self, start: bytes, stream: io.RawIOBase) -> None:
        self._start, self._stream = memoryview(start), stream

    def readable(self) -> bool:
        """Whether it can be read: yes."""
        return True

    def readinto(self, buffer: "WriteableBuffer", /) -> int | None:
        """Fill the buffer, the beginning first."""
        if not self._start:
            return self._stream.readinto(buffer)
        room = memoryview(buffer)
        size = min(len(room), len(self._start))
        room[:size] = self._start[:size]
        self._start = self._start[size:]
        return size

    def close(self) -> None:
        """Close it and what it reads from."""
        self._stream.close()
        super().close()


def open_csv(source: Path | str, phone_column: str | None = None) -> CsvList:
    """Open a list. source: a path, or `-` for standard input. phone_column: which column holds the number.

    Raises `BadInput` in plain words: no such file, a folder, empty, not a CSV, an unknown encoding, no phone column.
    """
    if str(source) == "-":
        return CsvList(io.FileIO(sys.stdin.fileno(), closefd=False), "Standard input", phone_column)
    path = Path(source)
    try:
        if path.is_dir():
            raise BadInput(f"{path} is a folder, not a CSV file.")
        stream = path.open("rb", buffering=0)
    except FileNotFoundError as error:
        raise BadInput(f"There is no file {path}.") from error
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else None
        raise BadInput(f"{path} cannot be read: {reason or error}.") from error
    return CsvList(stream, str(path), phone_column)


def _start_of(stream: io.RawIOBase) -> tuple[bytes, io.RawIOBase]:
    """The first bytes, and a stream of everything. A pipe gives what it has, so it is asked until there is enough."""
    start = b""
    while len(start) < SAMPLE_BYTES and (more := stream.read(SAMPLE_BYTES - len(start))):
        start += more
    return start, _Rejoined(start, stream)


def _sample(start: bytes, stream: io.RawIOBase) -> bytes:
    """Bytes that show the encoding: the first ones, or those around the first beyond ASCII where they can be sought."""
    if not start.isascii() or not stream.seekable():
        return start
    back_to, block = stream.tell(), start
    while block and block.isascii():
        block = stream.read(SAMPLE_BYTES) or b""
    stream.seek(back_to)
    return block


def _refuse_what_is_no_csv(start: bytes, name: str) -> None:
    if not start.strip():
        raise BadInput(said("%(file)s is empty.", file=name))
    for magic, what in _NOT_CSV:
        if start.startswith(magic):
            raise BadInput(
                said(
                    "%(file)s is %(what)s, not a CSV file. Save it as CSV (UTF-8) and try again.", file=name, what=what
                )
            )
    head = start[:1024]
    if marked_encoding(start) is None and len(head) - len(head.translate(None, _CONTROLS)) > len(head) // 10:
        raise BadInput(said("%(file)s is a binary file, not a CSV file.", file=name))


def _in_words(error: csv.Error, lines_count: int) -> str:
    if lines_count > 1 or "end of data" in str(error):
        return said("a quote that opens in it is not closed, or not where a field ends")
    if "limit" in str(error):
        return said("it has a field longer than %(most)s characters", most=csv.field_size_limit())
    return said("it has a quote where none can be")


def _phone_place(columns: Sequence[str], wanted: str | None, name: str) -> int:
    lowered = [column.casefold() for column in columns]
    twice = sorted({column for column in lowered if lowered.count(column) > 1})
    if twice:
        raise BadInput(
            said('%(file)s has two columns named "%(column)s". Give each its own name.', file=name, column=twice[0])
        )
    there_are = said("There is: %(columns)s.", columns=", ".join(columns))
    if wanted is not None:
        if wanted.strip().casefold() not in lowered:
            missing = said('%(file)s has no column "%(column)s".', file=name, column=wanted)
            raise BadInput(f"{missing} {there_are}", pointer=PHONE_COLUMN_OPTION)
        return lowered.index(wanted.strip().casefold())
    squeezed = [re.sub(r"[\W_]+", "", column) for column in lowered]
    found = [place for place, column in enumerate(squeezed) if column in PHONE_COLUMNS]
    found = found or [place for place, column in enumerate(squeezed) if column in POSSIBLE_PHONE_COLUMNS]
    if len(found) == 1:
        return found[0]
    if found:
        both = " and ".join(columns[place] for place in found[:2])
        detail = said("%(file)s has two columns that may hold the numbers, %(both)s.", file=name, both=both)
        raise BadInput(f"{detail} {SAY_WHICH}", pointer=PHONE_COLUMN_OPTION)
    if any(map(_LOOKS_LIKE_A_NUMBER.fullmatch, columns)):
        begins = said("%(file)s begins with a number where the names of its columns should be.", file=name)
        raise BadInput(f"{begins} {said('Add a line above: phone')}")
    missing = said("%(file)s has no phone column.", file=name)
    raise BadInput(f"{missing} {there_are} {NAME_IT}", pointer=PHONE_COLUMN_OPTION)


def _unreadable_names(name: str, why: str) -> str:
    return said("The names of the columns of %(file)s cannot be read: %(why)s.", file=name, why=why)
