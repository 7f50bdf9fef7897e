"""People as JSON lines (NDJSON): an object to a line, of the shape that the JSON list has, and a stream of any size.

What is wrong with one line is that row's own problem, and stops nobody else. Memory is bounded: a line longer than a
megabyte is passed over, and its row says so.
"""

from collections.abc import Iterator
from typing import IO, Final

import msgspec

from server.domain.sentences import said
from server.services.csv_lists import LONGEST_LINE, TOO_LONG, Row

_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"


def lines_of(stream: IO[bytes]) -> Iterator[tuple[int, bytes | None]]:
    """The lines that say something, each with its number from 1; None for one that is longer than a megabyte."""
    number = 0
    while line := stream.readline(LONGEST_LINE):
        number += 1
        if len(line) == LONGEST_LINE and not line.endswith(b"\n"):
            while (more := stream.readline(LONGEST_LINE)) and not more.endswith(b"\n"):
                pass
            yield number, None
        elif text := line.removeprefix(_BYTE_ORDER_MARK).strip():
            yield number, text


class _Person(msgspec.Struct, forbid_unknown_fields=True):
    """A line. Numbers are taken for their digits, and null is as if it were missing."""

    phone: str | int
    variables: dict[str, str | int | float | None] = {}


class JsonLines:
    """People, one to a line, once. stream: the bytes, buffered; it need not be seekable."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._lines = stream
        self._decode = msgspec.json.Decoder(_Person).decode

    def __iter__(self) -> Iterator[Row]:
        for number, line in lines_of(self._lines):
            yield Row(number, "", {}, TOO_LONG) if line is None else self._row(number, line)

    def _row(self, number: int, line: bytes) -> Row:
        try:
            person = self._decode(line)
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            return Row(number, "", {}, _in_words(error))
        variables = {name: str(value) for name, value in person.variables.items() if value is not None}
        if any("\x00" in text for pair in variables.items() for text in pair):
            return Row(number, str(person.phone), {}, said("it has a NUL character"))
        return Row(number, str(person.phone), variables)


def _in_words(error: Exception) -> str:
    if isinstance(error, msgspec.ValidationError):
        # "Expected `str | int`, got `null` - at `$.phone`": what and where, which is what a person needs.
        return f"it is not a person: {error}"
    return f"it is not JSON: {error}"
