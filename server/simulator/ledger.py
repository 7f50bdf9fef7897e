"""What the simulator accepted and what it refused, append-only: the other side's books, to hold Clarion's against.

With a file, an entry is written before its answer leaves: whatever the file does not have was never answered, also
after SIGKILL of the simulator. All entries of one turn of the loop share a write. Nothing is fsynced; a power cut is
out of scope. A torn last line is cut off when the file is opened again.
"""

import os
import time
from array import array
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final, TypeAlias

import msgspec

from server.simulator.statuses import StatusBooks, message_in, status_in

KEPT_REFUSALS: Final = 100_000
"""Refusals that can be looked at one by one; all of them are counted."""


class Accepted(msgspec.Struct, frozen=True, gc=False, tag="accepted", tag_field="event"):
    """One message that the simulator took on. `n` counts from 1."""

    n: int
    message_id: str
    to: str
    """Who was addressed: E.164 with its plus, or a BSUID."""
    wa_id: str
    """Whose phone rings. Two spellings of `to` may have the same one (Brazil, Mexico)."""
    biz_opaque_callback_data: str | None
    phone_number_id: str
    type: str
    template: str | None
    language: str | None
    monotonic_seconds: float
    unix_seconds: float


class Refused(msgspec.Struct, frozen=True, gc=False, tag="refused", tag_field="event"):
    """One send request that was answered with an error. `code` is the Graph error code, or 502 for an HTML page."""

    code: int
    to: str | None
    phone_number_id: str
    details: str
    unix_seconds: float


class Reset(msgspec.Struct, frozen=True, gc=False, tag="reset", tag_field="event"):
    """The books were closed and begun anew; what stands before counts no longer."""

    unix_seconds: float


class Heard(msgspec.Struct, frozen=True, gc=False, tag="heard", tag_field="event"):
    """Statuses that a callback has acknowledged: of each the `n` of its message times four, and the status."""

    statuses: list[int]


Entry: TypeAlias = Accepted | Refused | Reset | Heard


class Windows(msgspec.Struct, frozen=True):
    """How fast messages were accepted, by the simulator's own clock."""

    accepted: int
    most_in_one_second: int
    """In any window of one second, wherever it begins."""
    long_run_rate: float | None
    """Messages a second between the first and the last; None with fewer than two."""
    first_unix_seconds: float | None
    last_unix_seconds: float | None


class Ledger:
    """The books. `schedule` calls a function at the end of this turn of the loop; it is used only with a file."""

    def __init__(self, path: Path | None, schedule: Callable[[Callable[[], None]], object]) -> None:
        self._schedule = schedule
        self._start_anew()
        self._file: int | None = None
        self._unwritten: list[bytes] = []
        self._to_tell: list[Callable[[], None]] = []
        if path is not None:
            self._open(path)

    def _start_anew(self) -> None:
        self.accepted: list[Accepted] = []
        self.people: dict[str, int] = {}
        """Messages accepted for each person."""
        self.most_to_one_person = 0
        self.refused: Counter[int] = Counter()
        self.last_refused: deque[Refused] = deque(maxlen=KEPT_REFUSALS)
        self.requests = 0
        """Requests to send that were read in full, by this process."""
        self.faults: Counter[str] = Counter()
        self.statuses = StatusBooks()
        """What became of the messages, and what was heard of it. The file has what was heard."""

    def accept(self, entry: Accepted) -> None:
        """Write one message into the books."""
        self._count(entry)
        if self._file is not None:
            self._write(entry)

    def refuse(self, entry: Refused) -> None:
        """Write one refusal into the books."""
        self._count(entry)
        if self._file is not None:
            self._write(entry)

    def hear(self, packed: Sequence[int], *, is_all: bool) -> None:
        """A POST with these statuses (`statuses.pack`) was answered with 200.

        is_all: nobody else wants to hear of them, so that they need not be told again by whoever reads the file.
        """
        for one in packed:
            self.statuses.acknowledge(message_in(one), status_in(one))
        if self._file is not None and packed and is_all:
            self._write(Heard([message_in(one) << 2 | status_in(one) for one in packed]))

    def reset(self) -> None:
        """Begin the books anew. The file keeps what it has and notes the reset."""
        entry = Reset(time.time())
        self._count(entry)
        if self._file is not None:
            self._write(entry)

    @property
    def all_written(self) -> bool:
        """Whether the file has everything; without a file, always."""
        return not self._unwritten

    def when_written(self, tell: Callable[[], None]) -> None:
        """Call `tell` once everything so far is in the file: at once where nothing waits to be written."""
        if self._unwritten:
            self._to_tell.append(tell)
        else:
            tell()

    def _count(self, entry: Entry) -> None:
        match entry:
            case Accepted():
                self.accepted.append(entry)
                count = self.people.get(entry.wa_id, 0) + 1
                self.people[entry.wa_id] = count
                self.most_to_one_person = max(count, self.most_to_one_person)
            case Refused():
                self.refused[entry.code] += 1
                self.last_refused.append(entry)
            case Reset():
                self._start_anew()
            case Heard():
                for mark in entry.statuses:
                    self.statuses.acknowledge(mark >> 2, mark & 3)

    def _open(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        decode = msgspec.json.Decoder(Entry).decode
        whole_bytes = 0
        with path.open("rb") as lines:
            for line in lines:
                if not line.endswith(b"\n"):
                    break  # torn by a kill in the middle of a write: its answer never left
                self._count(decode(line))
                whole_bytes += len(line)
        os.ftruncate(self._file, whole_bytes)

    def _write(self, entry: Entry) -> None:
        if not self._unwritten:
            self._schedule(self.flush)
        self._unwritten.append(msgspec.json.encode(entry))

    def flush(self) -> None:
        """Write what is unwritten and tell those who wait for it. Raises OSError where the disk takes it not."""
        if self._file is not None and self._unwritten:
            rest = memoryview(b"\n".join(self._unwritten) + b"\n")
            while rest:
                rest = rest[os.write(self._file, rest) :]
            self._unwritten.clear()
        to_tell, self._to_tell = self._to_tell, []
        for tell in to_tell:
            tell()

    def close(self) -> None:
        """Write the rest and let go of the file."""
        self.flush()
        if self._file is not None:
            os.close(self._file)
            self._file = None


def windows(entries: Iterable[Accepted]) -> Windows:
    """Judge the pace of these entries, in the order they were accepted."""
    times = array("d")
    first: Accepted | None = None
    last: Accepted | None = None
    most = begin = 0
    for end, entry in enumerate(entries, start=1):
        first = first or entry
        last = entry
        times.append(entry.monotonic_seconds)
        while times[end - 1] - times[begin] >= 1.0:
            begin += 1
        most = max(most, end - begin)
    if first is None or last is None:
        return Windows(0, 0, None, None, None)
    span = times[-1] - times[0]
    return Windows(
        accepted=len(times),
        most_in_one_second=most,
        long_run_rate=(len(times) - 1) / span if span > 0 else None,
        first_unix_seconds=first.unix_seconds,
        last_unix_seconds=last.unix_seconds,
    )
