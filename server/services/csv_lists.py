"""A CSV file as a stream of people: whatever its encoding, delimiter and size, a line at a time.

What is wrong with the whole file is a `BadInput`; what is wrong with one row is that row's own problem, and stops
nobody else. Memory is bounded: a line longer than a megabyte is passed over, and its row says so.
"""

import codecs
import csv
import io
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from charset_normalizer import from_bytes

from server.domain.errors import BadInput

SAMPLE_BYTES: Final = 65_536
LONGEST_LINE: Final = 1_000_000
PHONE_COLUMNS: Final = (
    "phone", "phone_number", "phonenumber", "phone number", "mobile", "mobile_number", "cell", "cellphone", "tel",
    "telephone", "whatsapp", "whatsapp_number", "msisdn", "number", "to", "טלפון", "נייד", "هاتف", "teléfono",
    "telefone", "celular", "téléphone", "telefon", "телефон",
)  # fmt: skip
_DELIMITERS: Final = ",;\t|"
_BOMS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_NOT_CSV: Final = (
    (b"PK\x03\x04", "an Excel workbook or a ZIP archive"),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"%PDF", "a PDF"),
)
_NUL = "\x00"


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

    columns: the names of all columns, in order. phone_column: which of them holds the number.
    """

    def __init__(self, stream: io.RawIOBase, name: str, phone_column: str | None) -> None:
        self._name = name
        buffered = io.BufferedReader(stream, SAMPLE_BYTES * 2)
        sample = buffered.peek(SAMPLE_BYTES)[:SAMPLE_BYTES]
        self._encoding = _encoding_of(sample, name)
        self._text = io.TextIOWrapper(buffered, encoding=self._encoding, newline="")
        header_line, self._first_line = "\n", 1
        with self._readable():
            while header_line and not header_line.strip():
                header_line = self._text.readline(LONGEST_LINE)
                self._first_line += 1
        if not header_line:
            raise BadInput(f"{name} is empty.")
        self._delimiter = max(_DELIMITERS, key=header_line.count)
        header = next(csv.reader([header_line], delimiter=self._delimiter))
        self.columns = [column.strip() or f"column {place}" for place, column in enumerate(header, 1)]
        self._phone_place = _phone_place(self.columns, phone_column, name)
        self.phone_column = self.columns[self._phone_place]

    def __iter__(self) -> Iterator[Row]:
        reader = csv.reader(self._lines(), delimiter=self._delimiter)
        while True:
            line = reader.line_num + self._first_line
            try:
                with self._readable():
                    fields = next(reader)
            except StopIteration:
                return
            except csv.Error:
                last = reader.line_num + self._first_line - 1
                yield Row(line, "", {}, f"a quote that opens here never closes (lines {line} to {last})")
                continue
            if any(field.strip() for field in fields):
                yield self._row(line, fields)

    def _row(self, line: int, fields: list[str]) -> Row:
        phone = fields[self._phone_place].strip() if len(fields) > self._phone_place else ""
        if any(_NUL in field for field in fields):
            return Row(line, "", {}, "it has a NUL character, or is longer than a megabyte")
        if len(fields) != len(self.columns):
            return Row(line, phone, {}, f"it has {len(fields)} fields, and there are {len(self.columns)} columns")
        return Row(line, phone, dict(zip(self.columns, map(str.strip, fields), strict=True)))

    def _lines(self) -> Iterator[str]:
        """The lines, each of bounded length: of one that is longer only a mark is left."""
        while line := self._text.readline(LONGEST_LINE):
            if len(line) == LONGEST_LINE and not line.endswith(("\n", "\r")):
                while (more := self._text.readline(LONGEST_LINE)) and not more.endswith(("\n", "\r")):
                    pass
                line = f"{_NUL}\n"
            yield line

    def _readable(self) -> "_InWords":
        return _InWords(self._name, self._encoding)


class _InWords:
    """Turns what goes wrong while a file is read into words."""

    def __init__(self, name: str, encoding: str) -> None:
        self._name, self._encoding = name, encoding

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if isinstance(error, UnicodeError):
            raise BadInput(
                f"{self._name} cannot be read as {self._encoding}: {error}. Save it as UTF-8 and try again."
            ) from error
        if isinstance(error, OSError):
            raise BadInput(f"{self._name} cannot be read: {error.strerror or error}.") from error


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
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror or error}.") from error
    return CsvList(stream, str(path), phone_column)


def _encoding_of(sample: bytes, name: str) -> str:
    if not sample.strip():
        raise BadInput(f"{name} is empty.")
    for magic, what in _NOT_CSV:
        if sample.startswith(magic):
            raise BadInput(f"{name} is {what}, not a CSV file. Save it as CSV (UTF-8) and try again.")
    for bom, encoding in _BOMS:
        if sample.startswith(bom):
            return encoding
    if b"\x00" in sample[:1024]:
        raise BadInput(f"{name} is a binary file, not a CSV file.")
    try:
        codecs.getincrementaldecoder("utf-8")().decode(sample)
    except UnicodeDecodeError:
        best = from_bytes(sample).best()
        if best is None:
            raise BadInput(f"The encoding of {name} cannot be made out. Save it as UTF-8 and try again.") from None
        return best.encoding
    return "utf-8"


def _phone_place(columns: Sequence[str], wanted: str | None, name: str) -> int:
    lowered = [column.lower() for column in columns]
    twice = sorted({column for column in lowered if lowered.count(column) > 1})
    if twice:
        raise BadInput(f'{name} has two columns named "{twice[0]}". Give each its own name.')
    there_are = f"There is: {', '.join(columns)}."
    if wanted is not None:
        if wanted.lower() not in lowered:
            raise BadInput(f'{name} has no column "{wanted}". {there_are}', pointer="--phone-column")
        return lowered.index(wanted.lower())
    found = [lowered.index(column) for column in PHONE_COLUMNS if column in lowered]
    if not found:
        raise BadInput(
            f"{name} has no phone column. {there_are} Name the one that holds the numbers: --phone-column NAME.",
            pointer="--phone-column",
        )
    if len(found) > 1 and "phone" not in lowered:
        both = " and ".join(columns[place] for place in found[:2])
        raise BadInput(f"{name} has two columns that may hold the numbers, {both}. Say which: --phone-column NAME.")
    return found[0]
