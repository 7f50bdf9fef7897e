"""Lists of people as a request brings them: JSON, or a file of any size (CSV, JSON lines) by way of the disk."""

import asyncio
import errno
import hashlib
import io
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import IO, Final

from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.requests import ClientDisconnect, Request

from server.api_models.recipients import Recipient, Recipients
from server.domain.errors import BadInput, Problem, StorageFull
from server.domain.sentences import said
from server.services.audiences import Loaded
from server.services.csv_lists import PHONE_COLUMN_OPTION, THE_LIST, CsvList, Row
from server.services.json_lines import JsonLines

_NO_ROOM: Final = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EFBIG))

CSV: Final = "text/csv"
JSON_LINES: Final = frozenset(
    ("application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines")
)

List = CsvList | JsonLines | Iterable[Row]


def is_streamed(content_type: str) -> bool:
    """Whether a body of this media type may be of any size: a CSV file, or JSON lines."""
    return _media_type(content_type) in {CSV, *JSON_LINES}


def _media_type(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()


def media_type_of(request: Request) -> str:
    """What a body is said to be, without parameters."""
    return _media_type(request.headers.get("content-type", ""))


@asynccontextmanager
async def people_of(request: Request, phone_column: str | None) -> AsyncIterator[List]:
    """The list that a request brings. It has come in whole before it is given out, so that a slow client holds nothing.

    phone_column: which column of a CSV file holds the numbers, where its name does not say so.
    Raises `BadInput` or `RequestValidationError` where it is no such list, `StorageFull` where the disk cannot take it.
    """
    media_type = media_type_of(request)
    if media_type != CSV and media_type not in JSON_LINES:
        yield rows_of(_parsed(await request.body()))
        return
    async with spooled(request) as file:
        if media_type == CSV:
            yield await asyncio.to_thread(opened, file, phone_column)
        else:
            yield JsonLines(io.BufferedReader(file))


@asynccontextmanager
async def spooled(request: Request) -> AsyncIterator[io.FileIO]:
    """The body of a request as a file on disk, of any size; it is there in whole, and read from its beginning.

    Raises `BadInput` where it broke off, `StorageFull` where the disk cannot take it.
    """
    with tempfile.TemporaryFile(buffering=0) as file:
        await _spool(request, file)
        file.seek(0)
        yield file


@asynccontextmanager
async def copied(stream: IO[bytes]) -> AsyncIterator[io.FileIO]:
    """A file that a form brought, as one of our own, read from its beginning."""
    with tempfile.TemporaryFile(buffering=0) as file:
        await asyncio.to_thread(shutil.copyfileobj, stream, file)
        file.seek(0)
        yield file


def rows_of(people: Sequence[Recipient]) -> Iterator[Row]:
    """The people of a JSON list, numbered by their place in it, from 1."""
    for number, person in enumerate(people, 1):
        variables = {column: value for column, value in person.variables.items() if value is not None}
        yield Row(number, person.phone, variables)


def refuse_nobody(loaded: Loaded, people: List) -> None:
    """Raises `BadInput` for a list without one good row: it is refused as a whole, and nothing of it stays."""
    if loaded.accepted_count:
        return
    is_file = isinstance(people, CsvList | JsonLines)
    problems = [
        Problem(said("line %(number)s", number=row) if is_file else f"/recipients/{row - 1}", item["reason"])
        for item in loaded.rejected
        for row in (item["row"],)
    ]
    raise BadInput("Nobody in this list can be sent to.", problems=problems)


def _parsed(body: bytes) -> list[Recipient]:
    try:
        return Recipients.model_validate_json(body).recipients
    except ValidationError as error:
        raise RequestValidationError([{**item, "loc": ("body", *item["loc"])} for item in error.errors()]) from error


async def _spool(request: Request, file: io.FileIO) -> None:
    try:
        hashed = hashlib.sha256()
        async for piece in request.stream():
            hashed.update(piece)
            await asyncio.to_thread(_write, file, piece)
        request.state.body_hash = hashed.hexdigest()  # what an Idempotency-Key is kept with
    except ClientDisconnect as error:
        raise BadInput("The list broke off on its way; nothing of it was kept.") from error
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        raise StorageFull("The disk has no room for this list. Nothing of it was kept.") from error


def _write(file: io.FileIO, piece: bytes) -> None:
    # A disk that is nearly full takes a part of it, and says so only when asked again.
    rest = memoryview(piece)
    while rest:
        rest = rest[file.write(rest) :]


def opened(file: io.FileIO, phone_column: str | None) -> CsvList:
    """A CSV file as a list of people. Raises `BadInput` in the words of a query."""
    try:
        return CsvList(file, THE_LIST, phone_column)
    except BadInput as error:
        # What is an option of the command line is a query parameter here.
        detail = error.detail.replace(f"{PHONE_COLUMN_OPTION} NAME", "?phone_column=NAME")
        pointer = error.problems[0].pointer.replace(PHONE_COLUMN_OPTION, "query: phone_column")
        raise BadInput(detail, pointer=pointer) from error
