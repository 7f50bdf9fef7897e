"""The last step of a broadcast that is written: what will happen, a test, and the button."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any, Final

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from server import steering
from server.api_models.tests import TestMessage
from server.dashboard import compose_forms as forms
from server.dashboard import compose_view as view
from server.dashboard.compose_page import Refusal, show_step
from server.dashboard.rendering import is_fragment, render
from server.dashboard.visitor import PageResources, SignedIn, allowed_to
from server.domain.errors import BadInput, ClarionError, NotFound, NotNow, StateDoesNotAllow
from server.domain.local_time import last_leaves_at
from server.domain.preflight import Code
from server.domain.roles import Permission
from server.domain.sentences import said
from server.domain.states import BroadcastStatus
from server.parameters import Id
from server.services import approvals, compositions, local_times, messaging_limits, preflight
from server.services.sessions import Visitor
from server.services.snapshots import Place

router = APIRouter(prefix="/compose/{broadcast_id}", dependencies=[allowed_to(Permission.SEND)])
MOST_TESTS: Final = 10
_BETWEEN_PHONES: Final = re.compile(r"[\n\r,;\t]+")


@router.get("/review")
async def show_review(request: Request, broadcast_id: Id, visitor: SignedIn, resources: PageResources) -> Response:
    """Everything that can be known before the start, the gravest first. Asks WhatsApp, and holds nothing meanwhile."""
    outside = await steering.ask_outside(resources, visitor.business_id, broadcast_id)
    async with resources.engine.begin() as connection:
        draft = await compositions.find(connection, visitor.business_id, broadcast_id)
        if draft.status != BroadcastStatus.DRAFT:
            return _to_broadcast(broadcast_id)
        if outside.messaging_limit is not None:
            await messaging_limits.remember(connection, visitor.business_id, outside.messaging_limit)
        found = await preflight.inspect(connection, broadcast_id, outside)
        room, plan = await messaging_limits.plan(connection, visitor.business_id, found.recipients)
        people_at = await local_times.people_at(connection, broadcast_id)
        refused = await compositions.refused(connection, draft)
        asks_for = await approvals.needed_over(connection, broadcast_id)
    is_beyond = room is not None and found.recipients > room.left
    now = datetime.now(UTC)
    begins = draft.scheduled_at or now
    if people_at:
        ends_at = last_leaves_at(people_at, now, found.seconds / found.recipients if found.recipients else 0.0)
    else:
        ends_at = begins + timedelta(seconds=found.seconds)
    context: dict[str, Any] = {
        "draft": draft,
        "found": found,
        "refused": refused,
        "will_get_it": max(found.recipients - refused.people_count, 0),
        "mark": compositions.mark(draft),
        "is_late": compositions.is_late(draft),
        "room": room,
        "ends_at": None if is_beyond else ends_at,
        "last_day": plan.days[-1].date if is_beyond and plan.days else None,
        "days_count": len(plan.days),
        "left_out": view.left_out(draft),
        "counts": view.counts_of(draft),
        "can_leave_out": draft.audience is None and any(one.code is Code.VALUE_MISSING for one in found.findings),
        "step_of": view.step_of,
        "asks_for": asks_for,
    }
    template = "compose/_review.html" if is_fragment(request) else "compose/review.html"
    return render(request, template, visitor, **context)


@router.post("/send")
async def send(request: Request, broadcast_id: Id, visitor: SignedIn, resources: PageResources) -> Response:
    """Start it, or put it on its schedule: what was seen, or nothing. Asking twice is asking once."""
    form = await request.form()
    try:
        await steering.start(resources, visitor.business_id, broadcast_id, mark=forms.text_in(form, "seen"))
    except (BadInput, NotNow) as error:
        async with resources.engine.begin() as connection:
            draft = await compositions.find(connection, visitor.business_id, broadcast_id)
            if isinstance(error, StateDoesNotAllow) and draft.status != BroadcastStatus.DRAFT:
                return _to_broadcast(broadcast_id)
            return await show_step(request, visitor, connection, draft, "review", refusal=Refusal(notice=str(error)))
    return _to_broadcast(broadcast_id)


@router.post("/test")
async def send_test(request: Request, broadcast_id: Id, visitor: SignedIn, resources: PageResources) -> Response:
    """The real message to a few phones of one's own."""
    form = await request.form()
    written = forms.text_in(form, "phones")
    try:
        phones = [phone.strip() for phone in _BETWEEN_PHONES.split(written) if phone.strip()]
        if not 1 <= len(phones) <= MOST_TESTS:
            raise BadInput(said("Write 1 to %(most)s phones, each in a line.", most=MOST_TESTS), pointer="/phones")
        variables = await _variables_of_audience(visitor.business_id, broadcast_id, resources, form.get("shown"))
        sent = await steering.send_test(resources, visitor.business_id, broadcast_id, phones, variables)
    except NotFound:
        raise
    except ClarionError as error:
        details = [one.detail for one in error.problems] if isinstance(error, BadInput) else [str(error)]
        return _tests(request, visitor, broadcast_id, written, details=details)
    return _tests(request, visitor, broadcast_id, written, sent=sent.items)


def _tests(
    request: Request,
    visitor: Visitor,
    broadcast_id: int,
    written: str,
    *,
    sent: Sequence[TestMessage] = (),
    details: Sequence[str] = (),
) -> Response:
    """What became of the tests, or what is wrong with what was written."""
    context: dict[str, Any] = {"sent": sent, "details": details, "phones": written, "draft_id": broadcast_id}
    if is_fragment(request):
        return render(request, "compose/_tests.html", visitor, **context)
    status = HTTPStatus.UNPROCESSABLE_ENTITY if details else HTTPStatus.OK
    return render(request, "compose/tests.html", visitor, status=status, **context)


async def _variables_of_audience(
    business_id: int, broadcast_id: int, resources: PageResources, shown: object
) -> dict[str, str] | None:
    """The values of whoever is shown, where the people are contacts. None: those of the list."""
    async with resources.engine.begin() as connection:
        draft = await compositions.find(connection, business_id, broadcast_id)
        if draft.audience is None:
            return None if draft.total_recipients else {}
        written = str(shown or "")
        after_id = max(int(written) - 1, 0) if written.isdecimal() and len(written) < 19 else 0
        [person] = await compositions.neighbours(connection, draft, [Place(after_id=after_id)])
        return {} if person is None else person.variables


def _to_broadcast(broadcast_id: int) -> Response:
    return RedirectResponse(f"/broadcasts/{broadcast_id}", status_code=HTTPStatus.SEE_OTHER)
