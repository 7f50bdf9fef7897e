"""A file becomes contacts: what is in it, the import as it goes, and what could not be taken in.

The page's script sends the file as it is, of any size; without a script the form brings it, up to 32 MB.
"""

import asyncio
import io
from collections.abc import Iterator
from contextlib import AsyncExitStack
from http import HTTPStatus
from operator import itemgetter
from pathlib import PurePath
from typing import Annotated, Any, Final

import phonenumbers
import redis
from fastapi import APIRouter, Query, Request
from fastapi.responses import RedirectResponse, Response
from starlette.datastructures import FormData, UploadFile

from server.api_models.shared import country
from server.dashboard import imports, rejected_rows
from server.dashboard.contact_looks import OF_COLUMNS
from server.dashboard.forms import in_the_words_of_a_page
from server.dashboard.languages import Speech
from server.dashboard.rendering import is_fragment, render, speech_of
from server.dashboard.visitor import PageResources, PageTransaction, SignedIn, allowed_to
from server.domain.contacts import tags_in
from server.domain.errors import BadInput, NotFound, QueueAway
from server.domain.roles import Permission
from server.services import import_runs, vocabulary
from server.services.contact_lists import ContactRow, Reading, meanings_of, people_of_csv, people_of_lines
from server.services.csv_lists import THE_LIST, CsvList
from server.services.import_runs import ImportRun
from server.services.sessions import Visitor
from server.uploads import copied, spooled
from server.web_resources import WebResources

router = APIRouter(prefix="/contacts/import", dependencies=[allowed_to(Permission.SEND)])
_JSON_LINES: Final = frozenset((".ndjson", ".jsonl"))
_ROWS_LOOKED_AT: Final = 3
_REJECTED_SHOWN: Final = 50
Option = Annotated[str, Query(max_length=2_000)]


@router.get("")
async def show_import(
    request: Request, visitor: SignedIn, resources: PageResources, connection: PageTransaction
) -> Response:
    """The form; and the import that is under way, or the last one."""
    return render(
        request,
        "contacts/import.html",
        visitor,
        known_tags=await vocabulary.tags(connection, visitor.business_id),
        countries=_countries(speech_of(request, visitor)),
        run=await _latest(resources, visitor),
    )


@router.post("/look")
async def look_into(
    request: Request, visitor: SignedIn, default_country: Option = "", phone_column: Option = ""
) -> Response:
    """What the columns of a file are taken for, from its first bytes, before anything is kept."""
    async with spooled(request) as file:
        try:
            reading = _reading(default_country, "")
            looked = await asyncio.to_thread(_look, file, reading, phone_column.strip() or None)
        except BadInput as error:
            return render(request, "contacts/_import_look.html", visitor, problem=error.detail, looked=None)
    return render(request, "contacts/_import_look.html", visitor, problem="", looked=looked, meanings=OF_COLUMNS)


@router.post("")
async def begin_import(
    request: Request,
    visitor: SignedIn,
    resources: PageResources,
    name: Option = "",
    default_country: Option = "",
    phone_column: Option = "",
    tags: Option = "",
) -> Response:
    """Take a file in. It has come in whole before this answers; what becomes of it is on the page it leads to."""
    options = {"default_country": default_country, "phone_column": phone_column, "tags": tags}
    async with AsyncExitStack() as stack:
        if request.headers.get("content-type", "").startswith("multipart/form-data"):
            form = await request.form()
            options |= {key: str(form.get(key, "")) for key in options}
            name, file = await _of_form(form, stack)
        else:
            file = await stack.enter_async_context(spooled(request))
        reading = _reading(options["default_country"], options["tags"])
        wanted = options["phone_column"].strip() or None
        columns, rows = await asyncio.to_thread(_open, file, name, reading, wanted)
        await imports.begin(resources, visitor.business_id, file, rows, name=name, columns=columns, ends_with=stack)
    return RedirectResponse("/contacts/import/run", status_code=HTTPStatus.SEE_OTHER)


@router.get("/run")
async def show_run(request: Request, visitor: SignedIn, resources: PageResources) -> Response:
    """How the import goes, or went."""
    run = await _latest(resources, visitor)
    if run is None:
        return RedirectResponse("/contacts/import", status_code=HTTPStatus.SEE_OTHER)
    template = "contacts/_run.html" if is_fragment(request) else "contacts/run.html"
    return render(request, template, visitor, run=run, meanings=OF_COLUMNS, rejected_shown=_REJECTED_SHOWN)


@router.get("/rejected.csv")
async def export_rejected(request: Request, visitor: SignedIn, resources: PageResources) -> Response:
    """What could not be used of the last import, as a file."""
    run = await _latest(resources, visitor)
    if run is None:
        raise NotFound("There was no import yet, or it was more than a week ago.")
    return rejected_rows.as_file(speech_of(request, visitor), "not-imported.csv", run.rejected)


@router.post("/stop")
async def stop_import(visitor: SignedIn, resources: PageResources) -> Response:
    """Stop it soon; whoever came in stays."""
    try:
        await asyncio.to_thread(import_runs.ask_to_stop, resources.redis, visitor.business_id)
    except redis.RedisError as error:
        raise QueueAway("The queue's server does not answer. Try again in a moment.") from error
    return RedirectResponse("/contacts/import/run", status_code=HTTPStatus.SEE_OTHER)


# --- what several of them need


def _countries(speech: Speech) -> list[tuple[str, str]]:
    """Every country that has phones, by its name in the reader's language."""
    names = speech.locale.territories
    return sorted(((code, str(names.get(code, code))) for code in phonenumbers.SUPPORTED_REGIONS), key=itemgetter(1))


async def _latest(resources: WebResources, visitor: Visitor) -> ImportRun | None:
    try:
        return await asyncio.to_thread(import_runs.latest, resources.redis, visitor.business_id)
    except redis.RedisError as error:
        raise QueueAway("The queue's server does not answer, and an import tells there how it goes.") from error


def _reading(default_country: str, tags: str) -> Reading:
    """How the file is read. Raises `BadInput`."""
    try:
        code = country(default_country.strip().upper()) if default_country.strip() else None
        return Reading(code, tags=tags_in(tags))
    except ValueError as error:
        words = str(error).rstrip(".")
        raise BadInput(f"{words[:1].upper()}{words[1:]}.") from error


def _open(
    file: io.FileIO, name: str, reading: Reading, phone_column: str | None
) -> tuple[dict[str, str], Iterator[ContactRow]]:
    if PurePath(name).suffix.lower() in _JSON_LINES:
        return {}, people_of_lines(file, reading)
    read = _csv(file, phone_column)
    return meanings_of(read, reading), people_of_csv(read, reading)


def _csv(file: io.FileIO, phone_column: str | None) -> CsvList:
    """The file. Raises `BadInput` in the words of the form."""
    try:
        return CsvList(file, THE_LIST, phone_column)
    except BadInput as error:
        raise in_the_words_of_a_page(error) from error


def _look(file: io.FileIO, reading: Reading, phone_column: str | None) -> list[dict[str, Any]]:
    """Each column with what it is taken for and its first values. The last row may be cut off, and does not count."""
    read = _csv(file, phone_column)
    taken = meanings_of(read, reading)
    rows: list[dict[str, str]] = []
    for row in read:
        if row.problem is None and len(rows) < _ROWS_LOOKED_AT:
            rows.append(row.variables)
        elif len(rows) >= _ROWS_LOOKED_AT:
            break
    return [
        {"name": column, "meaning": meaning, "values": [row.get(column, "") for row in rows]}
        for column, meaning in taken.items()
    ]


async def _of_form(form: FormData, stack: AsyncExitStack) -> tuple[str, io.FileIO]:
    """The file of a form without a script, as one of our own. Raises `BadInput` where there is none."""
    sent = form.get("file")
    if not isinstance(sent, UploadFile) or not sent.filename:
        raise BadInput("Choose a file first.", pointer="/file")
    return sent.filename, await stack.enter_async_context(copied(sent.file))
