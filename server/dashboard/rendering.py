"""A template becomes a page: what every template may use, and the language of whoever looks.

A page's script and style come from our own files alone, by names that change with what is in them, so that a browser
keeps them for ever and never shows an old one.
"""

import hashlib
from collections.abc import Mapping
from functools import cache
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from server.dashboard import formats, languages, looks, template_looks, whatsapp
from server.dashboard.languages import Speech
from server.dashboard.visitor import csrf_token, keep_form_secret
from server.domain.roles import Permission
from server.domain.states import FINAL, BroadcastStatus, Move, allows
from server.services.sessions import Visitor

_HERE: Final = Path(__file__).parent
STATIC: Final = _HERE / "static"
LANGUAGE_COOKIE: Final = "clarion_language"


@cache
def environment() -> Environment:
    """Our templates, each compiled when it is first asked for."""
    made = Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.do"],
    )
    made.globals |= {
        "bold": lambda text: Markup("<b>{}</b>").format(text),
        "static": static,
        "icon": icon,
        "looks": looks,
        "template_looks": template_looks,
        "whatsapp": whatsapp,
        "languages": languages.LANGUAGES,
        "Move": Move,
        "Permission": Permission,
        "allows": allows,
        "is_final": lambda status: BroadcastStatus(status) in FINAL,
    }
    made.filters["phone"] = formats.phone
    made.filters["browser"] = formats.browser
    made.filters["with_code"] = formats.with_code
    return made


@cache
def static(name: str) -> str:
    """The address of one of our own files."""
    digest = hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:12]
    return f"/static/{name}?v={digest}"


@cache
def icon(name: str) -> Markup:
    """A sign, drawn in the line of text; a word stands beside it, so whoever listens hears nothing of it."""
    drawn = (STATIC / "vendor" / "icons" / f"{name}.svg").read_text()
    body = drawn[drawn.index(">", drawn.index("<svg")) + 1 :].strip()
    turns = " turns" if name.startswith("chevron-") else ""
    return Markup(  # noqa: S704 - a file of our own
        f'<svg class="icon{turns}" viewBox="0 0 24 24" aria-hidden="true" focusable="false">' + " ".join(body.split())
    )


def speech_of(request: Request, visitor: Visitor | None = None) -> Speech:
    """The language for whoever asks: what they chose here, else in their account, else their browser's."""
    chosen = request.cookies.get(LANGUAGE_COOKIE) or (visitor.language if visitor else None)
    return languages.choose(chosen, request.headers.get("Accept-Language", ""))


def text_of(request: Request, template: str, context: Mapping[str, Any], visitor: Visitor | None = None) -> str:
    """A template as text, in the language of whoever asks."""
    speech = speech_of(request, visitor)
    locale = speech.locale
    spoken = {
        **speech.callables,
        "speech": speech,
        "number": lambda value: formats.number_in(locale, value),
        "share": lambda part, whole: formats.share_in(locale, part, whole),
        "duration": lambda seconds: formats.duration_in(locale, seconds),
        "days_of_week": formats.weekdays_in(locale),
        "dated": lambda text: formats.dated_in(locale, text),
        "day": lambda value: formats.day_in(locale, value),
        "wall": lambda value: formats.wall_in(locale, value),
        "time": lambda value, look="relative": formats.time_in(locale, value, look=look),
    }
    is_page = not is_fragment(request)
    given = {"visitor": visitor, "path": request.url.path, "csrf": csrf_token(request), "is_page": is_page}
    return environment().get_template(template).render(spoken | given | dict(context))


def render(
    request: Request,
    template: str,
    visitor: Visitor | None = None,
    *,
    status: HTTPStatus = HTTPStatus.OK,
    **context: Any,
) -> HTMLResponse:
    """A page, or a part of one."""
    # What was chosen or typed on a page is nobody else's: no cache between us and the reader keeps it.
    response = HTMLResponse(
        text_of(request, template, context, visitor), status_code=status, headers={"Cache-Control": "no-store"}
    )
    keep_form_secret(request, response)
    return response


def is_fragment(request: Request) -> bool:
    """Whether a page of ours asks for a part of itself."""
    return "HX-Request" in request.headers
