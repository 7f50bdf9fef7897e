"""Pages in Hebrew with findings, errors, a pause and failures on them: no English sentence is left."""

import html
import re

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from server.domain.meanings import explain, explain_stop
from server.domain.outcomes import Refused
from tests.api.conftest import Api, an_order, people
from tests.dashboard.hebrew import english_in
from tests.support.browser import Browser, Page

HEBREW = {"Accept-Language": "he"}
# A sentence of English has several words in a row; names and codes stand alone.
_SENTENCE = re.compile(r"(?:[A-Za-z][a-z']+[ ,]+){3,}[A-Za-z][a-z']+")
# The message itself is in whatever language it was written in.
_OF_OTHERS = re.compile(
    r'(?s)<(script|style|code|pre|template)\b.*?</\1>|<bdi dir="ltr".*?</bdi>|<p class="wa-body".*?</p>'
)
_PAUSE = text(
    "UPDATE whatsapp_broadcasts SET status = 'paused', pause_reason = 'failures', status_detail = :why WHERE id = :id"
)
_FAIL = text(
    "UPDATE whatsapp_broadcast_recipients SET status = 'failed', error_code = 131026, error_message = :why"
    " WHERE broadcast_id = :id"
)


def sentences_on(page: Page) -> list[str]:
    """What a reader sees of English in several words, on the page without its scripts and what is somebody's own."""
    body = _OF_OTHERS.sub(" ", page.text)
    shown = html.unescape(re.sub(r"<[^>]*>", "\n", body))
    return [line.strip() for line in shown.splitlines() if _SENTENCE.search(line) and english_in(line)]


async def test_a_paused_broadcast_says_in_hebrew_why_and_what_to_do(
    api: Api, visitor: Browser, engine: AsyncEngine
) -> None:
    broadcast_id = api.post("/broadcasts", an_order()).json["id"]
    refused = Refused(code=132001, http_status=404, message="", trace_id="Az8")
    stopped = f"3 recipients in a row failed alike. {explain_stop(refused)}"
    failed = explain(Refused(code=131026, http_status=400, message=""))
    async with engine.begin() as connection:
        await connection.execute(_PAUSE, {"id": broadcast_id, "why": stopped})
        await connection.execute(_FAIL, {"id": broadcast_id, "why": failed})
    for path in ("", "/reasons", "/history", "/recipients"):
        page = visitor.get(f"/broadcasts/{broadcast_id}{path}", **HEBREW)
        assert page.status == 200
        assert sentences_on(page) == [], path
    assert "3 נמענים ברצף נכשלו מאותה סיבה." in visitor.get(f"/broadcasts/{broadcast_id}", **HEBREW).text


async def test_the_review_and_a_wrong_form_are_in_hebrew(api: Api, visitor: Browser) -> None:
    draft = api.post("/broadcasts", an_order(start=False, default_country="IL")).json["id"]
    api.post(f"/broadcasts/{draft}/recipients", {"recipients": [*people(3), {"phone": "+972501111119"}]})
    csv = b"phone,first_name,order_id\n0521111111,Maya,A-1\n0521111111,Maya,A-1\n12,x,y\n"
    api.call("POST", f"/api/whatsapp/broadcasts/{draft}/recipients", csv, content_type="text/csv")
    review = visitor.get(f"/compose/{draft}/review", **HEBREW)
    assert "יש טלפון שכבר הופיע" in review.text
    for path in (f"/compose/{draft}?step=review", f"/compose/{draft}/review"):
        assert sentences_on(visitor.get(path, **HEBREW)) == []
    for path, form in (
        ("/settings", {"name": "", "stop_words": "x" * 200, "time_zone": "Mars", "cap_messages": "many"}),
        ("/settings/team/invites", {"email": "nobody", "role": "viewer"}),
        ("/settings/keys", {"name": "", "scope": "send"}),
        ("/contacts", {"phone": "12", "tags": "a;b"}),
        (f"/broadcasts/{draft}/resume", {}),
        ("/broadcasts/999999/pause", {}),
    ):
        refused = visitor.post(path, headers={**HEBREW, "Accept": "text/html"}, **form)
        assert refused.status >= 400, path
        assert sentences_on(refused) == [], path
