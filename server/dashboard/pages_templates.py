"""Templates: those that WhatsApp has, and one as its readers see it, with what WhatsApp says of it."""

from http import HTTPStatus
from typing import Annotated, Any, Final
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from fastapi.responses import RedirectResponse, Response
from sqlalchemy.ext.asyncio import AsyncConnection

from server.cursors import page, read_cursor
from server.dashboard import template_looks
from server.dashboard.rendering import render, speech_of
from server.dashboard.visitor import PageResources, PageTransaction, SignedIn, allowed_to
from server.domain import template_parts
from server.domain.errors import BadInput, ProviderAway
from server.domain.messages import obstacles_of
from server.domain.roles import Permission
from server.parameters import Id
from server.services import channels, template_library, templates
from server.services.sessions import Visitor
from server.services.template_library import Wanted
from server.services.templates import Synced

router = APIRouter(prefix="/templates")
_A_PAGE: Final = 50
_USES_SHOWN: Final = 20
_NEWS_SHOWN: Final = 50
Choice = Annotated[str, Query(max_length=200)]


@router.get("")
async def list_templates(
    request: Request,
    visitor: SignedIn,
    connection: PageTransaction,
    q: Choice = "",
    status: Choice = "",
    category: Choice = "",
    language: Choice = "",
    cursor: str | None = None,
) -> Response:
    """Every template by its name. What is searched, chosen and turned to stands in the address."""
    wanted = (choice.replace("\x00", "") for choice in (q, status, category, language))
    return await _list(request, visitor, connection, Wanted(*wanted), cursor)


@router.get("/sync")
async def show_after_sync(visitor: SignedIn) -> Response:
    """Where a browser lands that loads the page again by its address."""
    return RedirectResponse("/templates", status_code=HTTPStatus.SEE_OTHER)


@router.post("/sync", dependencies=[allowed_to(Permission.SEND)])
async def sync_templates(request: Request, visitor: SignedIn, resources: PageResources) -> Response:
    """Ask WhatsApp for the templates, and say what came and went. Doing it twice does nothing more."""
    synced, problem = None, ""
    try:
        async with resources.engine.begin() as connection:
            senders = await channels.senders(connection, resources.vault, visitor.business_id)
            synced = await templates.sync_all(connection, resources.settings, visitor.business_id, senders)
    except (ProviderAway, BadInput) as error:
        problem = str(error)
    async with resources.engine.connect() as connection:
        return await _list(request, visitor, connection, Wanted(), None, synced=synced, problem=problem)


@router.get("/{template_id:int}")
async def show_template(request: Request, template_id: Id, visitor: SignedIn, connection: PageTransaction) -> Response:
    """One template: the message, what it needs, its standing with WhatsApp, and where it was used."""
    template = await template_library.show(connection, visitor.business_id, template_id)
    news = await template_library.news(connection, template, visitor.business_id)
    speech = speech_of(request, visitor)
    return render(
        request,
        "message_templates/one.html",
        visitor,
        shown=template,
        message=template_parts.shown(template["components"], template_parts.examples_of(template["components"])),
        variables=template_parts.variables(template["components"]),
        obstacles=obstacles_of(template["components"]),
        advice=template_looks.advice(speech, template["status"], news),
        pause=template_looks.pause_of(template["status"], news),
        quality=template_looks.quality_of(news),
        news=news[:_NEWS_SHOWN],
        uses=await template_library.uses(connection, template, visitor.business_id, _USES_SHOWN),
        reading=template_looks.reading(speech),
    )


async def _list(
    request: Request,
    visitor: Visitor,
    connection: AsyncConnection,
    wanted: Wanted,
    cursor: str | None,
    *,
    synced: Synced | None = None,
    problem: str = "",
) -> Response:
    found = await template_library.page(
        connection, visitor.business_id, wanted, after_id=read_cursor(cursor), limit=_A_PAGE + 1
    )
    shown: dict[str, Any] = page(found, _A_PAGE)
    chosen = {"q": wanted.q, "status": wanted.status, "category": wanted.category, "language": wanted.language}
    return render(
        request,
        "message_templates/list.html",
        visitor,
        **shown,
        chosen=chosen,
        facets=await template_library.facets(connection, visitor.business_id),
        scores=await template_library.qualities(connection, visitor.business_id),
        more=urlencode({**chosen, "cursor": shown["next_cursor"] or ""}),
        is_chosen=any(chosen.values()),
        synced=synced,
        problem=problem,
        reading=template_looks.reading(speech_of(request, visitor)),
    )
