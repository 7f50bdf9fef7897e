"""What a business has chosen for all its broadcasts: its name, its words, its hours, what becomes of unknowns."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Row, select, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from server.domain import frequency_cap, quiet_hours
from server.domain.audit import AuditAct, Who
from server.domain.errors import BadInput, Problem
from server.domain.evidence import UnknownPolicy
from server.domain.frequency_cap import FrequencyCap
from server.domain.quiet_hours import Hours
from server.domain.sentences import said
from server.domain.states import BroadcastStatus
from server.models import Business
from server.services import audit, local_times, put_offs
from server.services.signals import look_at_row
from server.tenancy import Connects

SETTINGS: Final = (
    "name", "unknown_policy", "stop_words", "start_words", "time_zone", "quiet_hours", "frequency_cap",
    "opt_out_reply", "opt_in_reply", "approval_over",
)  # fmt: skip
MOST_WORDS: Final = 100
LONGEST_WORD: Final = 100
LONGEST_NAME: Final = 200
LONGEST_REPLY: Final = 1_000
LARGEST_APPROVAL: Final = 2_000_000_000
_OF_HOURS: Final = frozenset(("time_zone", "quiet_hours"))
_OBEYED_AT_ONCE: Final = _OF_HOURS | {"frequency_cap"}

_WAITING = text("""
    /* businesses.waiting
       Why:  what waits for hours that are about to be others: in one transaction with them, so that none of it waits
             for the old ones whatever becomes of this process.
       Lock: the broadcasts by their ids, before the business. */
    SELECT id, status FROM whatsapp_broadcasts
     WHERE business_id = :business_id
       AND (status = 'scheduled' AND by_local_time
            OR status = 'paused' AND pause_reason IN ('quiet_hours', 'local_time') AND resume_at IS NOT NULL
            OR status = 'queued' AND resume_at IS NOT NULL)
     ORDER BY id FOR UPDATE
""")

_RUNNING = text("""
    /* businesses.running */
    SELECT id FROM whatsapp_broadcasts WHERE business_id = :business_id AND status = 'running' ORDER BY id
""")


async def show(connection: AsyncConnection, business_id: int) -> dict[str, Any]:
    """A business with its settings."""
    columns = (Business.id, *(getattr(Business, name) for name in SETTINGS))
    return dict((await connection.execute(select(*columns).where(Business.id == business_id))).mappings().one())


async def hours_of(connection: AsyncConnection, business_id: int) -> Hours | None:
    """The quiet hours of a business; None: it has none."""
    found = await show(connection, business_id)
    return Hours(quiet_hours.parse(found["quiet_hours"]), found["time_zone"]) if found["quiet_hours"] else None


async def cap_of(connection: AsyncConnection, business_id: int) -> FrequencyCap | None:
    """The frequency cap of a business; None: it has none."""
    found = (await show(connection, business_id))["frequency_cap"]
    return frequency_cap.parse(found) if found else None


async def change(
    engine: Connects, business_id: int, changes: Mapping[str, Any], who: Who | None = None
) -> dict[str, Any]:
    """Change what is named, of `SETTINGS`. Runs at work obey at once. Returns the business as it is then.

    Where quiet hours change, whoever waits for the old ones is looked at once more. who: whose name goes into the
    audit with the names of what is different now; None for somebody at the command line, who is not in it. Raises
    `BadInput` with all that is wrong, by its fields.
    """
    values = _cleaned(changes)
    async with engine.begin() as connection:
        before = await show(connection, business_id)
        waiting: Sequence[Row[Any]] = ()
        if any(name in values and values[name] != before[name] for name in _OF_HOURS):
            waiting = (await connection.execute(_WAITING, {"business_id": business_id})).all()
        if values:
            await _write(connection, business_id, values)
        for broadcast in waiting:
            if broadcast.status == BroadcastStatus.SCHEDULED:
                await local_times.arrange(connection, broadcast.id)
            else:
                await put_offs.go_on_soon(connection, broadcast.id)
        after = await show(connection, business_id)
        changed = [name for name in SETTINGS if before[name] != after[name]]
        if changed and who is not None:
            act = AuditAct.SETTINGS_CHANGED
            await audit.add(connection, business_id, who, act, detail=", ".join(changed))
        if not _OBEYED_AT_ONCE.isdisjoint(changed):
            for broadcast_id in await connection.scalars(_RUNNING, {"business_id": business_id}):
                await look_at_row(connection, broadcast_id)
    if not _OF_HOURS.isdisjoint(changed):
        await put_offs.release(engine, business_id)
    if "time_zone" in changed:
        await local_times.rearrange(engine, business_id)
    return after


def _cleaned(changes: Mapping[str, Any]) -> dict[str, Any]:
    """What is to be written. Raises `BadInput` with all that is wrong."""
    values: dict[str, Any] = {}
    problems: list[Problem] = []
    for name, value in changes.items():
        try:
            values[name] = _CLEAN[name](value, f"/{name}")
        except BadInput as error:
            problems += error.problems
    if problems:
        raise BadInput(problems[0].detail, problems=problems)
    return values


async def _write(connection: AsyncConnection, business_id: int, values: Mapping[str, Any]) -> None:
    try:
        async with connection.begin_nested():
            await connection.execute(update(Business).where(Business.id == business_id).values(**values))
    except IntegrityError as error:
        raise BadInput(said('The name "%(name)s" is taken.', name=values.get("name")), pointer="/name") from error


def _name(value: Any, pointer: str) -> str:
    name = _storable(" ".join(str(value or "").split()), pointer)
    if not 0 < len(name) <= LONGEST_NAME:
        raise BadInput(said("A business needs a name of 1 to %(most)s characters.", most=LONGEST_NAME), pointer=pointer)
    return name


def _policy(value: Any, pointer: str) -> str:
    if value not in list(UnknownPolicy):
        policies = ", ".join(UnknownPolicy)
        detail = said('"%(name)s" is no policy; it should be one of %(policies)s.', name=value, policies=policies)
        raise BadInput(detail, pointer=pointer)
    return str(value)


def _words(value: Any, pointer: str) -> list[str]:
    words = [_storable(" ".join(str(word).split()), pointer) for word in value or ()]
    if len(words) > MOST_WORDS:
        detail = said("These are %(count)s words; at most %(most)s are taken.", count=len(words), most=MOST_WORDS)
        raise BadInput(detail, pointer=pointer)
    for number, word in enumerate(words):
        if not 0 < len(word) <= LONGEST_WORD:
            detail = said("A word should have 1 to %(most)s characters.", most=LONGEST_WORD)
            raise BadInput(detail, pointer=f"{pointer}/{number}")
    return list(dict.fromkeys(words))


def _zone(value: Any, pointer: str) -> str:
    try:
        return quiet_hours.known_zone(str(value))
    except ValueError as error:
        raise BadInput(str(error), pointer=pointer) from error


def _quiet_hours(value: Any, pointer: str) -> dict[str, Any] | None:
    return None if value is None else quiet_hours.parse(value, pointer).as_json()


def _frequency_cap(value: Any, pointer: str) -> dict[str, Any] | None:
    return None if value is None else frequency_cap.parse(value, pointer).as_json()


def _reply(value: Any, pointer: str) -> str | None:
    """Nothing but spaces switches it off, as none does."""
    reply = str(value or "").strip()
    if len(reply) > LONGEST_REPLY:
        detail = said(
            "The reply has %(count)s characters; %(most)s are the most.",
            count=f"{len(reply):,}",
            most=f"{LONGEST_REPLY:,}",
        )
        raise BadInput(detail, pointer=pointer)
    return _storable(reply, pointer) or None


def _people(value: Any, pointer: str) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= LARGEST_APPROVAL:
        detail = said(
            '"%(text)s" is no number of people; it should be a whole number, such as 1000.', text=f"{value!s:.20}"
        )
        raise BadInput(detail, pointer=pointer)
    return value


def _storable(value: str, pointer: str) -> str:
    if "\x00" in value:
        raise BadInput("It has a NUL character, which cannot be stored.", pointer=pointer)
    return value


_CLEAN: Final = {
    "name": _name,
    "unknown_policy": _policy,
    "stop_words": _words,
    "start_words": _words,
    "time_zone": _zone,
    "quiet_hours": _quiet_hours,
    "frequency_cap": _frequency_cap,
    "opt_out_reply": _reply,
    "opt_in_reply": _reply,
    "approval_over": _people,
}
