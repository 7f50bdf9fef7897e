"""The first page: what runs, what waits, what needs a person, and the month in numbers."""

from datetime import UTC, datetime
from typing import Annotated, Any, Final, NamedTuple

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response

from server.dashboard import formats
from server.dashboard.languages import Speech
from server.dashboard.rendering import render, speech_of
from server.dashboard.visitor import PageTransaction, SignedIn
from server.domain.roles import Permission
from server.domain.states import BroadcastStatus, PauseReason
from server.services import approvals, broadcast_json, numbers, overview
from server.services.overview import Month

router = APIRouter()

# Pauses that somebody has to end; the others end by themselves.
_NEEDS_A_PERSON: Final = frozenset(
    {PauseReason.CREDENTIALS, PauseReason.TEMPLATE, PauseReason.QUALITY, PauseReason.FAILURES, PauseReason.CANARY}
)


class Item(NamedTuple):
    """One line of a list, with where it leads."""

    href: str
    tone: str
    icon: str
    title: str
    text: str
    word: str


class Stat(NamedTuple):
    """One number with what stands beside it."""

    word: str
    value: str
    beside: str


async def _speech(request: Request, visitor: SignedIn) -> Speech:
    return speech_of(request, visitor)


Spoken = Annotated[Speech, Depends(_speech)]


@router.get("/")
async def show_overview(request: Request, visitor: SignedIn, speech: Spoken, connection: PageTransaction) -> Response:
    """What runs now, what needs somebody, this month's numbers, the health of every number."""
    business_id = visitor.business_id
    now = datetime.now(UTC)
    began = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    under_way = await overview.under_way(connection, business_id)
    newest = await broadcast_json.show_many(connection, business_id, status=None, before_id=None, limit=1)
    return render(
        request,
        "overview.html",
        visitor,
        under_way=under_way,
        has_any=bool(newest),
        attention=[
            *await _approvals(speech, visitor, connection),
            *_paused(speech, under_way),
            *_unknowns(speech, await overview.with_unknowns(connection, business_id)),
            *_templates(speech, await overview.troubled_templates(connection, business_id)),
        ],
        month=_stats(
            speech,
            await overview.month(connection, business_id, began, now),
            await overview.month(connection, business_id, _month_before(began), _month_before(now)),
        ),
        numbers=[
            {
                "id": known["id"],
                "title": formats.phone(known["display_phone_number"] or known["phone_number_id"]),
                "text": speech.gettext("%(rate)s messages a second", rate=known["rate_per_second"]),
            }
            for known in await numbers.listed(connection, business_id)
        ],
    )


def _month_before(instant: datetime) -> datetime:
    """The same day of the month before, or its last one."""
    year, month = (instant.year, instant.month - 1) if instant.month > 1 else (instant.year - 1, 12)
    for day in range(instant.day, 27, -1):
        try:
            return instant.replace(year=year, month=month, day=day)
        except ValueError:
            continue
    return instant.replace(year=year, month=month)


async def _approvals(speech: Speech, visitor: SignedIn, connection: PageTransaction) -> list[Item]:
    """What waits for whoever looks: another person's request, of somebody who may answer."""
    if not visitor.may(Permission.APPROVE):
        return []
    waiting = await approvals.waiting(connection, visitor.business_id)
    return [
        Item(
            href=f"/broadcasts/{asked['id']}",
            tone="paused",
            icon="hand",
            title=speech.gettext("%(name)s waits for your approval", name=asked["name"]),
            text=speech.gettext("%(who)s has asked for it.", who=asked["who"] or speech.gettext("Somebody")),
            word=speech.gettext("Look"),
        )
        for asked in waiting
        if asked["approval_requested_by"] != visitor.user_id
    ]


def _paused(speech: Speech, under_way: list[dict[str, Any]]) -> list[Item]:
    return [
        Item(
            href=f"/broadcasts/{shown['id']}",
            tone="paused",
            icon="pause",
            title=speech.gettext("%(name)s is paused", name=shown["name"]),
            text=shown["status_detail"] or "",
            word=speech.gettext("Look"),
        )
        for shown in under_way
        if shown["status"] == BroadcastStatus.PAUSED
        and shown["pause_reason"] in _NEEDS_A_PERSON
        and shown["resume_at"] is None
    ]


def _unknowns(speech: Speech, found: list[dict[str, Any]]) -> list[Item]:
    return [
        Item(
            href=f"/broadcasts/{shown['id']}/unknowns",
            tone="unknown",
            icon="circle-help",
            title=speech.ngettext("%(n)s person is unknown", "%(n)s people are unknown", shown["unknown_count"]),
            text=speech.gettext("%(name)s: nobody can tell yet whether they got it.", name=shown["name"]),
            word=speech.gettext("Decide"),
        )
        for shown in found
    ]


def _templates(speech: Speech, found: list[dict[str, Any]]) -> list[Item]:
    return [
        Item(
            href=f"/templates/{template['id']}",
            tone="failed",
            icon="file-text",
            title=speech.gettext("The template %(name)s cannot be sent", name=template["name"]),
            text=f"{template['language']} · {template['status'].lower()}",
            word=speech.gettext("Look"),
        )
        for template in found
    ]


def _stats(speech: Speech, month: Month, before: Month) -> list[Stat]:
    _, pgettext, locale = speech.gettext, speech.pgettext, speech.locale

    def share(part: int, whole: int) -> str:
        return formats.share_in(locale, part, whole)

    return [
        Stat(
            pgettext("count", "Sent"),
            formats.number_in(locale, month.sent_count),
            _trend(speech, month.sent_count, before.sent_count),
        ),
        Stat(
            pgettext("count", "Delivered"),
            share(month.delivered_count, month.sent_count),
            _share_before(speech, before.delivered_count, before.sent_count),
        ),
        Stat(
            pgettext("count", "Read"),
            share(month.read_count, month.sent_count),
            _share_before(speech, before.read_count, before.sent_count),
        ),
        Stat(
            pgettext("count", "Replied"),
            formats.number_in(locale, month.replied_count),
            _trend(speech, month.replied_count, before.replied_count),
        ),
    ]


def _share_before(speech: Speech, part: int, whole: int) -> str:
    if not whole:
        return speech.gettext("none the month before")
    return speech.gettext("%(share)s the month before", share=formats.share_in(speech.locale, part, whole))


def _trend(speech: Speech, now: int, before: int) -> str:
    if not before:
        return speech.gettext("none the month before")
    change = formats.share_in(speech.locale, abs(now - before), before)
    if now >= before:
        return speech.gettext("%(share)s more than the month before", share=change)
    return speech.gettext("%(share)s less than the month before", share=change)
