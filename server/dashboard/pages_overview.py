"""The first page: what runs, what waits, what needs a person, and the month in numbers."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Final, NamedTuple

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response

from server.dashboard import formats, number_words
from server.dashboard.languages import Speech
from server.dashboard.rendering import render, speech_of
from server.dashboard.visitor import PageResources, PageTransaction, SignedIn
from server.domain.roles import Permission
from server.domain.states import BroadcastStatus, PauseReason
from server.services import approvals, messaging_limits, numbers, overview, unknowns
from server.services.overview import Month
from server.services.unknowns import Waiting
from server.web_resources import WebResources

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
    """One number with what stands beside it. trend: against the month before; empty where there was nothing."""

    word: str
    value: str
    beside: str
    trend: str


class Step(NamedTuple):
    """One thing to do before the first broadcast. is_next: the first that is not done."""

    href: str
    icon: str
    title: str
    text: str
    word: str
    is_done: bool
    is_next: bool


async def _speech(request: Request, visitor: SignedIn) -> Speech:
    return speech_of(request, visitor)


Spoken = Annotated[Speech, Depends(_speech)]


@router.get("/")
async def show_overview(
    request: Request, visitor: SignedIn, speech: Spoken, connection: PageTransaction, resources: PageResources
) -> Response:
    """What runs now, what needs somebody, this month's numbers, the health of every number."""
    known = await numbers.listed(connection, visitor.business_id)
    return render(
        request,
        "overview.html",
        visitor,
        **await _moving(speech, visitor, connection, resources, has_number=bool(known)),
        numbers=known,
        limit=await messaging_limits.known_limit(connection, visitor.business_id),
        words=number_words,
    )


@router.get("/moving")
async def show_moving(
    request: Request, visitor: SignedIn, speech: Spoken, connection: PageTransaction, resources: PageResources
) -> Response:
    """The part of the overview that moves, once more."""
    known = await numbers.listed(connection, visitor.business_id)
    moving = await _moving(speech, visitor, connection, resources, has_number=bool(known))
    return render(request, "_overview_moving.html", visitor, **moving)


async def _moving(
    speech: Speech, visitor: SignedIn, connection: PageTransaction, resources: WebResources, *, has_number: bool
) -> dict[str, Any]:
    business_id = visitor.business_id
    now = datetime.now(UTC)
    began = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    under_way = await overview.under_way(connection, business_id)
    has_sent = await overview.has_sent(connection, business_id)
    latest = await overview.latest(connection, business_id)
    found = await overview.with_unknowns(connection, business_id)
    patience = unknowns.Patience.of(resources.settings)
    waiting = await unknowns.waiting(connection, [one["id"] for one in found], patience) if found else {}
    needed, deciding = _unknowns(speech, found, waiting)
    has_begun = has_sent or bool(under_way)
    return {
        "under_way": under_way,
        "decided_by": {id_: one.decided_by for id_, one in waiting.items() if one.decided_by > now},
        "deciding": deciding,
        "latest": latest,
        "waiting": await approvals.waiting_among(connection, [one["id"] for one in latest]),
        "has_sent": has_sent,
        "steps": [] if has_begun else _steps(speech, has_number, await overview.has_people(connection, business_id)),
        "attention": [
            *await _approvals(speech, visitor, connection),
            *_paused(speech, under_way),
            *needed,
            *_templates(speech, await overview.troubled_templates(connection, business_id)),
        ],
        "month": _stats(
            speech,
            await overview.month(connection, business_id, began, now),
            await overview.month(connection, business_id, _month_before(began), _month_before(now)),
        ),
    }


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


def _unknowns(
    speech: Speech, found: list[dict[str, Any]], waiting: Mapping[int, Waiting]
) -> tuple[list[Item], list[Item]]:
    """Where only a person can know better, and where nothing but time is needed."""
    needed, calm = [], []
    now = datetime.now(UTC)
    for shown in found:
        stands = waiting.get(shown["id"])
        if stands is None:
            continue  # the last of them was decided in between
        when = formats.time_in(speech.locale, stands.decided_by)
        if stands.needs_a_person:
            said = speech.gettext(
                "%(name)s: WhatsApp reports nothing that could tell whether they got it. They count as failed "
                "%(when)s, unless you decide before.",
                name=shown["name"],
                when=when,
            )
            needed.append(_unknown(speech, shown, said, speech.gettext("Decide")))
            continue
        if stands.decided_by > now:
            said = speech.gettext(
                "%(name)s: Clarion decides by itself, %(when)s at the latest; you may decide before.",
                name=shown["name"],
                when=when,
            )
        else:
            said = speech.gettext("%(name)s: Clarion decides by itself at any moment.", name=shown["name"])
        calm.append(_unknown(speech, shown, said, speech.gettext("Look")))
    return needed, calm


def _unknown(speech: Speech, shown: dict[str, Any], said: str, word: str) -> Item:
    title = speech.ngettext("%(n)s person is unknown", "%(n)s people are unknown", shown["unknown_count"])
    return Item(f"/broadcasts/{shown['id']}/unknowns", "unknown", "circle-help", title, said, word)


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


def _steps(speech: Speech, has_number: bool, has_people: bool) -> list[Step]:
    _ = speech.gettext
    done = (has_number, has_people, False)
    said = (
        (
            "/numbers",
            "smartphone",
            _("Add your WhatsApp number"),
            _("Five checks say whether it is ready."),
            _("Add it"),
        ),
        ("/contacts", "users", _("Bring your people"), _("A file of any size, or a list you paste."), _("Bring them")),
        ("/compose", "send", _("Write the first message"), _("You see exactly what each person gets."), _("Write it")),
    )
    return [
        Step(*step, is_done=is_done, is_next=not is_done and all(done[:place]))
        for place, (step, is_done) in enumerate(zip(said, done, strict=True))
    ]


def _stats(speech: Speech, month: Month, before: Month) -> list[Stat]:
    pgettext, ngettext, locale = speech.pgettext, speech.ngettext, speech.locale

    def share(part: int) -> str:
        return formats.share_in(locale, part, month.sent_count)

    def people(count: int) -> str:
        return ngettext("%(n)s person", "%(n)s people", count) if month.sent_count else ""

    return [
        Stat(
            pgettext("count", "Sent"),
            formats.number_in(locale, month.sent_count),
            ngettext("in %(n)s broadcast", "in %(n)s broadcasts", month.broadcast_count),
            _trend(speech, month.sent_count, before.sent_count),
        ),
        Stat(
            pgettext("count", "Delivered"),
            share(month.delivered_count),
            people(month.delivered_count),
            _share_before(speech, before.delivered_count, before.sent_count),
        ),
        Stat(
            pgettext("count", "Read"),
            share(month.read_count),
            people(month.read_count),
            _share_before(speech, before.read_count, before.sent_count),
        ),
        Stat(
            pgettext("count", "Replied"),
            formats.number_in(locale, month.replied_count),
            speech.gettext("%(share)s of those sent to", share=share(month.replied_count)) if month.sent_count else "",
            _trend(speech, month.replied_count, before.replied_count),
        ),
    ]


def _share_before(speech: Speech, part: int, whole: int) -> str:
    if not whole:
        return ""
    return speech.gettext("%(share)s the month before", share=formats.share_in(speech.locale, part, whole))


def _trend(speech: Speech, now: int, before: int) -> str:
    if not before:
        return ""
    change = formats.share_in(speech.locale, abs(now - before), before)
    if now >= before:
        return speech.gettext("%(share)s more than the month before", share=change)
    return speech.gettext("%(share)s less than the month before", share=change)
