"""Files that are no lists, or lists without end: refused with a word that helps, in memory that stays flat."""

import bz2
import gzip
import io
import lzma
import subprocess
import sys
import zipfile

import pytest

from server.domain.errors import BadInput
from server.services.csv_lists import CsvList

LIST = "phone,first_name\n" + "".join(f"+97250{n:07d},Dana\n" for n in range(200))


def zipped(*names: str) -> bytes:
    """An archive with these files in it."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.writestr(name, LIST)
    return made.getvalue()


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (zipped("people.csv"), "an Excel workbook or a ZIP archive"),
        (zipped("[Content_Types].xml", "xl/workbook.xml"), "an Excel workbook or a ZIP archive"),
        (zipped(), "an Excel workbook or a ZIP archive"),
        (gzip.compress(LIST.encode()), "a gzip archive"),
        (bz2.compress(LIST.encode()), "a bzip2 archive"),
        (lzma.compress(LIST.encode()), "an xz archive"),
        (b"(\xb5/\xfd" + bytes(range(256)), "a Zstandard archive"),
        (b"7z\xbc\xaf'\x1c" + bytes(range(256)), "a 7-Zip archive"),
        (b"Rar!\x1a\x07\x01\x00" + bytes(range(256)), "a RAR archive"),
        (b"\x00" * 5_000, "a binary file"),
    ],
)
def test_an_archive_is_refused_by_its_name(content: bytes, what: str) -> None:
    with pytest.raises(BadInput, match=f"The list is {what}, not a CSV file"):
        CsvList(Bytes(content), "The list", None)


class Bytes(io.RawIOBase):
    """A file in memory, as raw as one on a disk."""

    def __init__(self, content: bytes) -> None:
        self._content = io.BytesIO(content)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "bytearray", /) -> int:  # type: ignore[override]
        return self._content.readinto(buffer)


# A gigabyte that is made while it is read: in a process of its own, whose peak is then its own. It prints how much more
# memory the reading took than the process had before, and what was read.
GIGABYTE = """
import io, resource, sys
from server.domain.errors import BadInput
from server.services.csv_lists import CsvList

class Made(io.RawIOBase):
    def __init__(self, before, piece, after):
        self.left, self.parts = 0, [before, (piece * (1_000_000 // len(piece)), 1_000), after]
    def readable(self): return True
    def readinto(self, buffer):
        while self.parts:
            part = self.parts[0]
            if isinstance(part, tuple):
                block, times = part
                self.parts[:1] = [block, (block, times - 1)] if times > 1 else [block]
                continue
            size = min(len(buffer), len(part))
            buffer[:size] = part[:size]
            self.parts[:1] = [part[size:]] if size < len(part) else []
            return size
        return 0

def peak():
    bytes_in_one = 1 if sys.platform == "darwin" else 1_024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * bytes_in_one / 1_048_576

before, piece, after = (eval(text) for text in sys.argv[1:])
made = Made(before, piece, after)
began = peak()
try:
    rows = problems = 0
    last = None
    for row in CsvList(made, "The list", None):
        rows += 1
        problems += row.problem is not None
        last = row.problem or row.phone
    print(rows, problems, last, sep="|")
except BadInput as error:
    print(error)
print(round(peak() - began))
"""


@pytest.mark.parametrize(
    ("before", "piece", "after", "said"),
    [
        (b"phone,first_name\n+1,", b"x", b"\n+2,Noam\n", "2|1|+2"),
        (b'phone,first_name\n+1,"', b"x", b'"\n+2,Noam\n', "2|1|+2"),
        (b"phone,first_name\n+1,", b"\x00", b"\n+2,Noam\n", "The list is a binary file, not a CSV file."),
        (b"phone,first_name\n+1,", "ד".encode(), b"\n+2,Noam\n", "2|1|+2"),
        (b"phone,first_name\n+1", b",", b"\n+2,Noam\n", "2|1|+2"),
        (b"phone,", b"x", b"\n+2,Noam\n", "The names of the columns of The list cannot be read: it is longer than a"),
        (b"phone", b",", b"\n+2,Noam\n", "The names of the columns of The list cannot be read: it is longer than a"),
        (b"", b" ", b"\n", "The list is empty."),
    ],
    ids=["field", "quoted field", "NUL", "Hebrew", "commas", "header", "header of commas", "blanks"],
)
def test_a_line_of_a_gigabyte_takes_no_gigabyte(before: bytes, piece: bytes, after: bytes, said: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", GIGABYTE, repr(before), repr(piece), repr(after)],
        capture_output=True,
        text=True,
        check=True,
    )
    told, megabytes = done.stdout.splitlines()
    assert told.startswith(said)
    assert int(megabytes) < 100
