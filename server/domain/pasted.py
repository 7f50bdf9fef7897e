"""A list as people paste it: numbers alone in whatever order of signs, or a table with or without names above it."""

import re
from typing import Final, NamedTuple

_NUMBER: Final = re.compile(r"\+?\(?\d[\d ()./-]{5,}")
_BETWEEN: Final = re.compile(r"[\n,;\t]+")


class Pasted(NamedTuple):
    """A CSV file. added_lines: how many of its lines were not pasted, and come first."""

    csv: str
    added_lines: int


def as_csv(text: str) -> Pasted:
    """What was pasted, as a file with the names of its columns in the first line.

    Numbers alone become a line each. A table that begins with a number gets names: `phone`, `column 2` and so on.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n").strip("\n")
    cells = [cell.strip() for cell in _BETWEEN.split(text) if cell.strip()]
    if cells and all(map(_NUMBER.fullmatch, cells)):
        return Pasted("\n".join(["phone", *cells]) + "\n", 1)
    first = text.partition("\n")[0]
    delimiter = max("\t;,", key=first.count)
    fields = [field.strip().strip('"') for field in first.split(delimiter)]
    if not any(map(_NUMBER.fullmatch, fields)):
        return Pasted(text + "\n", 0)
    phone_place = next(place for place, field in enumerate(fields) if _NUMBER.fullmatch(field))
    names = ["phone" if place == phone_place else f"column {place + 1}" for place in range(len(fields))]
    return Pasted(f"{delimiter.join(names)}\n{text}\n", 1)
