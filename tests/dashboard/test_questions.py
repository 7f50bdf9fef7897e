"""What is asked before something that cannot be undone: over its page, as a page of its own, and where it cannot be."""

from datetime import timedelta

import pytest
from sqlalchemy import func, update
from sqlalchemy.ext.asyncio import AsyncEngine

from server.models import WhatsAppBroadcast, WhatsAppBroadcastRecipient
from tests.api.conftest import Api, an_order
from tests.api.test_truth import an_unknown
from tests.dashboard.test_contacts import DANA, make
from tests.support.browser import Browser, Page

OF_A_PART = {"HX-Request": "true", "HX-Request-Type": "partial"}


def asked(visitor: Browser, path: str, question: str) -> Page:
    """A question of a broadcast, opened by its own address."""
    page = visitor.get(f"{path}/ask/{question}")
    assert page.status == 200, page.text
    return page


async def a_broadcast_that_is(status: str, api: Api, engine: AsyncEngine, **counts: int) -> str:
    """The path of a broadcast in this state."""
    made = api.post("/broadcasts", an_order(start=False)).json
    async with engine.begin() as connection:
        await connection.execute(update(WhatsAppBroadcast).values(status=status, **counts))
    return f"/broadcasts/{made['id']}"


def test_a_question_stands_over_its_page_and_is_a_page_by_itself(visitor: Browser, api: Api) -> None:
    """Without a script nobody could open a dialog; and its button for going back would leave nothing."""
    path = f"/broadcasts/{api.post('/broadcasts', an_order(start=False)).json['id']}"
    whole = asked(visitor, path, "delete").text
    assert "<dialog open" in whole
    assert f'<a class="button" href="{path}">Back</a>' in whole
    part = visitor.get(f"{path}/ask/delete", **OF_A_PART).text
    assert "<dialog data-show" in part
    assert "<html" not in part


@pytest.mark.parametrize(
    ("question", "status", "counts", "words"),
    [
        ("retry", "completed", {"processed_count": 1, "sent_count": 1}, "There is nobody to try again"),
        ("retry", "draft", {}, "It is not over yet"),
        ("cancel", "draft", {}, "There is nothing to cancel"),
        ("cancel", "completed", {"processed_count": 1, "sent_count": 1}, "There is nothing to cancel"),
        ("delete", "paused", {}, "There is no draft to delete"),
    ],
)
async def test_what_cannot_be_done_is_said_in_place_of_the_question(
    visitor: Browser,
    api: Api,
    engine: AsyncEngine,
    question: str,
    status: str,
    counts: dict[str, int],
    words: str,
) -> None:
    path = await a_broadcast_that_is(status, api, engine, **counts)
    page = asked(visitor, path, question).text
    assert words in page
    assert f'action="{path}/{question}"' not in page
    assert f'<a class="button" href="{path}">Back</a>' in page
    assert words in visitor.get(f"{path}/ask/{question}", **OF_A_PART).text


def test_whoever_opted_out_is_not_asked_to_again(visitor: Browser) -> None:
    path = make(visitor, phone=DANA)
    visitor.post(f"{path}/opt-out")
    page = visitor.get(f"{path}/ask/opt-out").text
    assert "Opted out already" in page
    assert f'action="{path}/opt-out"' not in page


def test_what_is_sent_from_a_part_of_a_page_takes_the_whole_page_on(visitor: Browser, api: Api) -> None:
    """A redirect would put one page into another."""
    path = f"/broadcasts/{api.post('/broadcasts', an_order()).json['id']}"
    visitor.get(path)
    done = visitor.post(f"{path}/pause", headers=OF_A_PART)
    assert (done.status, done.headers["hx-redirect"], done.text) == (200, path, "")
    refused = visitor.post(f"{path}/pause", headers=OF_A_PART)
    assert (refused.status, refused.headers["hx-retarget"]) == (409, "#notices")


async def test_what_is_answered_with_a_page_is_sent_as_one(visitor: Browser, api: Api) -> None:
    """A part of a page that asked for it would show nothing of a secret that is shown once."""
    made = api.post("/webhooks", {"url": "https://example.com/hook"})
    assert made.status == 201, made.body
    webhook = f"/settings/webhooks/{made.json['id']}"
    for page, action in [
        (webhook, f"{webhook}/rotate-secret"),
        ("/settings/account", "/settings/account/second-step/begin"),
        ("/templates", "/templates/sync"),
    ]:
        text = visitor.get(page).text
        assert f'method="post" action="{action}"' in text
        assert f'hx-post="{action}"' not in text


async def test_somebody_unknown_is_settled_with_a_word_on_what_came_of_it(
    visitor: Browser, api: Api, engine: AsyncEngine
) -> None:
    path = await an_unknown(engine, api)
    two_hours_ago = func.now() - timedelta(hours=2)
    async with engine.begin() as connection:
        since = update(WhatsAppBroadcastRecipient).where(WhatsAppBroadcastRecipient.unknown_at.is_not(None))
        await connection.execute(since.values(unknown_at=two_hours_ago))
    listed = visitor.get(f"{path}/unknowns").text
    assert all(words in listed for words in ("unknown for 2 hours", "decided by itself", "No status has ever come"))
    question = f"{path}/recipients/1/ask/resend"
    assert "they get it twice" in visitor.get(question).text
    after = visitor.post(f"{path}/recipients/1/settle", {"as": "sent"})
    assert (after.path, "Counted as sent." in after.text) == (f"{path}/unknowns?settled=sent", True)
    assert "Nobody is unknown" in after.text
    assert "It is known by now" in visitor.get(question).text
