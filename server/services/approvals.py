"""A second person for a large broadcast: asked for, given, declined (`domain/approval.py` decides).

While it waits a broadcast is a draft whose row says who asked, when, and for what: a fingerprint of all that is sent
and to whom. Lock: the broadcast, as every start takes it.
"""

import contextlib
import hashlib
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from sqlalchemy import Row, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from server.domain.approval import Verdict, judge, needs_second_person
from server.domain.audience import parse
from server.domain.audit import AuditAct, Who
from server.domain.errors import BadInput, NotFound, NotNow
from server.domain.messages import columns_of
from server.domain.roles import Permission, Role, may
from server.domain.sentences import counted, said
from server.domain.states import Act, Actor, BroadcastStatus
from server.models import User
from server.services import audit, segments, snapshots
from server.services.events import add_act

_READ: Final = """
    /* approvals.read   The newest recipient stands for the list: people are added to a draft and never exchanged. */
    SELECT b.id, b.business_id, b.name, b.status, b.message, b.audience, b.channel_id, b.rate_limit, b.scheduled_at,
           b.by_local_time, b.local_time,
           b.canary, b.spread_over_days, b.approval_requested_by, b.approval_requested_at, b.approval_fingerprint,
           b.total_recipients, b.total_recipients - b.processed_count AS waiting_count,
           (SELECT max(r.id) FROM whatsapp_broadcast_recipients r WHERE r.broadcast_id = b.id) AS newest_recipient_id,
           (SELECT approval_over FROM businesses WHERE id = b.business_id) AS approval_over
      FROM whatsapp_broadcasts b WHERE b.id = :broadcast_id
"""
_LOOK = text(_READ)
_LOCK = text(f"{_READ} FOR UPDATE OF b")
_ASK = text("""
    /* approvals.ask */
    UPDATE whatsapp_broadcasts
       SET approval_requested_by = :user_id, approval_requested_at = clock_timestamp(),
           approval_fingerprint = :fingerprint, status_detail = :detail
     WHERE id = :broadcast_id
""")
_CLEAR = text("""
    /* approvals.clear */
    UPDATE whatsapp_broadcasts
       SET approval_requested_by = NULL, approval_requested_at = NULL, approval_fingerprint = NULL,
           status_detail = :detail
     WHERE id = :broadcast_id
""")
_WAITING = text("""
    /* approvals.waiting   By a partial index: only those that wait are in it. */
    SELECT b.id, b.name, b.approval_requested_by, b.approval_requested_at, coalesce(nullif(u.name, ''), u.email) AS who
      FROM whatsapp_broadcasts b LEFT JOIN users u ON u.id = b.approval_requested_by
     WHERE b.business_id = :business_id AND b.approval_requested_at IS NOT NULL AND b.status = 'draft'
     ORDER BY b.approval_requested_at LIMIT :most
""")
_WAITING_AMONG = text("""
    /* approvals.waiting_among */
    SELECT id FROM whatsapp_broadcasts
     WHERE id = ANY(:broadcast_ids) AND approval_requested_at IS NOT NULL AND status = 'draft'
""")
_MOST: Final = 20
_NOT_ASKED: Final = said("Nobody is asked to approve this broadcast, or no longer.")
# What makes two drafts the same one to whoever approves.
_SHOWN: Final = (
    "name", "message", "channel_id", "rate_limit", "canary", "spread_over_days", "total_recipients",
    "newest_recipient_id",
)  # fmt: skip


class Request(NamedTuple):
    """A broadcast that waits for a second person.

    asked_by: the id of whoever asked; None where they are gone, like their name. is_current: it has not changed since.
    fingerprint: of what would be approved now.
    """

    asked_by: int | None
    who: str | None
    asked_at: datetime
    people: int
    fingerprint: str
    is_current: bool


class _Draft(NamedTuple):
    row: Row[Any]
    people: int
    may_grow: bool
    fingerprint: str

    @property
    def waits(self) -> bool:
        return self.row.status == BroadcastStatus.DRAFT and self.row.approval_requested_at is not None

    @property
    def is_asked(self) -> bool:
        return self.row.approval_requested_at is not None and self.row.approval_fingerprint == self.fingerprint


async def admit(connection: AsyncConnection, broadcast_id: int, who: Who, *, seen: str | None) -> Verdict:
    """What becomes of somebody's start of a draft, in the transaction that would start it.

    seen: the fingerprint of what they looked at, where they approve.
    `ASK` and `WAIT` mean that it must not start now; `ask` writes the first of them down. Raises `NotNow` for a program
    that may not start so much by itself, and for an approval of what changed since it was looked at.
    """
    row = await _row(connection, broadcast_id, is_locked=True)
    if row.status != BroadcastStatus.DRAFT:
        return Verdict.START  # which refuses it, in its own words
    if row.approval_over is None and row.approval_requested_at is None:
        return Verdict.START
    draft = await _draft(connection, row)
    if seen is not None:
        _refuse_unless_seen(draft, seen)
    if not needs_second_person(row.approval_over, draft.people, may_grow=draft.may_grow):
        await _forget(connection, draft)
        return Verdict.START
    may_approve = seen is not None and await _may_approve(connection, who)
    verdict = judge(who, may_approve=may_approve, asked_by=row.approval_requested_by, is_asked=draft.is_asked)
    if verdict is Verdict.REFUSE:
        raise NotNow(
            f"A broadcast to more than {draft.row.approval_over:,} people needs a second person in this business, and "
            f"this one goes to {draft.people:,}{' or more' if draft.may_grow else ''}. Leave it as a draft "
            "(`start: false`): somebody starts it in the dashboard, and another person approves it there."
        )
    if verdict is Verdict.APPROVE:
        await _note(
            connection,
            draft,
            Act.APPROVE,
            said("%(who)s lets it go to %(people)s.", who=who.name, people=_people(draft.people)),
        )
    if verdict in (Verdict.START, Verdict.APPROVE):
        await _forget(connection, draft)
    return verdict


async def needed_over(connection: AsyncConnection, broadcast_id: int) -> int | None:
    """How many people one person may send to alone, where that is too few for this draft; None where it is not."""
    row = await _row(connection, broadcast_id)
    if row.approval_over is None:
        return None
    draft = await _draft(connection, row)
    return row.approval_over if needs_second_person(row.approval_over, draft.people, may_grow=draft.may_grow) else None


async def refuse_change(connection: AsyncConnection, broadcast_id: int, who: Who) -> None:
    """Let nobody change when or how fast a broadcast goes that another person has let go, and that waits for its time.

    Off its schedule it may be changed, and is asked for anew when it is started. What has started is steered by whoever
    may pause it. Raises `NotNow`; who may start so much alone may change it as well.
    """
    row = await _row(connection, broadcast_id, is_locked=True)
    if row.status != BroadcastStatus.SCHEDULED or row.approval_over is None:
        return
    may_grow = row.audience is not None
    if not needs_second_person(row.approval_over, int(row.waiting_count), may_grow=may_grow):
        return
    if judge(who, may_approve=False, asked_by=None, is_asked=False) is not Verdict.START:
        raise NotNow(
            "This business wants a second person for large broadcasts, and this one is on its schedule. Take it off "
            "its schedule, change it, and start it anew: then it is asked for again."
        )


async def ask(connection: AsyncConnection, broadcast_id: int, who: Who) -> None:
    """Leave it a draft that waits for a second person."""
    draft = await _draft(connection, await _row(connection, broadcast_id, is_locked=True))
    detail = said(
        "%(who)s has asked for a second person to let it go to %(people)s.", who=who.name, people=_people(draft.people)
    )
    values = {"broadcast_id": broadcast_id, "user_id": who.user_id, "fingerprint": draft.fingerprint, "detail": detail}
    await connection.execute(_ASK, values)
    await _note(connection, draft, Act.ASK_APPROVAL, detail)
    subject = f"{broadcast_id} {draft.row.name}"
    await audit.add(connection, draft.row.business_id, who, AuditAct.APPROVAL_ASKED, subject=subject)


async def decline(connection: AsyncConnection, broadcast_id: int, who: Who, note: str) -> None:
    """Put it back to be worked on. note: why, for whoever asked. Raises `NotFound`, or `NotNow` where none is asked."""
    draft = await _draft(connection, await _row(connection, broadcast_id, is_locked=True))
    if not draft.waits:
        raise NotNow(_NOT_ASKED)
    why = note.strip().rstrip(".")
    if why:
        detail = said("%(who)s has declined it: %(why)s.", who=who.name, why=why)
    else:
        detail = said("%(who)s has declined it.", who=who.name)
    await connection.execute(_CLEAR, {"broadcast_id": broadcast_id, "detail": detail})
    await _note(connection, draft, Act.DECLINE, detail)
    subject = f"{broadcast_id} {draft.row.name}"
    await audit.add(connection, draft.row.business_id, who, AuditAct.APPROVAL_DECLINED, subject=subject, detail=why)


async def request_of(connection: AsyncConnection, broadcast_id: int) -> Request | None:
    """What a draft waits for; None where it waits for nobody."""
    row, who = await _row(connection, broadcast_id), None
    if row.approval_requested_at is None or row.status != BroadcastStatus.DRAFT:
        return None
    draft = await _draft(connection, row)
    if row.approval_requested_by is not None:
        columns = select(User.name, User.email).where(User.id == row.approval_requested_by)
        name, email = (await connection.execute(columns)).one()
        who = name or email
    return Request(
        row.approval_requested_by, who, row.approval_requested_at, draft.people, draft.fingerprint, draft.is_asked
    )


async def waiting(connection: AsyncConnection, business_id: int) -> list[dict[str, Any]]:
    """The drafts that wait for a second person, the oldest request first."""
    rows = await connection.execute(_WAITING, {"business_id": business_id, "most": _MOST})
    return [dict(row) for row in rows.mappings()]


async def waiting_among(connection: AsyncConnection, broadcast_ids: Sequence[int]) -> set[int]:
    """Which of these wait for a second person."""
    return set(await connection.scalars(_WAITING_AMONG, {"broadcast_ids": list(broadcast_ids)}))


async def _row(connection: AsyncConnection, broadcast_id: int, *, is_locked: bool = False) -> Row[Any]:
    values = {"broadcast_id": broadcast_id}
    row = (await connection.execute(_LOCK if is_locked else _LOOK, values)).one_or_none()
    if row is None:
        raise NotFound(said("There is no broadcast %(number)s.", number=broadcast_id))
    return row


def _refuse_unless_seen(draft: _Draft, seen: str) -> None:
    if not draft.waits:
        raise NotNow(_NOT_ASKED)
    if draft.fingerprint != seen or not draft.is_asked:
        raise NotNow("It was changed after you were asked to approve it. Look at it again.")


async def _draft(connection: AsyncConnection, row: Row[Any]) -> _Draft:
    people, audience = int(row.waiting_count), None
    is_open = row.audience is not None and row.status == BroadcastStatus.DRAFT
    if is_open:
        with contextlib.suppress(BadInput):  # its segment is gone: the pre-flight of the start says so
            audience = await segments.resolve(connection, row.business_id, parse(row.audience))
            found = await snapshots.look(connection, row.business_id, audience, columns_of(row.message))
            people = found.recipients
    starts_later = row.scheduled_at is not None and row.scheduled_at > datetime.now(UTC)
    shown = {name: getattr(row, name) for name in _SHOWN}
    shown |= {"audience": audience and audience.as_json(), "scheduled_at": row.scheduled_at and str(row.scheduled_at)}
    if row.by_local_time:  # of others nothing is said of it, as when those were asked for that knew of none
        shown["local_time"] = str(row.local_time)
    fingerprint = hashlib.sha256(json.dumps(shown, sort_keys=True, default=str).encode()).hexdigest()
    return _Draft(row, people, is_open and starts_later, fingerprint)


async def _may_approve(connection: AsyncConnection, who: Who) -> bool:
    if who.user_id is None:
        return False
    role = await connection.scalar(select(User.role).where(User.id == who.user_id))
    return role is not None and may(Role(role), Permission.APPROVE)


async def _forget(connection: AsyncConnection, draft: _Draft) -> None:
    if draft.row.approval_requested_at is not None:
        await connection.execute(_CLEAR, {"broadcast_id": draft.row.id, "detail": None})


async def _note(connection: AsyncConnection, draft: _Draft, act: Act, detail: str) -> None:
    await add_act(connection, draft.row.id, act, by=Actor.USER, status=draft.row.status, detail=detail)


def _people(count: int) -> str:
    return counted("1 person", "%(n)s people", count)
