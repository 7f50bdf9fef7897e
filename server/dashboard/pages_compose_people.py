"""Whom a broadcast that is written goes to: a file of any size, a list that is pasted, or contacts."""

import asyncio
import io
import json
import os
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response, StreamingResponse
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.datastructures import FormData

from server.dashboard import compose_forms as forms
from server.dashboard import rejected_rows
from server.dashboard.compose_page import Refusal, show_step, to_step
from server.dashboard.compose_view import STEPS
from server.dashboard.forms import in_the_words_of_a_page
from server.dashboard.live import event
from server.dashboard.rendering import render, speech_of, text_of
from server.dashboard.visitor import PageResources, PageTransaction, SignedIn, allowed_to
from server.domain.audience import parse
from server.domain.errors import BadInput, ClarionError, StateDoesNotAllow
from server.domain.messages import columns_of
from server.domain.pasted import as_csv
from server.domain.roles import Permission
from server.domain.states import BroadcastStatus
from server.parameters import Id
from server.services import compositions, snapshots
from server.services.audiences import Loaded, LoadProgress
from server.services.csv_lists import THE_LIST, CsvList, Row
from server.uploads import refuse_nobody, spooled

router = APIRouter(prefix="/compose/{broadcast_id}", dependencies=[allowed_to(Permission.SEND)])

# A list that is being taken in; held here so that it ends in order when whoever sent it has gone.
_LOADS: Final[set[asyncio.Task[Loaded]]] = set()


@router.get("/rejected.csv")
async def export_rejected(
    request: Request, broadcast_id: Id, visitor: SignedIn, connection: PageTransaction
) -> Response:
    """What could not be used of its lists, as a file."""
    draft = await compositions.find(connection, visitor.business_id, broadcast_id)
    return rejected_rows.as_file(speech_of(request, visitor), f"left-out-{broadcast_id}.csv", draft.rejected)


@router.post("/recipients")
async def upload_list(
    request: Request,
    broadcast_id: Id,
    visitor: SignedIn,
    resources: PageResources,
    country: Annotated[str, Query(max_length=10)] = "",
    phone_column: Annotated[str, Query(max_length=200)] = "",
) -> StreamingResponse:
    """A file as the body, of any size. Answers with how far it is read, again and again, and what became of it.

    All of it is taken or nothing: whoever hangs up meanwhile has stopped it.
    """
    default_country = forms.country_in({"country": country})
    async with resources.engine.connect() as connection:
        draft = await compositions.find(connection, visitor.business_id, broadcast_id)
    if draft.status != BroadcastStatus.DRAFT:
        raise StateDoesNotAllow("take more recipients", draft.status)
    async with AsyncExitStack() as stack:
        file = await stack.enter_async_context(spooled(request))
        size = os.fstat(file.fileno()).st_size
        people = await asyncio.to_thread(_opened, file, phone_column)
        kept = stack.pop_all()

    async def load(on_progress: Callable[[LoadProgress], None]) -> Loaded:
        async with kept, resources.engine.begin() as connection:
            loaded = await compositions.take_list(
                connection, visitor.business_id, broadcast_id, people, default_country, on_progress
            )
            refuse_nobody(loaded, people)
            return loaded

    def share() -> float:
        return min(1.0, file.tell() / size) if size and not file.closed else 1.0

    def refused(error: ClarionError) -> str:
        return text_of(
            request, "compose/_refused.html", {"detail": str(error), "problems": problems_of(error)}, visitor
        )

    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(_pieces(load, share, refused), media_type="text/event-stream", headers=headers)


async def _pieces(
    load: Callable[[Callable[[LoadProgress], None]], Any],
    share: Callable[[], float],
    refused: Callable[[ClarionError], str],
) -> AsyncIterator[str]:
    news: asyncio.Queue[LoadProgress | None] = asyncio.Queue()
    task: asyncio.Task[Loaded] = asyncio.create_task(load(news.put_nowait))
    _LOADS.add(task)
    task.add_done_callback(_LOADS.discard)
    task.add_done_callback(lambda done: done.cancelled() or done.exception())
    task.add_done_callback(lambda _: news.put_nowait(None))
    try:
        while (progress := await news.get()) is not None:
            yield event(json.dumps({**progress._asdict(), "share": round(share(), 4)}), name="progress")
        try:
            loaded = await task
        except ClarionError as error:
            yield event(refused(error), name="refused")
        else:
            yield event(json.dumps({"accepted_count": loaded.accepted_count}), name="taken")
    finally:
        task.cancel()


@router.post("/people")
async def save_people(request: Request, broadcast_id: Id, visitor: SignedIn, resources: PageResources) -> Response:
    """A list in a field, or contacts by tags, attributes or a saved segment; a file has come by itself."""
    form = await request.form()
    wanted, source = forms.text_in(form, "to"), forms.text_in(form, "source")
    is_asked = bool(forms.text_in(form, "take"))
    try:
        async with resources.engine.begin() as connection:
            await compositions.find(connection, visitor.business_id, broadcast_id)
            if source == "paste" and (is_asked or forms.text_in(form, "list")):
                await _take_pasted(connection, visitor.business_id, broadcast_id, form)
                wanted = wanted or "people"
            elif source == "contacts" and (is_asked or forms.names_somebody(form)):
                changes = {"audience": forms.audience_in(form)}
                await compositions.change(connection, visitor.business_id, broadcast_id, changes)
    except BadInput as error:
        async with resources.engine.begin() as connection:
            draft = await compositions.find(connection, visitor.business_id, broadcast_id)
            refusal = Refusal(form, error.problems, str(error))
            return await show_step(request, visitor, connection, draft, "people", refusal=refusal)
    return to_step(broadcast_id, wanted if wanted in STEPS else "values")


async def _take_pasted(connection: AsyncConnection, business_id: int, broadcast_id: int, form: FormData) -> None:
    country = forms.country_in({"country": forms.text_in(form, "country")})
    rows = await asyncio.to_thread(_pasted, forms.text_in(form, "list"))
    refuse_nobody(await compositions.take_list(connection, business_id, broadcast_id, rows, country), rows)


@router.post("/count")
async def count_audience(
    request: Request, broadcast_id: Id, visitor: SignedIn, connection: PageTransaction
) -> Response:
    """How many are chosen in the form, which is not saved."""
    form = await request.form()
    draft = await compositions.find(connection, visitor.business_id, broadcast_id)
    try:
        audience = parse(forms.audience_in(form))
        columns = columns_of(draft.message)
        look = await snapshots.look(connection, visitor.business_id, audience, columns)
    except BadInput as error:
        return render(request, "compose/_count.html", visitor, look=None, problems=error.problems)
    return render(request, "compose/_count.html", visitor, look=look, problems=())


@router.post("/clear")
async def clear_people(broadcast_id: Id, visitor: SignedIn, connection: PageTransaction) -> Response:
    """Take everybody off again, to choose others."""
    await compositions.clear_people(connection, visitor.business_id, broadcast_id)
    return to_step(broadcast_id, "people")


@router.post("/leave-out")
async def leave_out(request: Request, broadcast_id: Id, visitor: SignedIn, connection: PageTransaction) -> Response:
    """Take those off the list who lack a value."""
    form = await request.form()
    await compositions.leave_out(connection, visitor.business_id, broadcast_id)
    return to_step(broadcast_id, "review" if forms.text_in(form, "to") == "review" else "values")


def problems_of(error: ClarionError) -> list[tuple[str, str]]:
    """What is wrong row by row, as far as a person wants to read it."""
    if not isinstance(error, BadInput) or len(error.problems) < 2:
        return []
    return [(problem.pointer, problem.detail) for problem in error.problems[:10]]


def _opened(file: io.FileIO, phone_column: str) -> CsvList:
    try:
        return CsvList(file, THE_LIST, phone_column or None)
    except BadInput as error:
        raise in_the_words_of_a_page(error) from error


def _pasted(text: str) -> list[Row]:
    if not text:
        raise BadInput("Paste the numbers first.", pointer="/list")
    pasted = as_csv(text)
    with tempfile.TemporaryFile(buffering=0) as file:
        rest = memoryview(pasted.csv.encode())
        while rest:
            rest = rest[file.write(rest) :]
        file.seek(0)
        return [row._replace(number=row.number - pasted.added_lines) for row in CsvList(file, THE_LIST, None)]
